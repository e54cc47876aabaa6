"""Lag as the brokers know it, beside workers or without any."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import GroupAuthorizationFailedError
from kafka.structs import OffsetAndMetadata

from events.topics import REQUESTS
from tests.support.running import eventually, producers_times, settings_for
from workers.configuration.settings import Settings
from workers.kafka.clients import new_admin
from workers.kafka.errors import ReadingError
from workers.kafka.lag import Lag, Look, Unread, Watcher
from workers.kafka.reader import extents
from workers.topics import apply_topics

pytestmark = pytest.mark.kafka

NOW = 1_750_000_000.0


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    producers_times(made, REQUESTS)
    with apply_topics.admin(made) as client:
        # The records are of long ago, and retention would remove them while a test looks at them.
        apply_topics.set_on_topic(client, made.topic(REQUESTS), {"retention.ms": "-1"})
    return made


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watcher(found: Settings, clock: Clock) -> Iterator[Watcher]:
    made = Watcher(found, clock)
    yield made
    made.close()


def send(found: Settings, partition: int, ages: list[float], *, abort: bool = False) -> None:
    """One transaction with a record for each age, in seconds before NOW; its end is on the partition afterwards."""
    place = TopicPartition(found.topic(REQUESTS), partition)
    admin = new_admin(found)
    try:
        before = extents(admin, [place])[place].end
        with transaction(found, abort=abort) as producer:
            for age in ages:
                stamp = round((NOW - age) * 1000)
                producer.send(found.topic(REQUESTS), b"x", partition=partition, timestamp_ms=stamp)
        # A transaction's marker follows its records, some time after the producer has been answered.
        assert eventually(lambda: extents(admin, [place])[place].stable == before + len(ages) + 1)
    finally:
        admin.close()


@contextmanager
def transaction(found: Settings, *, abort: bool = False) -> Iterator[KafkaProducer]:
    producer = KafkaProducer(
        bootstrap_servers=found.bootstrap, transactional_id=f"{found.app_id}-test", acks="all", enable_idempotence=True
    )
    try:
        producer.init_transactions()
        producer.begin_transaction()
        yield producer
        producer.flush()
        producer.abort_transaction() if abort else producer.commit_transaction()
    finally:
        producer.close()


def commit(found: Settings, partition: int, offset: int, note: str = "", group: str | None = None) -> None:
    consumer = KafkaConsumer(
        bootstrap_servers=found.bootstrap, group_id=group or found.app_id, enable_auto_commit=False
    )
    try:
        tp = TopicPartition(found.topic(REQUESTS), partition)
        consumer.assign([tp])
        consumer.commit({tp: OffsetAndMetadata(offset, note, -1)})
    finally:
        consumer.close()


PATIENCE_SECONDS = 20.0


def lag(watcher: Watcher, found: Settings, partition: int, group: str | None = None) -> Lag:
    """The partition's lag, once the record that waits there has been found: a look at it takes only so long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        [one] = [
            one
            for one in watcher.look().lags
            if (one.group, one.topic, one.partition) == (group or found.app_id, found.topic(REQUESTS), partition)
        ]
        if not one.waiting or one.seconds or time.monotonic() > deadline:
            return one


def test_a_group_that_never_ran_lags_behind_all_that_is_kept(watcher: Watcher, found: Settings) -> None:
    before = lag(watcher, found, 0)
    send(found, 0, [90, 60, 30])

    after = lag(watcher, found, 0)

    assert (before.committed, before.waiting, before.seconds) == (None, 0, 0)
    assert (after.committed, after.waiting, after.seconds) == (None, 4, 90)
    assert watcher.look().members[found.app_id] == 0


def test_seconds_are_those_of_the_oldest_record_that_waits(watcher: Watcher, found: Settings, clock: Clock) -> None:
    send(found, 1, [90, 60, 30])
    seen = []
    for committed in (1, 2):
        commit(found, 1, committed, "a note")
        seen.append(lag(watcher, found, 1))
    clock.now += 5
    seen.append(lag(watcher, found, 1))

    assert [(one.committed, one.waiting, one.seconds) for one in seen] == [(1, 3, 60), (2, 2, 30), (2, 2, 35)]
    assert {one.note for one in seen} == {"a note"}


def test_transaction_markers_and_aborted_records_do_not_wait(watcher: Watcher, found: Settings) -> None:
    """Where only transaction markers and aborted records are left, nothing waits."""
    send(found, 2, [9, 8])
    send(found, 2, [7, 6, 5], abort=True)
    commit(found, 2, 2)

    after = lag(watcher, found, 2)

    assert after.span.end > 2
    assert (after.waiting, after.seconds) == (0, 0)


