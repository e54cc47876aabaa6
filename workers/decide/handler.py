"""Decides records with plain functions: bytes in, bytes out, no broker and no clock.

    decode → case → policy → determine → decision → encode

`decide` decides one event; `DecisionHandler` decides a batch. An event that cannot be decided, because of its content
or a defect of ours, becomes a dead letter, and processing continues.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import structlog

from events import case_event
from events.answer import Mark, Wrapping, wrapped
from events.dead_letter import FieldError
from events.decision import Decision
from events.decode import Received, RejectedError
from events.envelope import Cause, Mode
from events.request_parts import RequestParts, parts_of
from events.topics import ANSWERED, CASE_EVENTS, DECISIONS, SHADOW
from events.typed_reader import Event, read
from policy_core.evaluate.determine import Policy
from policy_core.evaluate.facts import ClinicalViolationError
from policy_core.evaluate.plan import Plan
from policy_core.history.library import Knowledge, Library
from workers.accounts.batch_counters import Answers, BatchCounters
from workers.configuration.settings import Delivery, Settings
from workers.dead_letters.write import defect, rejection, too_large, unreadable
from workers.decide.duplicates import ELSEWHERE, KNOWN_BYTES, NO_MEMORY, Entry, Memory
from workers.decide.outcome import Decided
from workers.decide.shadow import FAILED, Shadow
from workers.decide.writers import WRITERS, Encoder, Writers
from workers.kafka.records import OutgoingRecord, Record, Unreadable
from workers.process.logs import Hasher, frames
from workers.state.request_digests import digest
from workers.state.rocksdb_store import StorageError

log = structlog.get_logger(__name__)


class BehindError(OSError):
    """A request was answered under a revision not read here yet, or by a writer not here; retry it."""


class Decider:
    """Decides requests under the policies of a library."""

    def __init__(self, library: Library, writers: Writers = WRITERS) -> None:
        self._library = library
        self._writers = writers
        self._newest = writers.newest.version
        self._planned: dict[Policy, tuple[Plan, dict[int, Encoder]]] = {}

    def decide(self, request: RequestParts, known: bytes | None = None, writer: int | None = None) -> Decided:
        """Decide one request; with an earlier answer's `known` and `writer`, as it was decided then.

        Raises:
            RejectedError: The request names a policy that is not loaded, or facts unknown to its policy.
            BehindError: That revision is not known here yet, or that writer is not here.
        """
        policy = self._library.named(request.policy_number)
        if policy is None:
            error = FieldError(path="policy_number", message=f"should be one of {', '.join(self._library.numbers)}")
            raise RejectedError("unknown_policy", [error], request.request_id)
        if known is not None:
            policy = self._as_known(policy, known)
        plan, encoders = self._planned.get(policy) or self._plan(policy)
        version = writer or self._newest
        encoder = encoders.get(version) or self._encoder(policy, version)
        try:
            result = plan.decide(request)
        except ClinicalViolationError as error:
            errors = [FieldError(path=violation.path, message=violation.message) for violation in error.violations]
            raise RejectedError("schema_violation", errors, request.request_id) from None
        return Decided(request, result, policy, encoder.encode(request, result), version)

    def _as_known(self, policy: Policy, known: bytes) -> Policy:
        then = self._library.knowing(policy.number, known.hex())
        if then is None:
            raise BehindError("the first answer was made under a revision that is not known here yet")
        return then

    def _plan(self, policy: Policy) -> tuple[Plan, dict[int, Encoder]]:
        made = self._planned[policy] = (Plan(policy), {})
        return made

    def _encoder(self, policy: Policy, version: int) -> Encoder:
        writer = self._writers.of(version)
        if writer is None:
            raise BehindError(f"the first answer was written by version {version}, which this worker does not have")
        made = self._planned[policy][1][version] = writer.encoder(policy)
        return made


@lru_cache(maxsize=64)
def known_by(policy: Policy) -> bytes:
    """The newest known revision of a policy, as answered requests record it."""
    return bytes.fromhex(policy.known_through[: 2 * KNOWN_BYTES])


@lru_cache(maxsize=8)
def _decider(library: Library, writers: Writers = WRITERS) -> Decider:
    return Decider(library, writers)


def decide(received: Received, library: Library) -> Decision:
    """The decision on one request, as a model.

    Raises:
        RejectedError: The request names a policy that is not loaded, or facts unknown to its policy.
    """
    return Decision.model_validate_json(_decider(library).decide(parts_of(received.request)).encoded.data)


def decide_parts(request: RequestParts, policy: Policy) -> Decision:
    """The decision on a request under one version of a policy, as a model.

    Raises:
        RejectedError: The request states facts unknown to the policy.
    """
    return Decision.model_validate_json(_decider(_alone(policy)).decide(request).encoded.data)


@lru_cache(maxsize=8)
def _alone(policy: Policy) -> Library:
    return Library([policy], policy.number)


def decision_wrapping(
    request: RequestParts, decision_id: str, source: str, mode: Mode, mark: Mark | None, writer: int
) -> Wrapping:
    """The envelope and headers of the decision on a request, by a version of the writer."""
    request_id, supersedes, time = request.request_id, request.supersedes, request.submitted
    return Wrapping(source, mode, Decision.TYPE, decision_id, request_id, time, None, supersedes, mark, writer)


@dataclass(frozen=True)
class DecisionHandler:
    """Decides batches of records."""

    knowledge: Knowledge
    settings: Settings
    memory: Memory = NO_MEMORY
    shadow: Shadow | None = None
    """A draft evaluated in addition; it never affects answers."""
    writers: Writers = WRITERS
    """The newest writes; an answer that may repeat is written by its first writer."""

    @cached_property
    def hasher(self) -> Hasher:
        """Hashes request ids for the log."""
        return Hasher(self.settings.log_key)

    def __call__(self, records: Sequence[Record]) -> Answers:
        """The records to send for a batch of one partition, in order.

        For a request: a decision, an answered-request entry, an event for its case, and one if the draft differs. For a
        repeated request: nothing. For an event that cannot be decided: a dead letter. The whole batch is decided under
        the policies known at its start.

        Raises:
            StorageError: The answered requests cannot be read; retry the batch.
            BehindError: One of its requests was answered under a revision not known here yet, or by a writer that is
                not here; retry the batch.
        """
        decider = _decider(self.knowledge.snapshot(), self.writers)
        answered: dict[bytes, Entry] = {}
        answers = Answers()
        for record in records:
            answers.extend(self._answer(record, decider, answered, answers.counters))
        answers.counters.sum_up()
        return answers

    def instead(self, record: Record, refused: frozenset[str]) -> Answers:
        """The replacement for an answer that is too large for one of the topics `refused`.

        If only the draft's event is too large, it is left out. Otherwise the smallest dead letter is sent, with the
        record's own reason, or as an internal error if it would have been decided.

        Raises:
            StorageError: As for a batch.
            BehindError: As for a batch.
        """
        if refused <= {self.settings.topic(SHADOW)}:
            answers = replace(self, shadow=None)([record])
            answers.counters.shadow[FAILED] += 1
            return answers
        answers = Answers()
        try:
            received: Event | None = read(record.value, record.headers)
            rejected = too_large()
        except RejectedError as error:
            received, rejected = None, error
        if received is not None and self.settings.delivery is Delivery.AT_LEAST_ONCE:
            # It may already be recorded as answered although its answer was refused.
            key = digest(received.request.request_id.encode())
            answers.append(OutgoingRecord(self.settings.topic(ANSWERED), key, None))  # type: ignore[arg-type]  # the only deletion
        log.error("answer_too_large", topics=sorted(refused), **_place(record))
        answers.counters.oversized.update(refused)
        answers.append(self._rejected(record, received, rejected, answers.counters, small=True))
        return answers

    def _answer(
        self, record: Record, decider: Decider, answered: dict[bytes, Entry], counters: BatchCounters
    ) -> Sequence[OutgoingRecord]:
        """The records to send for one record; `answered` has the requests answered earlier in the batch."""
        received: Event | None = None
        try:
            if isinstance(record.value, Unreadable):
                raise unreadable(record.value)  # noqa: TRY301 (handled like other rejections)
            received = read(record.value, record.headers)
            key = digest(received.request.request_id.encode())
            content = digest(received.request.content)
            known = answered.get(key) or self.memory.find(record.partition, key, record.timestamp)
            if known is not None and not self._comes_again(known, content, record):
                return self._duplicate(record, received, known, content, counters)
            then = (known.known, known.writer) if known is not None else ()
            decided = decider.decide(received.request, *then)
            outgoing = self._decision(record, received.cause, decided)
            counters.count(decided.result.outcome, decided.policy.number)
        except RejectedError as rejected:
            return [self._rejected(record, received, rejected, counters)]
        except (StorageError, BehindError):
            raise  # not the event's fault: the batch is retried
        except Exception as error:  # noqa: BLE001 (a defect must not stop the partition or lose the event)
            counters.defects[type(error).__name__] += 1
            self._log_defect(record, received, error)
            return [self._rejected(record, received, defect(), counters)]
        known_then = known_by(decided.policy)
        entry = answered[key] = Entry(content, record.offset, record.timestamp, known_then, decided.writer)
        answer = [
            outgoing,
            OutgoingRecord(self.settings.topic(ANSWERED), key, entry.packed()),
            self._case_event(received, decided),
        ]
        if self.shadow is not None:
            answer += self.shadow.differences(record, received.cause, decided, counters)
        return answer

    def _comes_again(self, known: Entry, content: bytes, record: Record) -> bool:
        """Whether this is the answered record itself, redelivered because its answer may not have arrived."""
        return self.settings.delivery is Delivery.AT_LEAST_ONCE and known[:3] == (
            content,
            record.offset,
            record.timestamp,
        )

    def _duplicate(
        self, record: Record, received: Event, known: Entry, content: bytes, counters: BatchCounters
    ) -> list[OutgoingRecord]:
        if known.content == content:
            counters.duplicates += 1
            return []
        where = f"at offset {known.offset} of this partition" if known.offset != ELSEWHERE else "in another partition"
        message = f"used before with other content, {where}"
        error = FieldError(path="request_id", message=message)
        return [self._rejected(record, received, RejectedError("conflicting_duplicate", [error]), counters)]

    def _decision(self, record: Record, cause: Cause | None, decided: Decided) -> OutgoingRecord:
        decision_id, data = decided.encoded
        request_id = decided.request.request_id
        source, mode = self.settings.source, self.settings.mode
        wrapping = decision_wrapping(decided.request, decision_id, source, mode, None, decided.writer)
        value, headers = wrapped(data, record.position, cause, wrapping)
        return OutgoingRecord(self.settings.topic(DECISIONS), request_id.encode(), value, headers)

    def _case_event(self, received: Event, decided: Decided) -> OutgoingRecord:
        correlation = received.cause.correlation_id if received.cause is not None else None
        event = case_event.decided(correlation, received.request.content, decided.encoded.data)
        return OutgoingRecord(self.settings.topic(CASE_EVENTS), decided.request.request_id.encode(), event)

    def _rejected(
        self,
        record: Record,
        received: Event | None,
        rejected: RejectedError,
        counters: BatchCounters,
        *,
        small: bool = False,
    ) -> OutgoingRecord:
        if received is not None:
            rejected.cause = received.cause
            rejected.request_id = received.request.request_id
        counters.rejected[rejected.reason] += 1
        log.warning(
            "event_rejected",
            reason=rejected.reason,
            errors=len(rejected.errors),
            request=self.hasher(rejected.request_id),
            **_place(record),
        )
        return rejection(record, rejected, self.settings, small=small)

    def _log_defect(self, record: Record, received: Event | None, error: Exception) -> None:
        # The place of the defect, never its message, which may contain personal data.
        log.error(
            "defect",
            error=type(error).__name__,
            at=frames(error),
            request=self.hasher(received.request.request_id if received else None),
            **_place(record),
        )


def _place(record: Record) -> dict[str, str | int]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}
