"""Handles `authorization.case-events`: the only writer of its partition's cases.

case event ─► lifecycle ─► authorization.cases        the case, if it changed
├──► authorization.decisions    after a verdict or an extension
├──► authorization.deadlines    when time has passed
├──► authorization.dead-letters a verdict that may not stand, with its own bytes
└──► authorization.ledger       what another case has to hear, on its way there
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import NamedTuple

import structlog

from events.answer import Wrapping, wrapped
from events.case import Case
from events.case_event import (
    CarriedRecord,
    CaseEvent,
    Decided,
    LinkJudged,
    Reviewed,
    Superseding,
    TimePassed,
    case_event_of,
)
from events.dead_letter import FieldError
from events.deadline import Deadline
from events.decision import Decision
from events.decode import ReceivedReview, RejectedError, decode_review
from events.envelope import Cause
from events.field_types import instant, instant_of, written_instant
from events.origin_headers import RecordPosition
from events.request import AuthorizationRequest
from events.request_parts import parts_of
from events.topics import CASES, DEADLINES, DECISIONS, LEDGER
from events.verdict import AuthorizationReviewed
from policy_core.evaluate.determine import Policy
from policy_core.history.library import Knowledge, Library
from workers.cases import lifecycle
from workers.cases.case_counters import CaseChanges
from workers.cases.lifecycle import Change
from workers.cases.opening import Opening
from workers.cases.route import routed
from workers.configuration.settings import Settings
from workers.dead_letters.write import defect, rejection, too_large, unreadable
from workers.decide.handler import BehindError, decide_parts
from workers.kafka.records import OutgoingRecord, Record, Unreadable
from workers.process.logs import Hasher, frames
from workers.state.request_digests import digest, partition_of
from workers.state.rocksdb_store import StorageError

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 30.0
"""How long a revision that a decision names may be unknown here. Then it is one that was withdrawn, and the newest
stands in for it: one such case must not stop the others."""


class States(NamedTuple):
    """Where cases are found."""

    find: Callable[[int, bytes], Case | None]
    """By partition and request id."""
    due: Callable[[int, int], list[bytes]]
    """The request ids of which time makes something, by partition and moment."""


class CaseHandler:
    """Handles the case events of partitions, in batches."""

    def __init__(
        self,
        knowledge: Knowledge,
        settings: Settings,
        states: States,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Handle case events under the known policies; `clock` only limits the patience with unknown revisions."""
        self._knowledge = knowledge
        self._settings = settings
        self._states = states
        self._clock = clock
        self._unknown_since: dict[tuple[str, str], float] = {}

    @cached_property
    def _hasher(self) -> Hasher:
        return Hasher(self._settings.log_key)

    def __call__(self, records: Sequence[Record]) -> CaseChanges:
        """The records to send for a batch of one partition, in order.

        Raises:
            StorageError: The cases cannot be read; retry the batch.
            BehindError: A decision names a revision that is not known here yet; retry the batch.
        """
        changes = CaseChanges()
        batch = _Batch(self._knowledge.snapshot(), self._states.find, records[0].partition if records else 0)
        for record in records:
            changes.extend(self._happened(record, batch, changes))
        return changes

    def instead(self, record: Record, refused: frozenset[str]) -> CaseChanges:
        """The smallest dead letter, instead of what is too large for Kafka; the case stays as it is."""
        changes = CaseChanges()
        log.error("case_too_large", topics=sorted(refused), **_place(record))
        rejected = unreadable(record.value) if isinstance(record.value, Unreadable) else too_large()
        changes.append(rejection(_origin(record), rejected, self._settings, small=True))
        changes.counters.became("refused" if _is_review(record) else "nothing")
        return changes

    def _happened(self, record: Record, batch: "_Batch", changes: CaseChanges) -> Sequence[OutgoingRecord]:
        try:
            if isinstance(record.value, Unreadable):
                return [rejection(record, unreadable(record.value), self._settings)]
            event = case_event_of(record.value)
            request = record.key or b""
            request.decode()
        except (ValueError, UnicodeDecodeError):
            error = FieldError(path="", message="is no event of a case")
            return [rejection(record, RejectedError("undecodable", [error]), self._settings)]
        try:
            answers = list(self._answers(record, event, request, batch, changes))
        except (StorageError, BehindError):
            raise  # not the event's fault: the batch is retried
        except Exception as error:  # noqa: BLE001 (a defect must not stop the partition or lose the event)
            _log_defect(record, error)
            changes.counters.defects[type(error).__name__] += 1
            changes.counters.became("refused" if isinstance(event, Reviewed) else "nothing")
            batch.forget()
            return [rejection(_origin_of(event, record), defect(), self._settings)]
        batch.keep()
        return answers

    def _answers(
        self, record: Record, event: CaseEvent, request: bytes, batch: "_Batch", changes: CaseChanges
    ) -> Iterator[OutgoingRecord]:
        if isinstance(event, TimePassed):
            now = instant(instant_of(record.timestamp))
            due = dict.fromkeys((*self._states.due(record.partition, record.timestamp), *batch.kept))
            for waiting in due:
                case = batch.find(waiting)
                if case is not None:
                    yield from self._published(record, batch, case, lifecycle.passed(case, now), changes, None)
            return
        if isinstance(event, Reviewed):
            yield from self._reviewed(event.record, request, batch, changes)
            return
        case = batch.find(request)
        if isinstance(event, Decided):
            opening = Opening(event)
            if case is None or not _is_of(opening, case):
                opened = self._opened(opening, record, batch.library)
                yield from self._published(record, batch, case, opened, changes, None)
        elif case is not None and isinstance(event, LinkJudged):
            yield from self._published(record, batch, case, lifecycle.judged(case, event), changes, None)
        elif case is not None and isinstance(event, Superseding):
            change = lifecycle.superseded(case, event, record.timestamp)
            yield from self._published(record, batch, case, change, changes, None)

    def _opened(self, opening: Opening, record: Record, library: Library) -> Change:
        policy = self._policy(library, *opening.policy)
        beside = None
        if opening.needs_statements:
            request = parts_of(AuthorizationRequest.model_validate_json(bytes(opening.decided.request)))
            beside = decide_parts(request._replace(has_prior_authorization=True), policy)
        return lifecycle.opened(opening, record.timestamp, policy, beside)

    def _reviewed(
        self, carried: CarriedRecord, request: bytes, batch: "_Batch", changes: CaseChanges
    ) -> Iterator[OutgoingRecord]:
        origin = carried_record(carried)
        try:
            received = decode_review(origin.value, origin.headers)
        except RejectedError as rejected:  # by a newer version that had read it before
            changes.counters.became("refused")
            yield rejection(origin, rejected, self._settings)
            return
        case = batch.find(request)
        if case is None:
            changes.counters.became("refused")
            yield rejection(origin, unknown(received), self._settings)
            return
        policy = self._policy(batch.library, case.policy, case.known_through)
        event = received.event
        if isinstance(event, AuthorizationReviewed):
            change = lifecycle.reviewed(case, event, origin.timestamp, policy)
        else:
            change = lifecycle.extended(case, event, policy)
        yield from self._published(origin, batch, case, change, changes, received)

    def _published(
        self,
        origin: Record,
        batch: "_Batch",
        before: Case | None,
        change: Change,
        changes: CaseChanges,
        received: ReceivedReview | None,
    ) -> Iterator[OutgoingRecord]:
        """The records of a change; `origin` is the record that made it, as it was first published."""
        changes.counters.became(change.became)
        settings, case = self._settings, change.case
        key = case.request_id.encode()
        if change.case is not before:
            batch.change(key, case)
            changes.counters.moved(before, case)
            yield OutgoingRecord(settings.topic(CASES), key, case.packed())
        if change.decision is not None and received is not None:
            yield self._decision(origin, case, change.decision, received)
        if change.rejected is not None:
            yield self._rejected(origin, change.rejected, received)
        for deadline in change.announced:
            yield self._deadline(origin, case, deadline)
        for told, event in change.told:
            named = digest(told.encode())
            yield OutgoingRecord(settings.topic(LEDGER), named, routed(told, event), to=partial(partition_of, named))

    def _decision(self, origin: Record, case: Case, decision: Decision, received: ReceivedReview) -> OutgoingRecord:
        event, attributes = received.event, received.attributes
        decided_at = event.decided_at if isinstance(event, AuthorizationReviewed) else None
        at = written_instant(decided_at) if decided_at is not None else instant_of(origin.timestamp)
        value, headers = decision_record(
            decision, origin.position, at, attributes.cause(), case.correlation, self._settings
        )
        return OutgoingRecord(self._settings.topic(DECISIONS), case.request_id.encode(), value, headers)

    def _rejected(self, origin: Record, rejected: RejectedError, received: ReceivedReview | None) -> OutgoingRecord:
        if received is not None:
            rejected.cause = received.attributes.cause()
        log.warning(
            "review_refused" if received is not None else "link_refused",
            reason=rejected.reason,
            paths=sorted({error.path for error in rejected.errors}),
            request=self._hasher(rejected.request_id),
            **_place(origin),
        )
        return rejection(origin, rejected, self._settings)

    def _deadline(self, origin: Record, case: Case, deadline: Deadline) -> OutgoingRecord:
        settings, event_id = self._settings, deadline.event_id()
        cause = Cause(case.decision_id, case.correlation or case.decision_id, None)
        wrapping = Wrapping(
            settings.source, settings.mode, Deadline.TYPE, event_id, case.request_id, instant_of(origin.timestamp)
        )
        value, headers = wrapped(deadline.to_json(), origin.position, cause, wrapping)
        return OutgoingRecord(settings.topic(DEADLINES), case.request_id.encode(), value, headers)

    def _policy(self, library: Library, number: str, known_through: str) -> Policy:
        """The policy in the version that a decision names.

        Raises:
            BehindError: It is not known here yet.
        """
        named = library.knowing(number, known_through)
        if named is not None:
            self._unknown_since.pop((number, known_through), None)
            return named
        since = self._unknown_since.setdefault((number, known_through), self._clock())
        newest = library.named(number)
        if newest is None or self._clock() - since < PATIENCE_SECONDS:
            raise BehindError("a decision was made under a revision that is not known here yet")
        log.warning("revision_withdrawn", policy=number, known_through=known_through)
        return newest


