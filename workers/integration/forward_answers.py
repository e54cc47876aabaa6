"""Forwards the answers to requests of ours: the handler of decisions and dead letters.

    authorization.decisions, authorization.dead-letters ─► ForwardAnswers ─► integration.events

Requests that platforms publish themselves are not concerned: ids of ours end as no other should, and an id that only
looks like one has no context, so nothing comes of it.
"""

import re
from collections.abc import Sequence
from typing import Literal

from events.envelope import header
from events.integration_event import Answered
from events.origin_headers import REPLAY, REQUEST, SHADOW
from workers.accounts.tally import Tallied
from workers.configuration.settings import Settings
from workers.dead_letters.write import rejection, too_large
from workers.integration.records import carried, event_record
from workers.kafka.records import Record, Unreadable

OUTCOMES = ("forwarded", "not_ours", "undelivered")
_OURS = re.compile(rb"~[0-9a-f]{12}\Z")


class ForwardAnswers:
    """Forwards what may be an answer to a request of ours."""

    def __init__(self, by: Literal["decision", "dead_letter"], settings: Settings) -> None:
        self._by = by
        self._settings = settings

    def __call__(self, records: Sequence[Record]) -> Tallied:
        """An event for each answer that may be to a request of ours; unreadable records are the ledger agent's."""
        sent = Tallied()
        for record in records:
            request = self._request(record)
            if request is None:
                sent.counts["not_ours"] += 1
                continue
            sent.append(event_record(request, Answered(self._by, carried(record)), self._settings))
            sent.counts["forwarded"] += 1
        return sent

    def _request(self, record: Record) -> bytes | None:
        """The id of the request that it answers, if that may be one of ours."""
        if isinstance(record.value, Unreadable) or record.value is None:
            return None
        if header(record.headers, SHADOW) is not None or header(record.headers, REPLAY) is not None:
            return None
        named = header(record.headers, REQUEST) if self._by == "dead_letter" else None
        request = named.encode() if named is not None else record.key or b""
        return request if _OURS.search(request) else None

    def instead(self, record: Record, _refused: frozenset[str]) -> Tallied:
        """A small dead letter, instead of an event that is too large for Kafka."""
        sent = Tallied([rejection(record, too_large(), self._settings, small=True)])
        sent.counts["undelivered"] += 1
        return sent
