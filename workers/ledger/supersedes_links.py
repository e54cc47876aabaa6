"""Links: which request supersedes which, and which link would close a circle.

    decisions that supersede ─► authorization.links ─► Links ─► authorization.dead-letters, where a link is refused
                                                       ▲   ├──► authorization.case-events, whether each stands
                                                       │   └──► its local store
                                                       └─────────────┘

A request may name the one that it revises, extends, renews, appeals or cancels. Whether that one is known, and whether
the links form a circle, depends on other requests and on their order; a decision that depended on it would not be
reproducible. So decisions ignore links, and the ledger judges them. All links go through one partition, which orders
them; a link that closes a circle, in that order, is refused and has no effect. The judgement depends only on the
topic's records, so that every reader gets the same result.

A link to an unknown request is valid: it may belong to another system, or come later.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog

from events.case_event import LinkJudged, packed
from events.dead_letter import FieldError
from events.decode import RejectedError, is_request_id
from events.envelope import loads
from events.origin_headers import RecordPosition, place_of
from events.topics import CASE_EVENTS
from workers.configuration.settings import Settings
from workers.dead_letters.write import rejection, unreadable
from workers.kafka.records import OutgoingRecord, Record, Unreadable
from workers.ledger.changing_entries import ChangingEntries, Entries
from workers.state.changelog import Change, Changelog
from workers.state.partition_stores import InputStores, changes_of
from workers.state.rocksdb_store import ChangelogStore

log = structlog.get_logger(__name__)

LONGEST_CHAIN = 200
"""The maximum length of a returned chain; of a longer one, the latest requests are returned."""


class Link(NamedTuple):
    """A request's link to the one it supersedes."""

    supersedes: str
    decision: RecordPosition
    """The position of the decision with the link."""

    def written(self) -> bytes:
        """The bytes on the topic of links."""
        text = json.dumps({"supersedes": self.supersedes, "decision": str(self.decision)}, ensure_ascii=False)
        return text.encode()


def link_of(value: bytes | None) -> Link | None:
    """The link in a record; None if it is not a link."""
    if isinstance(value, Unreadable):
        return None
    try:
        found = loads(value or b"")
        decision = place_of(found["decision"])
        supersedes = found["supersedes"].encode().decode()
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return Link(supersedes, decision) if decision is not None and is_request_id(supersedes) else None


@dataclass(frozen=True)
class Judged:
    """A judged link as stored."""

    supersedes: str
    decision: str
    offset: int
    """Its offset on the topic of links."""
    refused: bool

    def packed(self) -> bytes:
        """The bytes in the local store."""
        return json.dumps(vars(self), ensure_ascii=False).encode()


def _from(request: str) -> bytes:
    return b">" + request.encode()


def _to(request: str) -> bytes:
    # Ids have no control characters, so that no id's prefix matches another's entries.
    return b"<" + request.encode() + b"\x00"