class _Batch:
    """The cases as the records of a batch have changed them so far."""

    def __init__(self, library: Library, find: Callable[[int, bytes], Case | None], partition: int) -> None:
        self.library = library
        self._find = find
        self._partition = partition
        self.kept: dict[bytes, Case] = {}
        self._changed: dict[bytes, Case] = {}  # by the record in progress

    def find(self, request: bytes) -> Case | None:
        return self._changed.get(request) or self.kept.get(request) or self._find(self._partition, request)

    def change(self, request: bytes, case: Case) -> None:
        self._changed[request] = case

    def keep(self) -> None:
        self.kept |= self._changed
        self._changed.clear()

    def forget(self) -> None:
        self._changed.clear()


def decision_record(
    decision: Decision, position: RecordPosition, at: str, cause: Cause, correlation: str | None, settings: Settings
) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
    """The value and headers of a decision made from a verdict or an extension.

    Args:
        decision: The decision.
        position: The position of the verdict.
        at: The envelope's time.
        cause: What the decision says of the verdict's event.
        correlation: The id that all events of the matter share; by default, the verdict's own.
        settings: The sender.
    """
    event_id, request_id = decision.decision_id, decision.request_id
    cause = cause._replace(correlation_id=correlation or cause.correlation_id)
    # Without the header of a link: the request's own decision has it.
    wrapping = Wrapping(settings.source, settings.mode, Decision.TYPE, event_id, request_id, at)
    return wrapped(decision.to_json(), position, cause, wrapping)


