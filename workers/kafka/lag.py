"""Consumer lag as the brokers report it, also of workers that are stalled, gone or never started.

In records: the offsets between a group's committed offset and the end of the log (the high watermark). Transaction
markers and aborted records also take offsets; if nothing else is left, the lag is 0. If records are waiting, the
markers among them are counted too, and so is everything after the last stable offset: readers cannot see it while a
transaction is open, but it is waiting.

In seconds: how long the oldest waiting record has waited, by its timestamp or as observed here, whichever is longer, so
that a publisher's fast clock does not hide a stall for long.

A cluster also has other groups and topics. If some cannot be read, for lack of a permission or because their kind is
unknown, only their data is missing: they are listed as `Unread` and retried later. Our own group and topics are
reported completely or not at all: a missing number would look healthy.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from kafka import TopicPartition
from kafka.errors import AuthorizationError, KafkaError
from kafka.structs import OffsetAndMetadata

from events.topics import POLICY_REVISIONS, REQUESTS
from workers.configuration.settings import Settings
from workers.kafka.clients import KafkaAdminClient, KafkaConsumer, new_admin, new_consumer
from workers.kafka.connect import PATIENCE
from workers.kafka.errors import kafka_errors
from workers.kafka.reader import Extent, extents, partitions_of
from workers.kafka.records import Unreadable

# It cannot parse Faust's assignments, and logs that on every look; they are not needed.
logging.getLogger("kafka.admin._groups").setLevel(logging.ERROR)

SEARCH_SECONDS = 3.0
"""How long one look searches for the oldest waiting records; the next look continues there."""
AGAIN_SECONDS = 60.0
"""Delay before a failed read is retried: a topic without a leader may take a client's whole timeout."""
NARROW_SECONDS = 5.0
"""How long a failing request is bisected to find its cause."""

T = TypeVar("T")
Committed = dict[TopicPartition, OffsetAndMetadata]


class Lag(NamedTuple):
    """A group's lag on one partition."""

    group: str
    topic: str
    partition: int
    committed: int | None
    """None if the group has committed nothing."""
    note: str
    """The metadata committed with it."""
    span: Extent
    waiting: int
    """Waiting offsets; 0 if no record is waiting."""
    seconds: float
    """How long the oldest waiting record has waited; 0 if none is waiting."""

    @property
    def held(self) -> int:
        """The waiting offsets after the start of an open transaction."""
        return min(self.span.end - self.span.stable, self.waiting)


class Member(NamedTuple):
    """One member of a group."""

    id: str
    client: str
    host: str
    partitions: tuple[TopicPartition, ...]
    """Its assigned partitions, as far as known."""
    url: str | None = None
    """Where it answers over the web, as it says when it joins; None if it does not say."""


class Unread(NamedTuple):
    """Something that cannot be read and is not reported."""

    what: str
    """`offsets` or `members` of a group, `ends` of a topic, or `records` of a partition; the last affects only the lag
    in seconds."""
    name: str
    """The group, topic, or topic/partition."""
    cause: str
    """The error's name."""


class Look(NamedTuple):
    """The brokers' state at one moment."""

    lags: list[Lag]
    """For every group and committed partition, and always for our own group."""
    members: dict[str, int]
    """Counts by group."""
    spans: dict[TopicPartition, Extent]
    """For every partition among the lags."""
    open_seconds: dict[TopicPartition, float]
    """How long a transaction has been seen open there, by its first offset; 0 if none is."""
    ours: tuple[Member, ...] = ()
    """The members of our own group."""
    unread: tuple[Unread, ...] = ()
    """Unreadable groups and topics of others, and unreadable records."""


def consumes(group: str, settings: Settings) -> bool:
    """Whether the lag of a group says that something is late.

    The archive's group consumes nothing. The gateways' have no members while they are worked on, and are as late as the
    subscriber that does not respond.
    """
    gateways = settings.gateway_group
    return group not in {settings.archive_group, gateways} and not group.startswith(f"{gateways}-")


class _Search:
    """The search for the first record at or after a committed offset."""

    def __init__(self, offset: int, now: float) -> None:
        self.offset = offset
        self.reached = offset
        self.timestamp: int | None = None
        self.since = now
        self.unread: str | None = None
        """Why the record cannot be read; it is waiting anyway."""


