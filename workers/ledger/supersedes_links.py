"""Links: which request supersedes which, and which link would close a circle.

    decisions that supersede ─► authorization.links ─► Links ─► authorization.dead-letters, where a link is refused
                                                       ▲   └──► its copy on disk
                                                       └─────────────┘

A request may name the one that it revises, extends, renews, appeals or cancels. Whether that one is known, and whether
the naming goes round in a circle, depends on other requests, of other partitions, and on which came first: a decision
that depended on it would not be the same each time. So the decision stands whatever its link is worth, and the ledger
judges links. All of them go over one partition, which puts them in one order; the link that closes a circle, in that
order, is refused, and stands for nothing. The judgement is a function of the topic's records alone: whoever reads them
again comes to the same.

A link to a request that nobody knows is no mistake: that request may be another system's, or come later.
"""

import json
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple, Protocol

import structlog

from events.dead_letter import FieldError
from events.decode import RejectedError, is_request_id
from events.envelope import loads
from events.origin_headers import RecordPosition, place_of
from workers.dead_letters.write import rejection, unreadable
from workers.records import OutgoingRecord, Record, Unreadable
from workers.settings import Settings
from workers.state.changelog import Change, Changelog
from workers.state.partition_stores import InputStores, changes_of
from workers.state.rocksdb_store import ChangelogStore

log = structlog.get_logger(__name__)

LONGEST_CHAIN = 200
"""Requests of one chain that are told; of a longer one, those that came last."""


class Link(NamedTuple):
    """What a request says of the one before it."""

    supersedes: str
    decision: RecordPosition
    """Where the answer stands that has it."""

    def written(self) -> bytes:
        """As it stands on the topic of links."""
        text = json.dumps({"supersedes": self.supersedes, "decision": str(self.decision)}, ensure_ascii=False)
        return text.encode()


def link_of(value: bytes | None) -> Link | None:
    """The link in a record; None where it is none."""
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
    """A link as the ledger keeps it."""

    supersedes: str
    decision: str
    offset: int
    """On the topic of links: which came later."""
    refused: bool

    def packed(self) -> bytes:
        """As it stands in the copy."""
        return json.dumps(vars(self), ensure_ascii=False).encode()


class Entries(Protocol):
    """What links are kept in."""

    def get(self, key: bytes) -> bytes | None:
        """What stands under a key."""

    def beginning_with(self, prefix: bytes) -> Mapping[bytes, bytes]:
        """All entries whose keys begin so."""


def _from(request: str) -> bytes:
    return b">" + request.encode()


def _to(request: str) -> bytes:
    # No id has control characters, so none begins as another one's entries do.
    return b"<" + request.encode() + b"\x00"


class Graph:
    """The links as some entries have them."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries

    def link(self, request: str) -> Judged | None:
        """The link of a request to the one that it supersedes; also one that is refused."""
        raw = self._entries.get(_from(request))
        return Judged(**json.loads(raw)) if raw is not None else None

    def superseded(self, request: str) -> str | None:
        """The request that this one supersedes, by a link that stands."""
        link = self.link(request)
        return link.supersedes if link is not None and not link.refused else None

    def superseding(self, request: str) -> list[str]:
        """The requests that supersede this one, by links that stand."""
        prefix = _to(request)
        return [key[len(prefix) :].decode() for key in self._entries.beginning_with(prefix)]

    def before(self, request: str) -> Iterator[str]:
        """What the request supersedes, and what that one does, and so on: links that stand never go round."""
        found = self.superseded(request)
        while found is not None:
            yield found
            found = self.superseded(found)


class _Changing:
    """Entries with changes over them that are not written yet."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self.changes: dict[bytes, bytes | None] = {}
        # Sorted: each of a batch's links asks what begins with its request, and must not look at all the others.
        self._keys: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        return self.changes[key] if key in self.changes else self._entries.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        if key not in self.changes:
            insort(self._keys, key)
        self.changes[key] = value

    def beginning_with(self, prefix: bytes) -> Mapping[bytes, bytes]:
        after = (self._keys[n] for n in range(bisect_left(self._keys, prefix), len(self._keys)))
        changed = {key: self.changes[key] for key in takewhile(lambda key: key.startswith(prefix), after)}
        found = {**self._entries.beginning_with(prefix), **changed}
        return {key: value for key, value in found.items() if value is not None}


class Said(NamedTuple):
    """One record of the topic of links."""

    offset: int
    request: str
    link: Link


class Judgement(NamedTuple):
    """What becomes of some links."""

    changes: Mapping[bytes, bytes | None]
    refused: Sequence[Said]