def unknown(received: ReceivedReview) -> RejectedError:
    """The rejection of a verdict or an extension of a request that is unknown."""
    message = "no decision on this request is known here; send it again once there is one"
    rejected = RejectedError(
        "unknown_request", [FieldError(path="request_id", message=message)], received.event.request_id
    )
    rejected.cause = received.attributes.cause()
    return rejected


def carried_record(carried: CarriedRecord) -> Record:
    """The record that a case event carries, as it was read."""
    return Record(
        carried.topic,
        carried.partition,
        carried.offset,
        carried.timestamp,
        carried.key,
        carried.value,
        carried.decoded_headers(),
    )


def _is_of(opening: Opening, case: Case) -> bool:
    """Whether a case is that of this very decision, which is read once more."""
    return opening.decision_id == case.decision_id or opening.decision_id in case.earlier_decisions


def _is_review(record: Record) -> bool:
    try:
        return isinstance(case_event_of(record.value), Reviewed)
    except ValueError:
        return False


def _origin_of(event: CaseEvent, record: Record) -> Record:
    return carried_record(event.record) if isinstance(event, Reviewed) else record


def _origin(record: Record) -> Record:
    """The record as it was first published."""
    try:
        return _origin_of(case_event_of(record.value), record)
    except ValueError:
        return record


def _log_defect(record: Record, error: Exception) -> None:
    # The place of the defect, never its message, which may contain personal data.
    log.error("case_defect", error=type(error).__name__, at=frames(error), **_place(record))


def _place(record: Record) -> Mapping[str, str | int]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}
