"""Sends verdicts and extensions on their way to their cases.

    authorization.verdicts ─► ReviewRouter ─► authorization.ledger, in the partition of the request's pointers
                                       └────► authorization.dead-letters, what is no verdict

They may be published in any partition. The record goes on whole: what becomes of it may be a dead letter.
"""

from collections.abc import Sequence
from functools import cached_property

import structlog

from events.case_event import CarriedRecord, Reviewed, packed
from events.decode import RejectedError, decode_review
from events.topics import LEDGER
from workers.accounts.tally import Tallied
from workers.cases.route import routed_value
from workers.configuration.settings import Settings
from workers.dead_letters.write import defect, rejection, too_large, unreadable
from workers.kafka.records import OutgoingRecord, Record, Unreadable, name_bytes
from workers.process.logs import Hasher, frames
from workers.state.request_digests import digest

log = structlog.get_logger(__name__)


class ReviewRouter:
    """Handles the topic of verdicts."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ledger = settings.topic(LEDGER)

    @cached_property
    def _hasher(self) -> Hasher:
        return Hasher(self._settings.log_key)

    def __call__(self, records: Sequence[Record]) -> Tallied:
        """A routed event for every verdict and extension, and a dead letter for everything else."""
        sent = Tallied()
        for record in records:
            outgoing = self._routed(record)
            sent.append(outgoing)
            sent.counts["routed" if outgoing.topic == self._ledger else "refused"] += 1
        return sent

    def _routed(self, record: Record) -> OutgoingRecord:
        try:
            if isinstance(record.value, Unreadable):
                raise unreadable(record.value)  # noqa: TRY301 (handled like other rejections)
            received = decode_review(record.value, record.headers)
        except RejectedError as rejected:
            self._log(record, rejected)
            return rejection(record, rejected, self._settings)
        except Exception as error:  # noqa: BLE001 (a defect must not stop the partition or lose the event)
            _log_defect(record, error)
            return rejection(record, defect(), self._settings)
        request = received.event.request_id.encode()
        headers = tuple((name_bytes(name), value) for name, value in record.headers)
        carried = CarriedRecord(
            record.topic, record.partition, record.offset, record.timestamp, record.key, record.value or b"", headers
        )
        return OutgoingRecord(self._ledger, digest(request), routed_value(request, packed(Reviewed(carried))))

    def instead(self, record: Record, _refused: frozenset[str]) -> Tallied:
        """The smallest dead letter, instead of what is too large for Kafka."""
        rejected = unreadable(record.value) if isinstance(record.value, Unreadable) else too_large()
        sent = Tallied([rejection(record, rejected, self._settings, small=True)])
        sent.counts["refused"] += 1
        return sent

    def _log(self, record: Record, rejected: RejectedError) -> None:
        log.warning(
            "review_rejected",
            reason=rejected.reason,
            errors=len(rejected.errors),
            request=self._hasher(rejected.request_id),
            partition=record.partition,
            offset=record.offset,
        )


def _log_defect(record: Record, error: Exception) -> None:
    # The place of the defect, never its message, which may contain personal data.
    log.error("defect", error=type(error).__name__, at=frames(error), partition=record.partition, offset=record.offset)
