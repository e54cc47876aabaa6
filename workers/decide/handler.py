"""What the decision agent does with records, as plain functions: bytes in, bytes out, no broker and no clock.

    decode → case → policy → determine → decision → encode

`decide` takes one event through; `DecisionHandler` does so for a batch and never raises: an event that cannot be
decided, by its own fault or by a defect of ours, becomes a dead letter, and the next one goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import structlog

from events.answer import Wrapping, wrapped
from events.dead_letter import FieldError
from events.decision import Decision
from events.decode import Received, RejectedError, decode
from events.envelope import Attributes
from events.request import AuthorizationRequest
from events.topics import ANSWERED, DECISIONS, SHADOW
from policy_core.evaluate.determine import Policy
from policy_core.evaluate.facts import ClinicalViolationError
from policy_core.history.library import Knowledge, Library
from workers.accounts.batch_counters import Answers, BatchCounters
from workers.dead_letters.write import defect, rejection, too_large, unreadable
from workers.decide.case_of_request import case_of
from workers.decide.decision_json import DecisionEncoder
from workers.decide.duplicates import ELSEWHERE, FORGETFUL, KNOWN_BYTES, Entry, Memory
from workers.decide.outcome import Decided
from workers.decide.shadow import FAILED, Shadow
from workers.logs import Hasher, frames
from workers.records import Delivery, OutgoingRecord, Record, Unreadable
from workers.settings import Settings
from workers.state.digests import digest
from workers.state.rocksdb_store import StorageError

log = structlog.get_logger(__name__)


class BehindError(OSError):
    """A request was answered under a revision that this worker has not read yet: it is to be tried again."""


class Decider:
    """Decides requests under the policies of a library."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._encoders = {policy: DecisionEncoder(policy) for policy in library}

    def decide(self, request: AuthorizationRequest, known: bytes | None = None) -> Decided:
        """What is decided of one request; as it was known then, where an earlier answer's `known` is given.

        Raises:
            RejectedError: The request names a policy that is not loaded, or facts that its policy does not have.
            BehindError: What was known then is not known here.
        """
        policy = self._library.named(request.policy_number)
        if policy is None:
            error = FieldError(path="policy_number", message=f"should be one of {', '.join(self._library.numbers)}")
            raise RejectedError("unknown_policy", [error], request.request_id)
        if known is not None:
            policy = self._as_known(policy, known)
        try:
            result = policy.determine(case_of(request))
        except ClinicalViolationError as error:
            errors = [FieldError(path=one.path, message=one.message) for one in error.violations]
            raise RejectedError("schema_violation", errors, request.request_id) from None
        return Decided(request, result, policy, self._encoder(policy).encode(request, result))

    def _as_known(self, policy: Policy, known: bytes) -> Policy:
        then = self._library.knowing(policy.number, known.hex())
        if then is None:
            raise BehindError("the first answer was made under a revision that is not known here yet")
        return then

    def _encoder(self, policy: Policy) -> DecisionEncoder:
        if policy not in self._encoders:
            self._encoders[policy] = DecisionEncoder(policy)
        return self._encoders[policy]


@lru_cache(maxsize=64)
def known_by(policy: Policy) -> bytes:
    """What is known of a policy, as the memory of answers keeps it."""
    return bytes.fromhex(policy.known_through[: 2 * KNOWN_BYTES])


@lru_cache(maxsize=8)
def _decider(library: Library) -> Decider:
    return Decider(library)


def decide(received: Received, library: Library) -> Decision:
    """The decision on one request, as a model to be read.

    Raises:
        RejectedError: The request names a policy that is not loaded, or facts that its policy does not have.
    """
    return Decision.model_validate_json(_decider(library).decide(received.request).encoded.data)