class Graph:
    """The graph of stored links."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries

    def link(self, request: str) -> Judged | None:
        """The link of a request to the one it supersedes, even if refused."""
        raw = self._entries.get(_from(request))
        return Judged(**json.loads(raw)) if raw is not None else None

    def superseded(self, request: str) -> str | None:
        """The request that this one supersedes, by a valid link."""
        link = self.link(request)
        return link.supersedes if link is not None and not link.refused else None

    def superseding(self, request: str) -> list[str]:
        """The requests that supersede this one, by valid links."""
        prefix = _to(request)
        return [key[len(prefix) :].decode() for key in self._entries.beginning_with(prefix)]

    def before(self, request: str) -> Iterator[str]:
        """The requests that this one supersedes, transitively; valid links form no circles."""
        found = self.superseded(request)
        while found is not None:
            yield found
            found = self.superseded(found)


class LinkRecord(NamedTuple):
    """One record of the topic of links."""

    offset: int
    request: str
    link: Link


class Judgement(NamedTuple):
    """The result of judging links."""

    changes: Mapping[bytes, bytes | None]
    refused: Sequence[LinkRecord]
    valid: Sequence[LinkRecord]
    """Those that stand; a repeated link is neither."""


def judge(entries: Entries, links: Iterable[LinkRecord]) -> Judgement:
    """Judge links in order, after the stored ones."""
    changing = ChangingEntries(entries)
    graph = Graph(changing)
    refused: list[LinkRecord] = []
    valid: list[LinkRecord] = []
    for link in links:
        known = graph.link(link.request)
        if known is not None and (known.supersedes, known.decision) == (link.link.supersedes, str(link.link.decision)):
            continue  # repeated
        if known is not None:  # a later answer under the same id, after the first has expired
            changing.put(_to(known.supersedes) + link.request.encode(), None)
            changing.put(_from(link.request), None)
        judged = Judged(link.link.supersedes, str(link.link.decision), link.offset, _closes_a_circle(graph, link))
        changing.put(_from(link.request), judged.packed())
        if judged.refused:
            refused.append(link)
        else:
            valid.append(link)
            changing.put(_to(judged.supersedes) + link.request.encode(), b"")
    return Judgement(changing.changes, refused, valid)


def _closes_a_circle(graph: Graph, record: LinkRecord) -> bool:
    if record.link.supersedes == record.request:
        return True
    # A request that nothing supersedes, the usual case, closes no circle.
    return bool(graph.superseding(record.request)) and record.request in graph.before(record.link.supersedes)


# --- chains --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """One request of a chain."""

    request_id: str
    supersedes: str | None = None
    refused: bool = False
    """Whether its link is refused."""
    newest: bool = False
    """Whether nothing supersedes it; of several, the one with the latest link."""


def chain(graph: Graph, request: str) -> list[Member]:
    """All requests connected to one by valid links, each after the one it supersedes."""
    *_, first = request, *graph.before(request)
    members = {first: graph.link(first)}
    last: list[str] = []
    waiting = deque([first])
    while waiting:
        current = waiting.popleft()
        following = {name: graph.link(name) for name in graph.superseding(current)}
        members |= following
        waiting += sorted(following, key=lambda name: _offset(following[name]))
        if not following:
            last.append(current)
    newest = max(last, key=lambda name: _offset(members[name]))
    return [_member(name, link, newest) for name, link in members.items()][-LONGEST_CHAIN:]


def _offset(link: Judged | None) -> int:
    return link.offset if link is not None and not link.refused else -1


def _member(request: str, link: Judged | None, newest: str) -> Member:
    if link is None:
        return Member(request, newest=request == newest)
    return Member(request, link.supersedes, link.refused, request == newest)


# --- in the worker -------------------------------------------------------------------------------------------------


class Links(InputStores):
    """This worker's links, and the handler of their topic."""

    def __init__(self, settings: Settings, folder: Path, changelog: Changelog) -> None:
        """Keep the store below `folder`."""
        super().__init__(folder, changelog)
        self._settings = settings

    def __call__(self, records: Sequence[Record]) -> list[OutgoingRecord]:
        """Whether each link stands, for its case; a dead letter for every refused one and everything that is no link.

        Raises:
            StorageError: The store cannot be read; retry the batch.
        """
        partition = records[0].partition
        with self.distrust_on_error(partition):
            links = list(link_records(changes_of(records)))
            judgement = judge(self._stores[partition], links)
        by_offset = {record.offset: record for record in records}
        for link in judgement.refused:
            log.warning("link_refused", partition=partition, offset=link.offset)
        refused = [rejection(by_offset[link.offset], _circular(link), self._settings) for link in judgement.refused]
        judged = [self._judged(link, stands=True) for link in judgement.valid]
        judged += [self._judged(link, stands=False) for link in judgement.refused]
        return judged + refused + self._no_links(records, {link.offset for link in links})

    def _judged(self, record: LinkRecord, *, stands: bool) -> OutgoingRecord:
        """The judgement, for the case of the request that has the link."""
        event = packed(LinkJudged(record.link.supersedes, stands))
        to = partial(_fixed, record.link.decision.partition)
        return OutgoingRecord(self._settings.topic(CASE_EVENTS), record.request.encode(), event, to=to)

    def _no_links(self, records: Sequence[Record], links: Set[int]) -> list[OutgoingRecord]:
        return [rejection(record, _none(record), self._settings) for record in records if record.offset not in links]

    def instead(self, record: Record, _refused: frozenset[str]) -> list[OutgoingRecord]:
        """The smallest dead letter, instead of one that is too large for Kafka."""
        links = list(link_records(changes_of((record,))))
        rejected = _circular(links[0]) if links else _none(record)
        return [rejection(record, rejected, self._settings, small=True)]

    def find(self, partition: int, request_id: str) -> list[Member] | None:
        """The chain of a request; None if this worker does not have the links.

        Raises:
            StorageError: The store cannot be read.
        """
        if partition not in self.ready:
            return None
        with self.distrust_on_error(partition):
            return chain(Graph(self._stores[partition]), request_id)

    def changes_for(self, store: ChangelogStore, changes: Sequence[Change]) -> Mapping[bytes, bytes | None]:
        """The stored changes for these links, judged again."""
        return judge(store, link_records(changes)).changes


def _fixed(partition: int, _partitions: int) -> int:
    return partition


def link_records(changes: Iterable[Change]) -> Iterator[LinkRecord]:
    """The links in records of their topic."""
    for offset, key, value, _ in changes:
        link = link_of(value)
        try:
            request = key.decode()
        except UnicodeDecodeError:
            request = ""
        if link is None or not is_request_id(request):
            log.error("link_unreadable", offset=offset)
            continue
        yield LinkRecord(offset, request, link)


def _none(record: Record) -> RejectedError:
    if isinstance(record.value, Unreadable):
        return unreadable(record.value)
    return RejectedError("undecodable", [FieldError(path="", message="is no link between two requests")])


def _circular(record: LinkRecord) -> RejectedError:
    message = "names a request that supersedes this one, itself or by others between them"
    error = FieldError(path="supersedes", message=message)
    return RejectedError("circular_link", [error], record.request)