class Watcher:
    """Polls the brokers; close it afterwards.

    Args:
        settings: The brokers, and our own group and topics.
        clock: Seconds since the epoch, synchronized with the publishers.
        others: Whether to include other groups.
        patience: Seconds that a broker may take for each request.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        *,
        others: bool = True,
        patience: float = PATIENCE,
    ) -> None:
        self._settings = settings
        self._patience = patience
        self._others = others
        self._unread: dict[tuple[str, str], tuple[Unread, float]] = {}  # with the time of the next attempt
        self._clock = clock
        self._admin: KafkaAdminClient | None = None
        self._consumer: KafkaConsumer | None = None
        self._searches: dict[tuple[str, TopicPartition], _Search] = {}
        self._open: dict[TopicPartition, tuple[int, float]] = {}  # an open transaction's first offset, and since when

    def look(self) -> Look:
        """The brokers' current state.

        Raises:
            ReadingError: They do not respond; the next look reconnects.
        """
        try:
            with kafka_errors(self._settings):
                return self._look()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections; another look reconnects."""
        admin, consumer = self._admin, self._consumer
        self._admin = self._consumer = None
        if consumer is not None:
            consumer.close()
        if admin is not None:
            admin.close()

    def _look(self) -> Look:
        admin = self._admin = self._admin or new_admin(self._settings, patience=self._patience)
        ours = self._settings.app_id
        own = partitions_of(admin, [self._settings.topic(name) for name in (REQUESTS, POLICY_REVISIONS)])
        # A group that is not listed has no offsets or members, and a request for it would fail.
        groups = sorted({group["group_id"] for group in admin.list_groups()}) if self._others else self._listed(admin)
        committed = self._asked("offsets", groups, {ours}, lambda asked: _committed(admin, asked))
        described = self._asked("members", groups, {ours}, lambda asked: _described(admin, asked, ours))
        there = set(partitions_of(admin, sorted({tp.topic for found in committed.values() for tp in found})))
        by_topic: dict[str, list[TopicPartition]] = {}
        for tp in sorted(there | set(own)):
            by_topic.setdefault(tp.topic, []).append(tp)
        mine = {tp.topic for tp in [*own, *committed.get(ours, ())]}
        kept = self._asked(
            "ends",
            sorted(by_topic),
            mine,
            lambda asked: extents(admin, [tp for topic in asked for tp in by_topic[topic]]),
        )
        there &= set(kept)
        lags = []
        for group in sorted({*groups, ours}):
            found = committed.get(group, {})
            for tp in sorted((set(found) & there) | (set(own) if group == ours else set())):
                offset = found.get(tp)
                lags.append(
                    Lag(
                        group=group,
                        topic=tp.topic,
                        partition=tp.partition,
                        committed=offset.offset if offset else None,
                        note=(offset.metadata or "") if offset else "",
                        span=kept[tp],
                        # Records removed by retention are not waiting.
                        waiting=max(kept[tp].end - max(offset.offset if offset else 0, kept[tp].beginning), 0),
                        seconds=0.0,
                    )
                )
        members = {ours: 0} | {group: len(description["members"]) for group, description in described.items()}
        workers = described[ours]["members"] if ours in described else ()
        timed = self._timed(lags)
        open_seconds = self._opened(kept)
        return Look(timed, members, kept, open_seconds, tuple(map(_member, workers)), self._all_unread())

    def _opened(self, kept: Mapping[TopicPartition, Extent]) -> dict[TopicPartition, float]:
        """How long the last stable offset has been seen unchanged below the end."""
        now, before = self._clock(), self._open
        held = {tp: log.stable for tp, log in kept.items() if log.stable < log.end}
        self._open = {
            tp: before[tp] if tp in before and before[tp][0] == stable else (stable, now) for tp, stable in held.items()
        }
        return {tp: now - self._open[tp][1] if tp in self._open else 0.0 for tp in kept}

    def _listed(self, admin: KafkaAdminClient) -> list[str]:
        """Our own groups that exist: the workers', and the one that speaks platforms' formats."""
        ours = {self._settings.app_id, self._settings.integration_id}
        return sorted(ours & {group["group_id"] for group in admin.list_groups()})

    def _asked(
        self, what: str, names: Sequence[str], ours: set[str], ask: Callable[[Sequence[str]], Mapping[Any, T]]
    ) -> dict[Any, T]:
        """Query these names: ours must succeed, the others as far as readable."""
        now = time.monotonic()
        self._unread = {key: unread for key, unread in self._unread.items() if key[0] != what or key[1] in names}
        found = dict(ask([name for name in names if name in ours]))
        others = [name for name in names if name not in ours and self._due(what, name, now)]
        return found | self._narrowed(what, others, ask, now + NARROW_SECONDS)

    def _due(self, what: str, name: str, now: float) -> bool:
        known = self._unread.get((what, name))
        return known is None or known[1] <= now

    def _narrowed(
        self, what: str, names: Sequence[str], ask: Callable[[Sequence[str]], Mapping[Any, T]], until: float
    ) -> dict[Any, T]:
        """All available answers: a failing request is bisected to find its cause."""
        if not names:
            return {}
        try:
            found = dict(ask(names))
        except Exception as error:  # noqa: BLE001 (clients may fail in any way on foreign data)
            now = time.monotonic()
            if len(names) == 1 or now > until:
                for name in names:
                    self._unread[what, name] = Unread(what, name, type(error).__name__), now + AGAIN_SECONDS
                return {}
            half = len(names) // 2
            return self._narrowed(what, names[:half], ask, until) | self._narrowed(what, names[half:], ask, until)
        for name in names:
            self._unread.pop((what, name), None)
        return found

    def _all_unread(self) -> tuple[Unread, ...]:
        records = {
            Unread("records", f"{tp.topic}/{tp.partition}", search.unread)
            for (_, tp), search in self._searches.items()
            if search.unread is not None
        }
        return (*(unread for unread, _ in self._unread.values()), *sorted(records))

    def _timed(self, lags: list[Lag]) -> list[Lag]:
        """The lags with their waiting times."""
        now = self._clock()
        searches: dict[tuple[str, TopicPartition], _Search] = {}
        for lag in lags:
            if lag.waiting and consumes(lag.group, self._settings):
                key = lag.group, TopicPartition(lag.topic, lag.partition)
                start = lag.span.end - lag.waiting
                known = self._searches.get(key)
                searches[key] = known if known is not None and known.offset == start else _Search(start, now)
        self._searches = searches
        self._search({key: lag.span.stable for lag in lags if (key := _key(lag)) in searches})
        return [self._with_time(lag, now) for lag in lags]

    def _with_time(self, lag: Lag, now: float) -> Lag:
        search = self._searches.get(_key(lag))
        if search is None:
            return lag
        if search.timestamp is None and search.unread is None and search.reached >= lag.span.end:
            search.since = now
            return lag._replace(waiting=0)
        # -1 means no timestamp.
        dated = search.timestamp is not None and search.timestamp >= 0
        by_timestamp = now - (search.timestamp or 0) / 1000 if dated else 0.0
        return lag._replace(seconds=max(by_timestamp, now - search.since))

    def _search(self, ends: dict[tuple[str, TopicPartition], int]) -> None:
        """Find the first waiting records within the time limit."""
        until = time.monotonic() + SEARCH_SECONDS
        # Our own group first: a cluster may have many others.
        for key, end in sorted(ends.items(), key=lambda item: item[0][0] != self._settings.app_id):
            search = self._searches[key]
            while search.timestamp is None and search.reached < end and time.monotonic() < until:
                if search.unread is not None:
                    break
                try:
                    self._step(key[1], search)
                except KafkaError as error:
                    if key[0] == self._settings.app_id and isinstance(error, AuthorizationError):
                        raise
                    search.unread = type(error).__name__
                    # A client that failed on a batch would fail on it again.
                    self._consumer.close() if self._consumer is not None else None
                    self._consumer = None

    def _step(self, partition: TopicPartition, search: _Search) -> None:
        consumer = self._consumer = self._consumer or new_consumer(self._settings)
        consumer.assign([partition])
        consumer.seek(partition, search.reached)
        for found in consumer.poll(timeout_ms=500, max_records=1).values():
            search.timestamp = found[0].timestamp
            search.unread = "Unreadable" if isinstance(found[0].value, Unreadable) else None
            return
        search.reached = max(search.reached, consumer.position(partition))