@dataclass(frozen=True)
class DecisionHandler:
    """The decision agent's work on a batch of records."""

    knowledge: Knowledge
    settings: Settings
    memory: Memory = FORGETFUL
    shadow: Shadow | None = None
    """A draft that decides beside, and answers nobody."""

    @cached_property
    def hasher(self) -> Hasher:
        """Hashes request ids for the log."""
        return Hasher(self.settings.log_key)

    def __call__(self, records: Sequence[Record]) -> Answers:
        """All that is to be sent because of the records of one partition, in their order.

        A decision and a change of the memory for a request, and what a shadow makes of it otherwise; nothing for one
        that was answered before; a dead letter for what cannot be decided. All of a batch is decided under the policies
        as they are known at its beginning.

        Raises:
            StorageError: The memory cannot be read; the batch is to be tried again.
            BehindError: A request of it was answered under what is not known here; it is to be tried again.
        """
        decider = _decider(self.knowledge.snapshot())
        answered: dict[bytes, Entry] = {}
        answers = Answers()
        for record in records:
            answers.extend(self._answer(record, decider, answered, answers.tally))
        return answers

    def instead(self, record: Record, refused: frozenset[str]) -> Answers:
        """What is sent for a record whose answer Kafka takes for too large, in one of the topics `refused`.

        Without what a shadow makes of it, where nothing else is too large; else the smallest dead letter, under the
        reason that the record has, or as an internal error where it would have been decided.

        Raises:
            StorageError: As for a batch.
            BehindError: As for a batch.
        """
        if refused <= {self.settings.topic(SHADOW)}:
            answers = replace(self, shadow=None)([record])
            answers.tally.shadow[FAILED] += 1
            return answers
        answers = Answers()
        try:
            received: Received | None = decode(record.value, record.headers)
            rejected = too_large()
        except RejectedError as error:
            received, rejected = None, error
        if received is not None and self.settings.delivery is Delivery.AT_LEAST_ONCE:
            # It may have been remembered as answered already, before its answer was refused.
            key = digest(received.request.request_id.encode())
            answers.append(OutgoingRecord(self.settings.topic(ANSWERED), key, None))  # type: ignore[arg-type]  # nothing else is taken back
        log.error("answer_too_large", topics=sorted(refused), **_place(record))
        answers.tally.oversized.update(refused)
        answers.append(self._rejected(record, received, rejected, answers.tally, small=True))
        return answers

    def _answer(
        self, record: Record, decider: Decider, answered: dict[bytes, Entry], tally: BatchCounters
    ) -> Sequence[OutgoingRecord]:
        """What is to be sent because of one record; `answered` has those that earlier ones of the batch answered."""
        received: Received | None = None
        try:
            if isinstance(record.value, Unreadable):
                raise unreadable(record.value)  # noqa: TRY301 (as any other reason)
            received = decode(record.value, record.headers)
            key = digest(received.request.request_id.encode())
            content = digest(received.request.content())
            known = answered.get(key) or self.memory.find(record.partition, key, record.timestamp)
            if known is not None and not self._comes_again(known, content, record):
                return self._duplicate(record, received, known, content, tally)
            decided = decider.decide(received.request, known.known if known is not None else None)
            outgoing = self._decision(record, received.attributes, decided)
            tally.count(decided.result, decided.policy.number)
        except RejectedError as rejected:
            return [self._rejected(record, received, rejected, tally)]
        except (StorageError, BehindError):
            raise  # no event's fault: the batch is to be tried again
        except Exception as error:  # noqa: BLE001 (a defect must neither stop the partition nor lose the event)
            tally.defects[type(error).__name__] += 1
            self._shout(record, received, error)
            return [self._rejected(record, received, defect(), tally)]
        entry = answered[key] = Entry(content, record.offset, record.timestamp, known_by(decided.policy))
        answer = [outgoing, OutgoingRecord(self.settings.topic(ANSWERED), key, entry.packed())]
        if self.shadow is not None:
            answer += self.shadow.beside(record, received.attributes, decided, tally)
        return answer

    def _comes_again(self, known: Entry, content: bytes, record: Record) -> bool:
        """Whether this is the very record that was answered, redelivered because its answer may not have arrived."""
        return self.settings.delivery is Delivery.AT_LEAST_ONCE and known[:3] == (
            content,
            record.offset,
            record.timestamp,
        )

    def _duplicate(
        self, record: Record, received: Received, known: Entry, content: bytes, tally: BatchCounters
    ) -> list[OutgoingRecord]:
        if known.content == content:
            tally.duplicates += 1
            return []
        where = f"at offset {known.offset} of this partition" if known.offset != ELSEWHERE else "in another partition"
        message = f"used before with other content, {where}"
        error = FieldError(path="request_id", message=message)
        return [self._rejected(record, received, RejectedError("conflicting_duplicate", [error]), tally)]

    def _decision(self, record: Record, attributes: Attributes | None, decided: Decided) -> OutgoingRecord:
        decision_id, data = decided.encoded
        request_id = decided.request.request_id
        source, mode, supersedes = self.settings.source, self.settings.mode, decided.request.supersedes
        said = Wrapping(source, mode, Decision.TYPE, decision_id, request_id, supersedes=supersedes)
        value, headers = wrapped(data, record.position, attributes, said)
        return OutgoingRecord(self.settings.topic(DECISIONS), request_id.encode(), value, headers)

    def _rejected(
        self,
        record: Record,
        received: Received | None,
        rejected: RejectedError,
        tally: BatchCounters,
        *,
        small: bool = False,
    ) -> OutgoingRecord:
        if received is not None:
            rejected.attributes = received.attributes
            rejected.request_id = received.request.request_id
        tally.rejected[rejected.reason] += 1
        log.warning(
            "event_rejected",
            reason=rejected.reason,
            errors=len(rejected.errors),
            request=self.hasher(rejected.request_id),
            **_place(record),
        )
        return rejection(record, rejected, self.settings, small=small)

    def _shout(self, record: Record, received: Received | None, error: Exception) -> None:
        # Where the defect is, and never its text: an exception's message may repeat what it choked on.
        log.error(
            "defect",
            error=type(error).__name__,
            at=frames(error),
            request=self.hasher(received.request.request_id if received else None),
            **_place(record),
        )


def _place(record: Record) -> dict[str, str | int]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}
