"""Joins messages of one trace: the handler of `integration.submissions`.

integration.submissions ─► ResolveTraces ─► authorization.requests, integration.events   a new request, its context
│    ├──► integration.events                           the same message again
│    └──► authorization.dead-letters, pas.responses …  what cannot be one
└───────► integration.chains, its local store
"""

from collections.abc import Callable, Sequence

import structlog
from msgspec import Raw

from events.adapters.chain import Again, Requested, chain_key, resolve
from events.adapters.formats import FORMATS
from events.adapters.submission import Chain, Refusal, Submission
from events.dead_letter import FieldError
from events.decode import RejectedError
from events.integration_event import Asked, read_of
from events.integration_event import Requested as RequestedEvent
from events.topics import CHAINS
from workers.accounts.tally import Tallied
from workers.configuration.settings import Settings
from workers.dead_letters.write import defect, rejection, too_large, unreadable
from workers.integration.records import answer_record, carried_record, event_record, place, rejected_of, request_record
from workers.integration.refusals import refusal_by_path
from workers.kafka.records import OutgoingRecord, Record, Unreadable
from workers.process.logs import frames
from workers.state.request_digests import digest
from workers.state.rocksdb_store import StorageError

log = structlog.get_logger(__name__)

OUTCOMES = ("requested", "again", "not_known", "refused")
"""What becomes of a submission; `again` is a repeat or an inquiry of a known trace, `not_known` one of another."""
Find = Callable[[int, bytes], bytes | None]
"""The stored value of a key in a partition."""


class ResolveTraces:
    """Makes requests of submissions."""

    def __init__(self, settings: Settings, find: Find) -> None:
        """`find` looks into the store of chains."""
        self._settings = settings
        self._find = find

    def __call__(self, records: Sequence[Record]) -> Tallied:
        """The records to send for a batch of one partition, in order.

        Raises:
            StorageError: The chains cannot be read; retry the batch.
        """
        sent = Tallied()
        changed: dict[bytes, Chain] = {}
        for record in records:
            try:
                self._take(record, changed, sent)
            except StorageError:
                raise  # not the record's fault: the batch is retried
            except RejectedError as rejected:
                self._reject(record, rejected, sent)
            except Exception as error:  # noqa: BLE001 (a defect must not stop the partition or lose the message)
                log.error("defect", error=type(error).__name__, at=frames(error), **place(record))  # noqa: TRY400 (its message may be personal)
                self._reject(record, defect(), sent)
        return sent

    def instead(self, record: Record, refused: frozenset[str]) -> Tallied:
        """A small dead letter and an answer, instead of what is too large for Kafka."""
        log.error("submission_too_large", topics=sorted(refused), **place(record))
        sent = Tallied()
        self._reject(record, too_large(), sent, small=True)
        return sent

    def _take(self, record: Record, changed: dict[bytes, Chain], sent: Tallied) -> None:
        if isinstance(record.value, Unreadable):
            raise unreadable(record.value)
        try:
            read = read_of(record.value)
            submission = Submission.model_validate_json(bytes(read.submission))
        except ValueError:
            raise RejectedError("undecodable", [FieldError(path="", message="is no submission")]) from None
        key = digest(chain_key(submission))
        chain = changed.get(key) or self._stored(record.partition, key)
        found = resolve(submission, chain)
        origin, settings = carried_record(read.record), self._settings
        if isinstance(found, Requested):
            request, context = found.request, found.context
            sent += [
                request_record(request, context, origin.position, settings),
                event_record(
                    request.request_id.encode(),
                    RequestedEvent(Raw(context.model_dump_json().encode())),
                    settings,
                ),
                OutgoingRecord(settings.topic(CHAINS), key, found.chain.model_dump_json().encode()),
            ]
            changed[key] = found.chain
            sent.counts["requested"] += 1
        elif isinstance(found, Again) and found.request_id is not None:
            sent.append(event_record(found.request_id.encode(), Asked(read.submission), settings))
            sent.counts["again"] += 1
        elif isinstance(found, Again):
            answer = FORMATS[submission.format].adapter.report(submission, None, None, record.timestamp)
            sent += answer_record(submission, answer, origin.position, None, settings)
            sent.counts["not_known"] += 1
        else:
            self._refuse(record, submission, found, origin, sent)

    def _stored(self, partition: int, key: bytes) -> Chain | None:
        value = self._find(partition, key)
        return Chain.model_validate_json(value) if value is not None else None

    def _refuse(self, record: Record, submission: Submission, refusal: Refusal, origin: Record, sent: Tallied) -> None:
        rejected = rejected_of(refusal)
        log.warning("submission_refused", paths=[error.path for error in rejected.errors], **place(origin))
        answer = FORMATS[submission.format].adapter.refuse(submission, refusal, record.timestamp)
        sent.append(rejection(origin, rejected, self._settings))
        sent += answer_record(submission, answer, origin.position, None, self._settings)
        sent.counts["refused"] += 1

    def _reject(self, record: Record, rejected: RejectedError, sent: Tallied, *, small: bool = False) -> None:
        """A dead letter of the original record where it is known, and an answer where its submission is."""
        sent.counts["refused"] += 1
        try:
            read = read_of(record.value)
            submission = Submission.model_validate_json(bytes(read.submission))
        except ValueError:
            sent.append(rejection(record, rejected, self._settings, small=small))
            return
        origin = carried_record(read.record)
        sent.append(rejection(origin, rejected, self._settings, small=small))
        refusal = refusal_by_path(rejected.reason, rejected.errors)
        try:
            answer = FORMATS[submission.format].adapter.refuse(submission, refusal, record.timestamp)
        except Exception as error:  # noqa: BLE001 (perhaps the same defect again)
            log.error("defect", error=type(error).__name__, at=frames(error), **place(record))  # noqa: TRY400 (as above)
            return
        sent += answer_record(submission, answer, origin.position, None, self._settings)
