"""What the decision agent does with records, as plain functions: bytes in, bytes out, no broker and no clock.

    decode → case → policy → determine → decision → encode

`decide` takes one event through; `Handler` does so for a batch and never raises: an event that cannot be decided, by its
own fault or by a defect of ours, becomes a dead letter, and the next one goes on.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from events.dead_letter import SENTENCES, DeadLetter, FieldError, Header, Original, letter_id
from events.decision import Decision
from events.decode import Received, RejectedError, decode
from events.envelope import JSON, SPECVERSION, Attributes, Mode, write
from events.topics import DEAD_LETTERS, DECISIONS
from policy_core.facts import ClinicalViolationError
from policy_core.library import Library
from workers import metrics
from workers.decide.translate import case_of, decision_of
from workers.logs import Hasher
from workers.records import Outgoing, Record

log = structlog.get_logger(__name__)


def decide(received: Received, library: Library) -> Decision:
    """The decision on one request.

    Raises:
        RejectedError: The request names a policy that is not loaded, or facts that its policy does not have.
    """
    request = received.request
    policy = library.named(request.policy_number)
    if policy is None:
        error = FieldError(path="policy_number", message=f"should be one of {', '.join(library.numbers)}")
        raise RejectedError("unknown_policy", [error], request.request_id)
    try:
        result = policy.determine(case_of(request))
    except ClinicalViolationError as error:
        errors = [FieldError(path=one.path, message=one.message) for one in error.violations]
        raise RejectedError("schema_violation", errors, request.request_id) from None
    return decision_of(request, result, policy)


def dead_letter(record: Record | None, value: bytes | None, rejected: RejectedError) -> DeadLetter:
    """The dead letter for an event: the record, byte for byte, or only its value where there was no record."""
    return DeadLetter(
        reason=rejected.reason,
        message=SENTENCES[rejected.reason],
        errors=rejected.errors,
        request_id=rejected.request_id,
        original=_original(record, value),
    )


def defect() -> RejectedError:
    """The reason for an event that met a defect of ours: nothing of the defect's own text, which may repeat data."""
    return RejectedError("internal_error", [FieldError(path="", message="not decided; the worker's log names the defect")])


def _original(record: Record | None, value: bytes | None) -> Original:
    if record is None:
        return Original(value_base64=_base64(value))
    return Original(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        key_base64=_base64(record.key),
        value_base64=_base64(record.value),
        headers=tuple(Header(name=name, value_base64=_base64(text or b"")) for name, text in record.headers),
    )


def _base64(raw: bytes | None) -> str | None:
    return None if raw is None else b64encode(raw).decode()


@dataclass(frozen=True)
class DecisionHandler:
    """The decision agent's work on a batch of records."""

    library: Library
    source: str
    """The CloudEvents source of what is published."""
    mode: Mode
    prefix: str
    """Of the topics' names."""
    hasher: Hasher

    def __call__(self, records: Sequence[Record]) -> list[Outgoing]:
        """One decision or dead letter for every record, in their order."""
        return [self._answer(record) for record in records]

    def _answer(self, record: Record) -> Outgoing:
        received: Received | None = None
        try:
            received = decode(record.value, record.headers)
            decision = decide(received, self.library)
            outgoing = self._decision(received.attributes, decision)
            self._count(decision)
        except RejectedError as rejected:
            return self._rejected(record, received, rejected)
        except Exception as error:  # noqa: BLE001 (a defect must neither stop the partition nor lose the event)
            self._shout(record, received, error)
            return self._rejected(record, received, defect())
        return outgoing

    def _decision(self, attributes: Attributes | None, decision: Decision) -> Outgoing:
        identity = {"source": self.source, "type": Decision.TYPE, "subject": decision.request_id}
        value, headers = write(_caused(attributes, decision.decision_id, identity), decision.to_json(), self.mode)
        return Outgoing(self.prefix + DECISIONS, decision.request_id.encode(), value, headers)

    def _rejected(self, record: Record, received: Received | None, rejected: RejectedError) -> Outgoing:
        letter = dead_letter(record, record.value, rejected)
        data = letter.to_json()
        identity = {"source": self.source, "type": DeadLetter.TYPE, "subject": letter.request_id}
        value, headers = write(_caused(received and received.attributes, letter_id(data), identity), data, self.mode)
        metrics.DEAD_LETTERS.labels(rejected.reason).inc()
        log.warning(
            "event_rejected",
            reason=rejected.reason,
            errors=len(rejected.errors),
            request=self.hasher(rejected.request_id),
            **_place(record),
        )
        return Outgoing(self.prefix + DEAD_LETTERS, record.key or _place_key(record), value, headers)

    def _count(self, decision: Decision) -> None:
        for line in decision.lines:
            revision = line.policy.revision.isoformat() if line.policy.revision else "none"
            metrics.DECIDED_LINES.labels(line.determination, line.action, line.policy.number, revision).inc()
        metrics.DECISIONS.labels(decision.action).inc()

    def _shout(self, record: Record, received: Received | None, error: Exception) -> None:
        # Where the defect is, and never its text: an exception's message may repeat what it choked on.
        metrics.DEFECTS.labels(type(error).__name__).inc()
        log.error(
            "defect",
            error=type(error).__name__,
            at=_frames(error),
            request=self.hasher(received.request.request_id if received else None),
            **_place(record),
        )


def _caused(attributes: Attributes | None, id: str, identity: dict[str, str | None]) -> Attributes:  # noqa: A002 (CloudEvents' name)
    source, kind, subject = str(identity["source"]), str(identity["type"]), identity["subject"]
    if attributes is not None:
        return attributes.caused(id=id, source=source, type=kind, subject=subject)
    return Attributes(id=id, source=source, specversion=SPECVERSION, type=kind, subject=subject, datacontenttype=JSON)


def _place(record: Record) -> dict[str, str | int]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}


def _place_key(record: Record) -> bytes:
    return f"{record.topic}/{record.partition}/{record.offset}".encode()


def _frames(error: BaseException) -> list[str]:
    frames: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return frames