# Who reads from behind an abort's marker is shown nothing of that producer by the embedded broker.
@pytest.mark.kafka
def test_a_record_behind_markers_and_aborted_records_waits(watcher: Watcher, found: Settings) -> None:
    send(found, 2, [9, 8])
    send(found, 2, [7, 6, 5], abort=True)
    commit(found, 2, 2)
    before = lag(watcher, found, 2)
    send(found, 2, [4])

    assert (before.waiting, before.seconds) == (0, 0)
    assert lag(watcher, found, 2).seconds == 4


@pytest.mark.kafka
def test_records_hidden_by_an_open_transaction_show_their_wait(watcher: Watcher, found: Settings, clock: Clock) -> None:
    """What an open transaction hides counts as waiting and shows for how long it has been hidden."""
    place = TopicPartition(found.topic(REQUESTS), 1)

    def seen() -> tuple[int, int, float]:
        look = watcher.look()
        [one] = [one for one in look.lags if (one.group, one.topic, one.partition) == (found.app_id, *place)]
        return one.waiting, one.held, look.open_seconds[place]

    send(found, 1, [9, 8])
    commit(found, 1, 3)
    before = seen()
    with transaction(found) as producer:
        producer.send(found.topic(REQUESTS), b"x", partition=1).get(10)
        with KafkaProducer(bootstrap_servers=found.bootstrap, acks="all") as other:
            other.send(found.topic(REQUESTS), b"x", partition=1).get(10)
        opened = seen()
        clock.now += 40
        held = seen()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (after := seen())[1] and time.monotonic() < deadline:
        pass

    assert before == (0, 0, 0)
    assert opened == (2, 2, 0)
    assert held == (2, 2, 40)
    assert after == (3, 0, 0)


def test_a_publishers_clock_that_runs_ahead_hides_no_stall(watcher: Watcher, found: Settings, clock: Clock) -> None:
    send(found, 3, [-1_000])
    first = lag(watcher, found, 3).seconds
    clock.now += 40

    assert (first, lag(watcher, found, 3).seconds) == (0, 40)


def test_every_group_is_told_of_not_only_ours(watcher: Watcher, found: Settings) -> None:
    other = f"!{found.app_id}-other"  # searched before what other tests left waiting on this broker
    send(found, 0, [50, 40])
    commit(found, 0, 1, group=other)

    assert lag(watcher, found, 0, other).seconds == 40


