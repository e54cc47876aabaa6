"""How far behind consumer groups are, asked of the brokers: true of workers that are stalled, gone, or never started.

In records: the offsets between what a group has committed and the end of the log (the high watermark). Offsets are
also taken by transaction markers and by what was aborted; where nothing else is left, no record waits, and the lag is
0. Where records do wait, the markers among them are counted with them. So is what stands behind the last stable offset:
while a transaction is open, readers of committed records see nothing of it, and it waits all the same.

In seconds: how long the oldest waiting record has waited, by its timestamp, or for how long it has been seen here to
wait, whichever is longer: a publisher's clock that runs ahead hides no stall for long.

A cluster has groups and topics of others. Whatever of theirs cannot be read, for lack of a right or because it is of no
kind that we know, costs what is told of it and nothing else: it is named among the `Unread`, and asked for again later.
Of our own group and topics everything is told, or nothing: a number that is missing would look like health.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import AuthorizationError, KafkaError
from kafka.structs import OffsetAndMetadata

from events.topics import POLICY_REVISIONS, REQUESTS
from workers.kafka.reader import PATIENCE_MS, Extent, extents, new_admin, new_consumer, partitions_of, told
from workers.records import Unreadable
from workers.settings import Settings

# It cannot read how Faust spreads partitions, need not, and says so at every look.
logging.getLogger("kafka.admin._groups").setLevel(logging.ERROR)

SEARCH_SECONDS = 3.0
"""How long one look searches for the oldest waiting records; the next look goes on where it ended."""
AGAIN_SECONDS = 60.0
"""Before what could not be read is asked for again: a topic without a leader may take all of a client's patience."""
NARROW_SECONDS = 5.0
"""How long one question is divided, to find whose answer it is that cannot be had."""

T = TypeVar("T")
Committed = dict[TopicPartition, OffsetAndMetadata]


class Lag(NamedTuple):
    """How far a group is behind on one partition."""

    group: str
    topic: str
    partition: int
    committed: int | None
    """None where the group has committed nothing."""
    note: str
    """What was committed with it."""
    span: Extent
    waiting: int
    """Offsets that wait; 0 where no record does."""
    seconds: float
    """For how long the oldest waiting record has waited; 0 where none does."""

    @property
    def held(self) -> int:
        """Of the offsets that wait, those behind the beginning of a transaction that is open."""
        return min(self.span.end - self.span.stable, self.waiting)


class Member(NamedTuple):
    """One member of a group."""

    id: str
    client: str
    host: str
    partitions: tuple[TopicPartition, ...]
    """Those it was given, as far as can be read."""


class Unread(NamedTuple):
    """Something of somebody's that cannot be read, and is not told."""

    what: str
    """`offsets` or `members` of a group, `ends` of a topic, or `records` of a partition, of which only the time that
    the oldest has waited is less certain."""
    name: str
    """The group, topic, or topic/partition."""
    cause: str
    """The error's name."""


class Look(NamedTuple):
    """What the brokers say at one moment."""

    lags: list[Lag]
    """Of every group and partition that it has committed, and of our own group in any case."""
    members: dict[str, int]
    """By group."""
    spans: dict[TopicPartition, Extent]
    """Of every partition among the lags."""
    open_seconds: dict[TopicPartition, float]
    """For how long one open transaction has been seen there, by its first offset; 0 where none is."""
    ours: tuple[Member, ...] = ()
    """The members of our own group."""
    unread: tuple[Unread, ...] = ()
    """What could not be read of others' groups and topics, or of the records themselves."""


class _Search:
    """The search for the first record at or behind a committed offset."""

    def __init__(self, offset: int, now: float) -> None:
        self.offset = offset
        self.reached = offset
        self.timestamp: int | None = None
        self.since = now
        self.unread: str | None = None
        """Why the record cannot be read; it waits all the same."""


