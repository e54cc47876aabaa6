"""Reads what platforms send: the handler of a format's topic of requests.

pas.requests, x12.278.requests ─► ReadMessages ─► integration.submissions     what may become a request
└───► authorization.dead-letters  what does not, with its own bytes
└───► pas.responses, …            and its answer
"""

from collections.abc import Sequence
from functools import partial

import structlog
from msgspec import Raw

from events.adapters.chain import chain_key
from events.adapters.formats import FORMATS
from events.adapters.submission import Format, Submission
from events.dead_letter import FieldError
from events.decode import LARGEST, RejectedError
from events.integration_event import Read, packed
from events.topics import SUBMISSIONS
from workers.accounts.tally import Tallied
from workers.configuration.settings import Settings
from workers.dead_letters.write import defect, rejection, too_large, unreadable
from workers.integration.partners import Partners
from workers.integration.records import answer_record, carried, place, rejected_of
from workers.kafka.records import OutgoingRecord, Record, Unreadable
from workers.process.logs import frames
from workers.state.request_digests import digest, partition_of

log = structlog.get_logger(__name__)

OUTCOMES = ("submitted", "refused")
"""What becomes of a message."""
_FEW = 4
"""Refused messages of one record, each of whose dead letters has the whole record."""


class ReadMessages:
    """Reads the messages of one format."""

    def __init__(self, form: Format, partners: Partners, settings: Settings) -> None:
        self._form = form
        self._partners = partners
        self._settings = settings

    def __call__(self, records: Sequence[Record]) -> Tallied:
        """A submission for each message that may become a request; a dead letter and an answer for every other."""
        sent = Tallied()
        for record in records:
            self._take(record, sent)
        return sent

    def instead(self, record: Record, refused: frozenset[str]) -> Tallied:
        """The smallest dead letter, instead of what is too large for Kafka."""
        log.error("message_too_large", topics=sorted(refused), **place(record))
        rejected = unreadable(record.value) if isinstance(record.value, Unreadable) else too_large()
        sent = Tallied([rejection(record, rejected, self._settings, small=True)])
        sent.counts["refused"] += 1
        return sent

    def _take(self, record: Record, sent: Tallied) -> None:
        try:
            submissions = self._read(record)
            taken = [one for submission in submissions for one in self._sent(record, submission, submissions)]
        except RejectedError as rejected:
            log.warning("message_rejected", reason=rejected.reason, **place(record))
            sent.append(rejection(record, rejected, self._settings))
            sent.counts["refused"] += 1
        except Exception as error:  # noqa: BLE001 (a defect must not stop the partition or lose the message)
            # The place of the defect, never its message, which may contain personal data.
            log.error("defect", error=type(error).__name__, at=frames(error), **place(record))  # noqa: TRY400 (as above)
            sent.append(rejection(record, defect(), self._settings))
            sent.counts["refused"] += 1
        else:
            sent += taken
            for submission in submissions:
                sent.counts["submitted" if submission.refused is None else "refused"] += 1

    def _read(self, record: Record) -> tuple[Submission, ...]:
        if isinstance(record.value, Unreadable):
            raise unreadable(record.value)
        message = record.value or b""
        if len(message) > LARGEST:
            raise RejectedError("undecodable", [FieldError(path="", message=f"larger than {LARGEST:,} bytes")])
        partner = self._partners.of(self._form, record.headers, message)
        if partner is None:
            says = "is no partner of this deployment: the header `partner` names one, or the interchange's sender"
            raise RejectedError("schema_violation", [FieldError(path="partner", message=says)])
        return FORMATS[self._form].adapter.read(message, partner, record.timestamp)

    def _sent(self, record: Record, submission: Submission, among: Sequence[Submission]) -> list[OutgoingRecord]:
        settings = self._settings
        if submission.refused is not None:
            rejected = rejected_of(submission.refused)
            paths = [error.path for error in rejected.errors]
            log.warning("message_refused", reason=rejected.reason, paths=paths, **place(record))
            answer = FORMATS[self._form].adapter.refuse(submission, submission.refused, record.timestamp)
            small = sum(one.refused is not None for one in among) > _FEW
            return [
                rejection(record, rejected, settings, small=small),
                *answer_record(submission, answer, record.position, None, settings),
            ]
        key = digest(chain_key(submission))
        value = packed(Read(Raw(submission.model_dump_json().encode()), carried(record, whole=len(among) == 1)))
        return [OutgoingRecord(settings.topic(SUBMISSIONS), key, value, to=partial(partition_of, key))]