def judge(entries: Entries, links: Iterable[Said]) -> Judgement:
    """Judge links in the order in which they were said, after those that the entries have."""
    changing = _Changing(entries)
    graph = Graph(changing)
    refused: list[Said] = []
    for one in links:
        known = graph.link(one.request)
        if known is not None and (known.supersedes, known.decision) == (one.link.supersedes, str(one.link.decision)):
            continue  # said again
        if known is not None:  # a later answer under the same id, when the first was long forgotten
            changing.put(_to(known.supersedes) + one.request.encode(), None)
            changing.put(_from(one.request), None)
        judged = Judged(one.link.supersedes, str(one.link.decision), one.offset, _closes_a_circle(graph, one))
        changing.put(_from(one.request), judged.packed())
        if judged.refused:
            refused.append(one)
        else:
            changing.put(_to(judged.supersedes) + one.request.encode(), b"")
    return Judgement(changing.changes, refused)


def _closes_a_circle(graph: Graph, said: Said) -> bool:
    if said.link.supersedes == said.request:
        return True
    # A request that nobody has named yet, which is the way of nearly all, closes none.
    return bool(graph.superseding(said.request)) and said.request in graph.before(said.link.supersedes)


# --- chains --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """One request of a chain."""

    request_id: str
    supersedes: str | None = None
    refused: bool = False
    """Whether the link to the one that it names is refused."""
    newest: bool = False
    """Whether it is the last one: nothing supersedes it. Of several such, the one whose link came last."""


def chain(graph: Graph, request: str) -> list[Member]:
    """All requests that are linked with one, by links that stand, each after the one that it supersedes."""
    *_, first = request, *graph.before(request)
    members = {first: graph.link(first)}
    last: list[str] = []
    waiting = deque([first])
    while waiting:
        one = waiting.popleft()
        following = {name: graph.link(name) for name in graph.superseding(one)}
        members |= following
        waiting += sorted(following, key=lambda name: _offset(following[name]))
        if not following:
            last.append(one)
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
    """The links that this worker has, and the handler of their topic."""

    def __init__(self, settings: Settings, folder: Path, changelog: Changelog) -> None:
        """Keep a copy of the topic of links below `folder`."""
        super().__init__(folder, changelog)
        self._settings = settings

    def __call__(self, records: Sequence[Record]) -> list[OutgoingRecord]:
        """A dead letter for every link that is refused, and for every record that is none.

        Raises:
            StorageError: The copy cannot be read; the batch is to be tried again.
        """
        partition = records[0].partition
        with self.distrust_on_error(partition):
            links = list(said(changes_of(records)))
            judgement = judge(self._stores[partition], links)
        by_offset = {record.offset: record for record in records}
        for one in judgement.refused:
            log.warning("link_refused", partition=partition, offset=one.offset)
        refused = [rejection(by_offset[one.offset], _circular(one), self._settings) for one in judgement.refused]
        return refused + self._no_links(records, {one.offset for one in links})

    def _no_links(self, records: Sequence[Record], links: Set[int]) -> list[OutgoingRecord]:
        return [rejection(one, _none(one), self._settings) for one in records if one.offset not in links]

    def instead(self, record: Record, _refused: frozenset[str]) -> list[OutgoingRecord]:
        """The smallest dead letter, in place of one that Kafka takes for too large."""
        links = list(said(changes_of((record,))))
        rejected = _circular(links[0]) if links else _none(record)
        return [rejection(record, rejected, self._settings, small=True)]

    def find(self, partition: int, request_id: str) -> list[Member] | None:
        """The chain of a request; None where this worker does not have the links.

        Raises:
            StorageError: The copy cannot be read.
        """
        if partition not in self.ready:
            return None
        with self.distrust_on_error(partition):
            return chain(Graph(self._stores[partition]), request_id)

    def changes_for(self, store: ChangelogStore, changes: Sequence[Change]) -> Mapping[bytes, bytes | None]:
        """The links judged again, as they were when they came."""
        return judge(store, said(changes)).changes


def said(changes: Iterable[Change]) -> Iterator[Said]:
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
        yield Said(offset, request, link)


def _none(record: Record) -> RejectedError:
    if isinstance(record.value, Unreadable):
        return unreadable(record.value)
    return RejectedError("undecodable", [FieldError(path="", message="is no link between two requests")])


def _circular(said: Said) -> RejectedError:
    message = "names a request that supersedes this one, itself or by others between them"
    error = FieldError(path="supersedes", message=message)
    return RejectedError("circular_link", [error], said.request)