class Watcher:
    """Asks the brokers, again and again; close it in the end.

    Args:
        settings: Where the brokers are, and our own group and topics.
        clock: Seconds since the epoch, the same for all that publish.
        others: Whether to ask for the groups of others too.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time, *, others: bool = True) -> None:
        self._settings = settings
        self._others = others
        self._untold: dict[tuple[str, str], tuple[Unread, float]] = {}  # with when it is asked for again
        self._clock = clock
        self._admin: KafkaAdminClient | None = None
        self._consumer: KafkaConsumer | None = None
        self._searches: dict[tuple[str, TopicPartition], _Search] = {}
        self._open: dict[TopicPartition, tuple[int, float]] = {}  # where an open transaction begins, and since when

    def look(self) -> Look:
        """What the brokers say now.

        Raises:
            ReadingError: They do not answer; the next look connects anew.
        """
        try:
            with told(self._settings):
                return self._look()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the brokers; a further look connects again."""
        admin, consumer = self._admin, self._consumer
        self._admin = self._consumer = None
        if consumer is not None:
            consumer.close()
        if admin is not None:
            admin.close()

    def _look(self) -> Look:
        admin = self._admin = self._admin or new_admin(self._settings)
        ours = self._settings.app_id
        own = partitions_of(admin, [self._settings.topic(name) for name in (REQUESTS, POLICY_REVISIONS)])
        # A group that is not listed has committed nothing and has no members: asked for, it would be an error.
        groups = sorted({one["group_id"] for one in admin.list_groups()}) if self._others else self._listed(admin)
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
                one = found.get(tp)
                lags.append(
                    Lag(
                        group=group,
                        topic=tp.topic,
                        partition=tp.partition,
                        committed=one.offset if one else None,
                        note=(one.metadata or "") if one else "",
                        span=kept[tp],
                        # What retention has removed waits no more.
                        waiting=max(kept[tp].end - max(one.offset if one else 0, kept[tp].beginning), 0),
                        seconds=0.0,
                    )
                )
        members = {ours: 0} | {group: len(one["members"]) for group, one in described.items()}
        workers = described[ours]["members"] if ours in described else ()
        timed = self._timed(lags)
        open_seconds = self._opened(kept)
        return Look(timed, members, kept, open_seconds, tuple(map(_member, workers)), self._all_unread())

    def _opened(self, kept: Mapping[TopicPartition, Extent]) -> dict[TopicPartition, float]:
        """For how long the last stable offset has stood still below the end, as far as it was watched."""
        now, before = self._clock(), self._open
        held = {tp: log.stable for tp, log in kept.items() if log.stable < log.end}
        self._open = {
            tp: before[tp] if tp in before and before[tp][0] == stable else (stable, now) for tp, stable in held.items()
        }
        return {tp: now - self._open[tp][1] if tp in self._open else 0.0 for tp in kept}

    def _listed(self, admin: KafkaAdminClient) -> list[str]:
        """Our own group, if there is one."""
        ours = self._settings.app_id
        return [ours] if any(one["group_id"] == ours for one in admin.list_groups()) else []

    def _asked(
        self, what: str, names: Sequence[str], ours: set[str], ask: Callable[[Sequence[str]], Mapping[Any, T]]
    ) -> dict[Any, T]:
        """What is known of these names: ours for certain, and of the others all that can be read."""
        now = time.monotonic()
        self._untold = {key: one for key, one in self._untold.items() if key[0] != what or key[1] in names}
        found = dict(ask([name for name in names if name in ours]))
        others = [name for name in names if name not in ours and self._due(what, name, now)]
        return found | self._narrowed(what, others, ask, now + NARROW_SECONDS)

    def _due(self, what: str, name: str, now: float) -> bool:
        known = self._untold.get((what, name))
        return known is None or known[1] <= now

    def _narrowed(
        self, what: str, names: Sequence[str], ask: Callable[[Sequence[str]], Mapping[Any, T]], until: float
    ) -> dict[Any, T]:
        """All answers that can be had: a question that fails is halved until it is known whose answer it is."""
        if not names:
            return {}
        try:
            found = dict(ask(names))
        except Exception as error:  # noqa: BLE001 (clients fail in their own ways on what others' programs wrote)
            now = time.monotonic()
            if len(names) == 1 or now > until:
                for name in names:
                    self._untold[what, name] = Unread(what, name, type(error).__name__), now + AGAIN_SECONDS
                return {}
            half = len(names) // 2
            return self._narrowed(what, names[:half], ask, until) | self._narrowed(what, names[half:], ask, until)
        for name in names:
            self._untold.pop((what, name), None)
        return found

    def _all_unread(self) -> tuple[Unread, ...]:
        records = {
            Unread("records", f"{tp.topic}/{tp.partition}", search.unread)
            for (_, tp), search in self._searches.items()
            if search.unread is not None
        }
        return (*(one for one, _ in self._untold.values()), *sorted(records))

    def _timed(self, lags: list[Lag]) -> list[Lag]:
        """The lags with how long their oldest records have waited."""
        now = self._clock()
        searches: dict[tuple[str, TopicPartition], _Search] = {}
        for lag in lags:
            if lag.waiting:
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
        # A record without a timestamp has -1.
        dated = search.timestamp is not None and search.timestamp >= 0
        by_timestamp = now - (search.timestamp or 0) / 1000 if dated else 0.0
        return lag._replace(seconds=max(by_timestamp, now - search.since))

    def _search(self, ends: dict[tuple[str, TopicPartition], int]) -> None:
        """Find the first records that wait, as far as the time allows."""
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
                    # A client that failed at a batch would never get out of its next look at it.
                    self._consumer.close() if self._consumer is not None else None
                    self._consumer = None

    def _step(self, partition: TopicPartition, search: _Search) -> None:
        consumer = self._consumer = self._consumer or new_consumer(self._settings)
        consumer.assign([partition])
        consumer.seek(partition, search.reached)
        for found in consumer.poll(timeout_ms=min(500, PATIENCE_MS), max_records=1).values():
            search.timestamp = found[0].timestamp
            search.unread = "Unreadable" if isinstance(found[0].value, Unreadable) else None
            return
        search.reached = max(search.reached, consumer.position(partition))


def _committed(admin: KafkaAdminClient, groups: Sequence[str]) -> dict[str, Committed]:
    """What groups have committed, by group."""
    found = admin.list_group_offsets(dict.fromkeys(groups)) if groups else {}
    return {group: {tp: one for tp, one in all_of.items() if one.offset >= 0} for group, all_of in found.items()}


def _described(admin: KafkaAdminClient, groups: Sequence[str], ours: str) -> dict[str, Mapping[str, Any]]:
    """The brokers' descriptions of groups; where ours has just ended, it has no members.

    Raises:
        KafkaError: They refuse another one, as they do for a group of a protocol without such a description.
    """
    found: dict[str, Mapping[str, Any]] = admin.describe_groups(groups) if groups else {}
    for group, one in found.items():
        if one["error"] is not None and group != ours:
            raise UndescribedError(f"{group}: {one['error']}")
    return found


class UndescribedError(KafkaError):  # type: ignore[misc]  # kafka-python ships no types
    """A group is there and its members are not told."""


def _key(lag: Lag) -> tuple[str, TopicPartition]:
    return lag.group, TopicPartition(lag.topic, lag.partition)


def _member(told: Mapping[str, Any]) -> Member:
    assigned = told["member_assignment"]
    given = assigned["assigned_partitions"] if isinstance(assigned, dict) else ()
    return Member(
        told["member_id"],
        told["client_id"],
        told["client_host"],
        tuple(TopicPartition(one["topic"], number) for one in given for number in one["partitions"]),
    )