def _committed(admin: KafkaAdminClient, groups: Sequence[str]) -> dict[str, Committed]:
    """The committed offsets by group."""
    found = admin.list_group_offsets(dict.fromkeys(groups)) if groups else {}
    return {
        group: {tp: offset for tp, offset in all_of.items() if offset.offset >= 0} for group, all_of in found.items()
    }


def _described(admin: KafkaAdminClient, groups: Sequence[str], ours: str) -> dict[str, Mapping[str, Any]]:
    """The brokers' descriptions of groups; our own may just have ended, and has no members then.

    Raises:
        KafkaError: Another group cannot be described, such as one of another protocol.
    """
    found: dict[str, Mapping[str, Any]] = admin.describe_groups(groups) if groups else {}
    for group, description in found.items():
        if description["error"] is not None and group != ours:
            raise UndescribedError(f"{group}: {description['error']}")
    return found


class UndescribedError(KafkaError):  # type: ignore[misc]  # kafka-python ships no types
    """A group's members cannot be read."""


def _key(lag: Lag) -> tuple[str, TopicPartition]:
    return lag.group, TopicPartition(lag.topic, lag.partition)


def _member(described: Mapping[str, Any]) -> Member:
    assigned = described["member_assignment"]
    given = assigned["assigned_partitions"] if isinstance(assigned, dict) else ()
    return Member(
        described["member_id"],
        described["client_id"],
        described["client_host"],
        tuple(
            TopicPartition(assignment["topic"], number) for assignment in given for number in assignment["partitions"]
        ),
        address_in(described["member_metadata"]),
    )


def address_in(metadata: Any) -> str | None:
    """The address in what Faust's assignor tells the group: JSON after the topics, whose names have no brace."""
    text = str(metadata.get("user_data") if isinstance(metadata, dict) else metadata)
    try:
        url = json.JSONDecoder().raw_decode(text, text.index("{"))[0]["url"]
        return url if urlsplit(url).scheme in {"http", "https"} else None
    except (TypeError, KeyError, ValueError, AttributeError, RecursionError):
        return None