def test_our_group_is_searched_first_however_many_others_wait(
    watcher: Watcher, found: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.kafka.lag.SEARCH_SECONDS", 0.001)  # time for one partition
    send(found, 0, [50])
    commit(found, 0, 0)
    for number in range(5):
        commit(found, 0, 0, group=f"!{found.app_id}-{number}")  # before ours by name
    looks = [
        [one for one in watcher.look().lags if one.topic == found.topic(REQUESTS) and one.waiting] for _ in range(10)
    ]

    ours = [one.seconds for one in looks[-1] if one.group == found.app_id]
    assert ours == [50]
    assert any(one.seconds == 0 for one in looks[0] if one.group != found.app_id)


# --- what cannot be read of others ---------------------------------------------------------------------------------


class Refusing:
    """A client of the cluster's administration that fails at some names, and counts how often it did."""

    def __init__(self, admin: Any, method: str, *names: str) -> None:
        self._admin = admin
        self._method = method
        self._names = set(names)
        self.refused = 0

    def __getattr__(self, method: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if method == self._method:
                named = {getattr(one, "topic", one) for one in arguments[0]}
                if named & self._names:
                    self.refused += 1
                    raise GroupAuthorizationFailedError if named <= self._names else ValueError("an odd group")
            return getattr(self._admin, method)(*arguments, **options)

        return call if callable(getattr(self._admin, method)) else getattr(self._admin, method)


@pytest.fixture
def team_b(found: Settings) -> Iterator[str]:
    """A topic of somebody else's with some records, compressed."""
    name = f"{found.topic_prefix}orders"
    admin = KafkaAdminClient(bootstrap_servers=found.bootstrap.split(","))
    declared = {"num_partitions": 1, "replication_factor": 1, "configs": {"retention.ms": "-1"}}
    admin.create_topics({name: declared}, wait_for_metadata=True)
    producer = KafkaProducer(bootstrap_servers=found.bootstrap.split(","), compression_type="gzip")
    producer.send(name, bytes(5_000), partition=0, timestamp_ms=round((NOW - 70) * 1000)).get(10)
    producer.close()
    yield name
    admin.delete_topics([name])
    admin.close()


def commit_to(found: Settings, topic: str, group: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=found.bootstrap.split(","))
    try:
        admin.alter_group_offsets(group, {TopicPartition(topic, 0): OffsetAndMetadata(0, "", -1)})
    finally:
        admin.close()


def refusing(watcher: Watcher, monkeypatch: pytest.MonkeyPatch, method: str, *names: str) -> Refusing:
    admin = Refusing(new_admin(watcher._settings), method, *names)  # noqa: SLF001 (the fixture's own)
    monkeypatch.setattr("workers.kafka.lag.new_admin", lambda _settings, **_: admin)
    return admin


def told_of(look: Look, group: str) -> set[str]:
    return {one.topic for one in look.lags if one.group == group}


@pytest.mark.parametrize(
    ("method", "what"),
    [("list_group_offsets", "offsets"), ("describe_groups", "members"), ("list_partition_offsets", "ends")],
)
def test_an_unreadable_group_or_topic_costs_only_itself(
    watcher: Watcher, found: Settings, team_b: str, monkeypatch: pytest.MonkeyPatch, method: str, what: str
) -> None:
    """A group or topic that cannot be read costs only that one."""
    odd, even = f"{found.app_id}-odd", f"{found.app_id}-even"
    send(found, 0, [50, 40])
    for group in (odd, even, found.app_id):
        commit(found, 0, 1, group=group)
    commit_to(found, team_b, odd)
    admin = refusing(watcher, monkeypatch, method, team_b if what == "ends" else odd)

    look = watcher.look()
    refused = admin.refused
    again = watcher.look()

    name = team_b if what == "ends" else odd
    assert [one for one in look.unread if one.name in {odd, even, team_b}] == [
        Unread(what, name, "GroupAuthorizationFailedError")
    ]
    assert again.unread == look.unread
    assert admin.refused == refused > 0, "it is not asked for at every look"
    assert told_of(look, found.app_id) >= {found.topic(REQUESTS)}
    assert told_of(look, even) == {found.topic(REQUESTS)}
    assert (
        told_of(look, odd)
        == {
            "offsets": set(),
            "members": {found.topic(REQUESTS), team_b},
            "ends": {found.topic(REQUESTS)},
        }[what]
    )
    assert (odd in look.members, even in look.members) == (what != "members", True)


def test_our_own_group_that_cannot_be_read_is_no_look_at_all(
    watcher: Watcher, found: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(found, 0, [50])
    commit(found, 0, 0)
    refusing(watcher, monkeypatch, "list_group_offsets", found.app_id)

    with pytest.raises(ReadingError, match="lacks a right"):
        watcher.look()


def test_records_that_no_client_can_read_wait_all_the_same(
    watcher: Watcher, found: Settings, team_b: str, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr("workers.kafka.compression.LARGEST_BATCH", 1_000)
    other = f"{found.app_id}-other"
    commit_to(found, team_b, other)
    send(found, 0, [50])
    commit(found, 0, 0)
    unread = Unread("records", f"{team_b}/0", "Unreadable")
    # One look searches for a few seconds only, and others' groups come last.
    assert eventually(lambda: unread in watcher.look().unread)
    ours = lag(watcher, found, 0)
    looks = [watcher.look()]
    clock.now += 9
    looks.append(watcher.look())

    [[first], [second]] = [[one for one in look.lags if one.topic == team_b] for look in looks]
    assert ours.seconds == 50
    assert (first.waiting, second.waiting) == (1, 1)
    assert second.seconds - first.seconds == 9, "as long as it has been seen to wait"
    assert all(unread in look.unread for look in looks)


def test_who_asks_for_our_group_alone_hears_of_no_other(found: Settings) -> None:
    send(found, 0, [50])
    commit(found, 0, 0)
    commit(found, 0, 0, group=f"{found.app_id}-other")
    watcher = Watcher(found, others=False)
    try:
        look = watcher.look()
    finally:
        watcher.close()

    assert ({one.group for one in look.lags}, set(look.members)) == ({found.app_id}, {found.app_id})


def test_silent_brokers_are_a_sentence_and_are_tried_again(found: Settings) -> None:
    """Brokers that do not answer give a sentence, and the next look connects again."""
    nowhere = Watcher(found.model_copy(update={"bootstrap": "127.0.0.1:1"}))

    for _ in range(2):
        with pytest.raises(ReadingError, match=r"127\.0\.0\.1:1: .*is Kafka there"):
            nowhere.look()
