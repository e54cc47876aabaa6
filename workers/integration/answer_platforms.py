"""Answers platforms in their own formats: the handler of `integration.events`, the only writer of its contexts.

integration.events ─► AnswerPlatforms ─► pas.responses, x12.278.responses
└──► integration.contexts, its local store
└──► authorization.dead-letters, what is no event
"""

from collections.abc import Callable, Sequence

import msgspec
import structlog
from msgspec import Raw

from events.adapters.adapter import Decided
from events.adapters.formats import FORMATS
from events.adapters.submission import Context, Submission
from events.dead_letter import DeadLetter, FieldError
from events.decision import Decision
from events.decode import RejectedError
from events.envelope import is_binary
from events.integration_event import Answered, Asked, Kept, Requested, integration_event_of, kept_of, packed
from events.topics import CONTEXTS, REQUESTS
from workers.accounts.tally import Tallied
from workers.configuration.settings import Settings
from workers.dead_letters.write import defect, rejection, too_large, unreadable
from workers.integration.records import answer_record, carried_record, place
from workers.integration.refusals import refusal_of
from workers.kafka.records import OutgoingRecord, Record, Unreadable
from workers.process.logs import frames
from workers.state.rocksdb_store import StorageError

log = structlog.get_logger(__name__)

OUTCOMES = ("opened", "answered", "refused", "answered_again", "not_answered", "not_ours", "undelivered")
"""What becomes of an event: `opened`, a context; `answered` and `refused`, the answer to a request; `answered_again`,
that to a repeated message or an inquiry; `not_answered`, nothing is due (the same decision again, or none yet)."""
_STANDS = frozenset({"circular_link", "denied_link", "verdict_refused", "unknown_request"})
"""Reasons of dead letters that leave the request as it is."""
Find = Callable[[int, bytes], bytes | None]


class AnswerPlatforms:
    """Answers requests and what is asked again."""

    def __init__(self, settings: Settings, find: Find) -> None:
        """`find` looks into the store of contexts."""
        self._settings = settings
        self._find = find
        self._requests = settings.topic(REQUESTS)

    def __call__(self, records: Sequence[Record]) -> Tallied:
        """The records to send for a batch of one partition, in order.

        Raises:
            StorageError: The contexts cannot be read; retry the batch.
        """
        sent = Tallied()
        changed: dict[bytes, bytes] = {}
        for record in records:
            try:
                sent += self._answers(record, changed, sent)
            except StorageError:
                raise  # not the record's fault: the batch is retried
            except RejectedError as rejected:
                sent.append(rejection(record, rejected, self._settings))
                sent.counts["undelivered"] += 1
            except Exception as error:  # noqa: BLE001 (a defect must not stop the partition or lose the answer)
                log.error("defect", error=type(error).__name__, at=frames(error), **place(record))  # noqa: TRY400 (its message may be personal)
                sent.append(rejection(record, defect(), self._settings))
                sent.counts["undelivered"] += 1
        return sent

    def instead(self, record: Record, refused: frozenset[str]) -> Tallied:
        """The smallest dead letter, instead of what is too large for Kafka."""
        log.error("answer_too_large", topics=sorted(refused), **place(record))
        sent = Tallied([rejection(record, too_large(), self._settings, small=True)])
        sent.counts["undelivered"] += 1
        return sent

    def _answers(self, record: Record, changed: dict[bytes, bytes], sent: Tallied) -> list[OutgoingRecord]:
        if isinstance(record.value, Unreadable):
            raise unreadable(record.value)
        try:
            event = integration_event_of(record.value)
        except ValueError as error:
            raise RejectedError("undecodable", [FieldError(path="", message=str(error))]) from None
        key = record.key or b""
        stored = changed.get(key) or self._find(record.partition, key)
        if isinstance(event, Requested):
            if stored is not None:  # delivered at least once
                sent.counts["not_answered"] += 1
                return []
            kept = packed(Kept(event.context))
            changed[key] = kept
            sent.counts["opened"] += 1
            return [self._kept(key, kept)]
        if stored is None:
            sent.counts["not_ours"] += 1
            return []
        known = kept_of(stored)
        context = Context.model_validate_json(bytes(known.context))
        if isinstance(event, Asked):
            return self._again(record, event, known, context, sent)
        return self._answered(event, known, context, key, changed, sent)

    def _answered(
        self,
        event: Answered,
        known: Kept,
        context: Context,
        key: bytes,
        changed: dict[bytes, bytes],
        sent: Tallied,
    ) -> list[OutgoingRecord]:
        origin = carried_record(event.record)
        data = _data(origin)
        if event.by == "decision":
            decision = Decision.model_validate_json(data)
            if known.decision and _id(known.decision) == decision.decision_id:
                sent.counts["not_answered"] += 1
                return []
            now = Kept(known.context, Raw(data), at=origin.timestamp)
            answer = FORMATS[context.format].adapter.answer(context, Decided(decision, origin.timestamp))
            sent.counts["answered"] += 1
        else:
            letter = DeadLetter.model_validate_json(data)
            stands = letter.reason in _STANDS or letter.original.topic != self._requests
            if stands or known.decision or known.letter:
                sent.counts["not_answered"] += 1
                return []
            now = Kept(known.context, letter=Raw(data), at=origin.timestamp)
            answer = _refused(context, letter, origin.timestamp)
            sent.counts["refused"] += 1
        kept = packed(now)
        changed[key] = kept
        records = answer_record(context, answer, origin.position, context.request_id, self._settings)
        return [*records, self._kept(key, kept)]

    def _again(
        self, record: Record, event: Asked, known: Kept, context: Context, sent: Tallied
    ) -> list[OutgoingRecord]:
        asked = Submission.model_validate_json(bytes(event.submission))
        adapter = FORMATS[asked.format].adapter
        decided = None
        if known.decision:
            decided = Decided(Decision.model_validate_json(bytes(known.decision)), known.at)
        if asked.kind == "inquire":
            answer = adapter.report(asked, context, decided, record.timestamp)
        elif decided is not None:
            answer = adapter.answer(context, decided)
        elif known.letter:
            answer = _refused(context, DeadLetter.model_validate_json(bytes(known.letter)), known.at)
        else:  # its answer is on the way
            sent.counts["not_answered"] += 1
            return []
        sent.counts["answered_again"] += 1
        return answer_record(asked, answer, record.position, context.request_id, self._settings)

    def _kept(self, key: bytes, value: bytes) -> OutgoingRecord:
        return OutgoingRecord(self._settings.topic(CONTEXTS), key, value)


def _refused(context: Context, letter: DeadLetter, at: int) -> bytes:
    return FORMATS[context.format].adapter.refuse(context, refusal_of(letter), at)


def _data(record: Record) -> bytes:
    """The data of an event of ours, as it was written."""
    value = record.value or b""
    return value if is_binary(record.headers) else bytes(_envelope.decode(value).data)


class _Envelope(msgspec.Struct):
    data: Raw


_envelope: msgspec.json.Decoder[_Envelope] = msgspec.json.Decoder(_Envelope)


class _Decision(msgspec.Struct):
    decision_id: str


_decision: msgspec.json.Decoder[_Decision] = msgspec.json.Decoder(_Decision)


def _id(decision: Raw) -> str:
    return _decision.decode(decision).decision_id
