"""How far behind consumer groups are, asked of the brokers: true of workers that are stalled, gone, or never started.

In records: the offsets between what a group has committed and the end that readers of committed records see (the last
stable offset). Offsets are also taken by transaction markers and by what was aborted; where nothing else is left, no
record waits, and the lag is 0. Where records do wait, the markers among them are counted with them.

In seconds: how long the oldest waiting record has waited, by its timestamp, or for how long it has been seen here to
wait, whichever is longer: a publisher's clock that runs ahead hides no stall for long.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from events.topics import POLICY_REVISIONS, REQUESTS
from workers.reading import PATIENCE_MS, Span, new_admin, new_consumer, partitions_of, spans, told
from workers.settings import Settings

# It cannot read how Faust spreads partitions, need not, and says so at every look.
logging.getLogger("kafka.admin._groups").setLevel(logging.ERROR)

SEARCH_SECONDS = 3.0
"""How long one look searches for the oldest waiting records; the next look goes on where it ended."""


class Lag(NamedTuple):
    """How far a group is behind on one partition."""

    group: str
    topic: str
    partition: int
    committed: int | None
    """None where the group has committed nothing."""
    note: str
    """What was committed with it."""
    span: Span
    waiting: int
    """Offsets that wait; 0 where no record does."""
    seconds: float
    """For how long the oldest waiting record has waited; 0 where none does."""


class Member(NamedTuple):
    """One member of a group."""

    id: str
    client: str
    host: str
    partitions: tuple[TopicPartition, ...]
    """Those it was given, as far as can be read."""


class Look(NamedTuple):
    """What the brokers say at one moment."""

    lags: list[Lag]
    """Of every group and partition that it has committed, and of our own group in any case."""
    members: dict[str, int]
    """By group."""
    spans: dict[TopicPartition, Span]
    """Of every partition among the lags."""
    ours: tuple[Member, ...] = ()
    """The members of our own group."""


class _Search:
    """The search for the first record at or behind a committed offset."""

    def __init__(self, offset: int, now: float) -> None:
        self.offset = offset
        self.reached = offset
        self.timestamp: int | None = None
        self.since = now


class Watcher:
    """Asks the brokers, again and again; close it in the end.

    Args:
        settings: Where the brokers are, and our own group and topics.
        clock: Seconds since the epoch, the same for all that publish.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._admin: KafkaAdminClient | None = None
        self._consumer: KafkaConsumer | None = None
        self._searches: dict[tuple[str, TopicPartition], _Search] = {}

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
        groups = sorted({one["group_id"] for one in admin.list_groups()})
        committed = {
            group: {tp: one for tp, one in found.items() if one.offset >= 0}
            for group, found in (admin.list_group_offsets(dict.fromkeys(groups)) if groups else {}).items()
        }
        described = admin.describe_groups(groups)
        there = set(partitions_of(admin, sorted({tp.topic for found in committed.values() for tp in found})))
        kept = spans(admin, sorted(there | set(own)))
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
        members = {ours: 0} | {group: len(described[group]["members"]) for group in groups}
        mine = described[ours]["members"] if ours in described else ()
        return Look(self._timed(lags), members, kept, tuple(map(_member, mine)))

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
        self._search({key: lag.span.end for lag in lags if (key := _key(lag)) in searches})
        return [self._with_time(lag, now) for lag in lags]

    def _with_time(self, lag: Lag, now: float) -> Lag:
        search = self._searches.get(_key(lag))
        if search is None:
            return lag
        if search.timestamp is None and search.reached >= lag.span.end:
            search.since = now
            return lag._replace(waiting=0)
        by_timestamp = now - search.timestamp / 1000 if search.timestamp is not None else 0.0
        return lag._replace(seconds=max(by_timestamp, now - search.since))

    def _search(self, ends: dict[tuple[str, TopicPartition], int]) -> None:
        """Find the first records that wait, as far as the time allows."""
        until = time.monotonic() + SEARCH_SECONDS
        # Our own group first: a cluster may have many others.
        for key, end in sorted(ends.items(), key=lambda item: item[0][0] != self._settings.app_id):
            search = self._searches[key]
            while search.timestamp is None and search.reached < end and time.monotonic() < until:
                self._step(key[1], search)

    def _step(self, partition: TopicPartition, search: _Search) -> None:
        consumer = self._consumer = self._consumer or new_consumer(self._settings)
        consumer.assign([partition])
        consumer.seek(partition, search.reached)
        for found in consumer.poll(timeout_ms=min(500, PATIENCE_MS), max_records=1).values():
            search.timestamp = found[0].timestamp
            return
        search.reached = max(search.reached, consumer.position(partition))


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
