"""Requests live their lives while workers are killed: verdicts, extensions, supersessions, cancellations, appeals.

In the end the state of every case is that of a second reckoning from the events of cases, and so are the figures of
each year; no decision is made twice, no deadline is announced twice, and the account of verdicts balances.
"""

import asyncio
import json
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord, TopicPartition

from events.case import Case, case_of
from events.topics import CASE_EVENTS, CASES, DEADLINES, DECISIONS, REQUESTS, VERDICTS
from tests.faults.flow import PARTITIONS, SESSION_SECONDS, Fleet, eventually
from tests.support.generated_cases import listed_services
from tests.support.naive_cases import Json, Rules, lives
from tests.support.naive_figures import naive_figures
from tests.support.packaged import packaged_document
from tests.support.reviews import event
from tests.support.running import settings_for
from workers.accounts.account import look
from workers.accounts.review_account import review_account
from workers.cases.lifecycle import next_moment
from workers.cases.passing_of_time import STAGES
from workers.configuration.settings import Settings
from workers.dev_brokers import Broker
from workers.figures.figures import public_figures
from workers.kafka.group_progress import read_to_end
from workers.topics import apply_topics
from workers.traffic.commands import as_record
from workers.traffic.generate import Generator
from workers.traffic.lives import LaterEvent, later_events

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

PATIENCE_SECONDS = 900.0
PAUSES = (2.0, 12.0)
"""Seconds between two kills, at least and at most."""
AT_ONCE = 150
"""Requests published before decisions are read again."""
RULES = Rules(
    {"commercial": "MS"},
    frozenset({"commercial"}),
    {"standard": timedelta(days=7), "expedited": timedelta(hours=48)},
    {"standard": timedelta(hours=24), "expedited": timedelta(hours=8)},
)


class Platform(Thread):
    """Publishes requests, reads decisions, and publishes what follows from them."""

    def __init__(self, found: Settings, seed: int, lines: list[bytes]) -> None:
        super().__init__(name="platform", daemon=True)
        self._found = found
        self._seed = seed
        self._lines = lines
        self.requests: dict[str, Json] = {}
        self.published = Counter[str]()
        self.over = False
        self.seen = 0
        self._answered: set[str] = set()
        self._amending: dict[tuple[str, str], LaterEvent] = {}

    def run(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        servers = self._found.bootstrap
        async with (
            AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True, linger_ms=5) as producer,
            AIOKafkaConsumer(
                bootstrap_servers=servers, enable_auto_commit=False, isolation_level="read_committed"
            ) as consumer,
        ):
            consumer.assign([TopicPartition(self._found.topic(DECISIONS), number) for number in range(PARTITIONS)])
            await consumer.seek_to_beginning()
            waiting = iter(self._lines)
            while not self.over:
                for _, line in zip(range(AT_ONCE), waiting, strict=False):
                    await self._request(producer, json.loads(line), line)
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    for record in records:
                        await self._react(producer, json.loads(record.value)["data"])
                await producer.flush()

    async def _request(self, producer: AIOKafkaProducer, request: Json, line: bytes) -> None:
        self.requests[request["request_id"]] = request
        record = as_record(line, self._found.topic(REQUESTS))
        await producer.send(record.topic, record.value, key=record.key, headers=list(record.headers))
        self.published["requested"] += 1

    async def _react(self, producer: AIOKafkaProducer, decision: Json) -> None:
        self.seen += 1
        name = decision["request_id"]
        if "supersedes_decision" in decision:
            for verdict in {line["review"]["verdict_id"] for line in decision["lines"] if "review" in line}:
                amending = self._amending.pop((name, verdict), None)
                if amending is not None:
                    await self._review(producer, {**amending.data, "decision_id": decision["decision_id"]}, "reviewed")
        elif name not in self._answered:
            self._answered.add(name)
            for later in later_events(self._seed, self.requests[name], decision):
                await self._later(producer, later)

    async def _later(self, producer: AIOKafkaProducer, later: LaterEvent) -> None:
        if later.kind == "requested":
            await self._request(producer, later.data, json.dumps(later.data).encode())
        elif later.data.get("amends") is not None and later.data.get("decision_id") is None:
            self._amending[later.data["request_id"], later.data["amends"]] = later
        else:
            await self._review(producer, later.data, later.kind)

    async def _review(self, producer: AIOKafkaProducer, data: Json, kind: str) -> None:
        # In any partition.
        key = str(self.published.total()).encode()
        await producer.send(self._found.topic(VERDICTS), event(data, f"authorization.{kind}.v1"), key=key)
        self.published[kind] += 1


def records_of(found: Settings, name: str) -> list[ConsumerRecord]:
    """All committed records of a topic, partition by partition, in order."""

    async def read() -> list[ConsumerRecord]:
        async with AIOKafkaConsumer(
            bootstrap_servers=found.bootstrap, enable_auto_commit=False, isolation_level="read_committed"
        ) as consumer:
            partitions = [TopicPartition(found.topic(name), number) for number in range(PARTITIONS)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning()
            ends = await consumer.end_offsets(partitions)
            read: list[ConsumerRecord] = []
            for where in partitions:
                while await consumer.position(where) < ends[where]:
                    for got in (await consumer.getmany(where, timeout_ms=200)).values():
                        read += got
            return read

    return asyncio.run(read())


def log_of(
    events: list[ConsumerRecord], gives: dict[str, str], certified: dict[str, list[int]], requests: dict[str, Json]
) -> Iterator[Json]:
    """The events of cases, as the second reckoning reads them."""
    for record in events:
        found = json.loads(record.value)
        at = datetime.fromtimestamp(record.timestamp / 1000, tz=UTC).isoformat()
        kind = found["kind"]
        if kind == "decided":
            name = found["request"]["request_id"]
            certify = certified.get(name, [])
            yield {**found, "at": at, "would_certify": certify}
        elif kind == "superseding":
            by = requests[found["by"]]
            yield {"kind": kind, "at": at, "request_id": (record.key or b"").decode(), "by": by}
        elif kind == "time":
            yield {"kind": kind, "at": at}
        elif kind == "reviewed":
            carried = found["record"]
            data = json.loads(b64decode(carried["value"]))["data"]
            place = f"{carried['topic']}/{carried['partition']}/{carried['offset']}"
            published = datetime.fromtimestamp(carried["timestamp"] / 1000, tz=UTC).isoformat()
            what = "extended" if "extension_id" in data else "reviewed"
            said = {"extension" if what == "extended" else "verdict": data}
            yield {"kind": what, "at": published, "gives": gives.get(place, ""), **said}


def reckoned_again(
    happened: list[ConsumerRecord], gives: dict[str, str], certified: dict[str, list[int]], requests: dict[str, Json]
) -> dict[str, Json]:
    """The cases by the second reckoning, which takes one partition after the other; links go from one to another."""
    cases: dict[str, Json] = {}
    links: dict[str, str] = {}
    for partition in range(PARTITIONS):
        own = [one for one in happened if one.partition == partition]
        found = lives(log_of(own, gives, certified, requests), RULES)
        cases |= found.cases
        links |= found.links
    return {name: {**case, "link": links.get(name)} for name, case in cases.items()}


def shown(case: Case, known: Collection[str]) -> Json:
    return {
        "state": case.state,
        "action": case.action,
        "lines": {line.line: line.action for line in case.lines},
        "due": case.due,
        "announced": sorted(case.announced) if case.is_open else None,
        "superseded_by": case.superseded_by,
        "extended": case.extended,
        "verdicts": sorted(case.verdicts),
        "decision_id": case.decision_id,
        # One to an unknown request stands too; nobody hears of it.
        "link": case.link == "stands" and case.supersedes in known,
    }


def shown_naively(case: Json) -> Json:
    is_open = case["state"] in ("recommended", "waiting")
    return {
        "state": case["state"],
        "action": case["action"],
        "lines": {line["line"]: line["action"] for line in case["lines"]},
        "due": datetime.fromisoformat(case["due_at"]) if is_open and case["due_at"] else None,
        "announced": sorted(case["announced"]) if is_open else None,
        "superseded_by": case.get("superseded_by"),
        "extended": case["extended"],
        "verdicts": sorted(case["verdicts"]),
        "decision_id": case["decision_id"],
        "link": case["link"] == "stands",
    }


def different(one: Json, other: Json) -> list[tuple[str, Any, Any]]:
    """Each field that has two values, with both."""
    return [(name, value, other[name]) for name, value in one.items() if value != other[name]]


def story(happened: list[ConsumerRecord], cases: dict[str, Case], name: str) -> str:
    """The events of a case and of the one that its request supersedes, in the order of time."""
    names = {name, cases[name].supersedes}
    events = [one for one in happened if (one.key or b"").decode() in names]
    lines = [
        f"{one.timestamp} {one.partition}/{one.offset} {(one.key or b'').decode()} {(one.value or b'')[:90]!r}"
        for one in sorted(events, key=lambda one: int(one.timestamp))
    ]
    states = [f"{one}: {cases[one].state}, {cases[one].action}, {cases[one].link}" for one in cases.keys() & names]
    return "\n".join([*states, *lines])


def assert_figures_equal(cases: dict[str, Case], expected: list[Json]) -> None:
    """The figures of every year are those that a second computation has from the second reckoning."""
    document = packaged_document()
    determined = {case["determined_at"][:4] for case in expected if "determined_at" in case}
    for year in sorted(map(int, determined)):
        naive = naive_figures(expected, listed_services(document), document.time_zone, year)
        assert public_figures(cases.values(), document, year).values == naive


def settled(found: Settings, platform: Platform, fleet: Fleet) -> bool:
    """Whether everything is read, and the platform has reacted to all of it."""
    fleet.look_after()
    before = platform.published.total(), platform.seen
    return read_to_end(found, STAGES * 2, 120.0) and before == (platform.published.total(), platform.seen)


def states_of(found: Settings) -> dict[str, Case]:
    """The last state of every case."""
    return {(one.key or b"").decode(): case_of(one.value) for one in records_of(found, CASES)}


def nothing_is_due(found: Settings) -> bool:
    """Whether every deadline that has passed is announced."""
    now = datetime.now(UTC)
    moments = (next_moment(case) for case in states_of(found).values())
    return not any(moment is not None and moment <= now for moment in moments)


def kill_at_random(fleet: Fleet, chance: Random, kills: int) -> None:
    for _ in range(kills):
        until = time.monotonic() + chance.uniform(*PAUSES)
        while time.monotonic() < until:
            fleet.look_after()
            time.sleep(0.1)
        chance.choice(fleet.running).kill()
        idle = fleet.idle
        for one in chance.sample(idle, chance.randint(0 if fleet.running else 1, len(idle))):
            one.start()


def test_every_case_ends_as_a_second_reckoning_says(
    broker: Broker, prefix: str, tmp_path: Path, chance: Random, seed: int, times: Callable[[int, int], int]
) -> None:
    """However workers die, each case and each number is that of a second reckoning."""
    count, kills = times(10_000, 50_000), times(10, 60)
    found = settings_for(broker.bootstrap, prefix, tmp_path, session_timeout_seconds=SESSION_SECONDS)
    found = found.model_copy(update={"partitions": PARTITIONS})
    apply_topics.apply(found)
    fleet = Fleet(found, tmp_path)
    platform = Platform(found, seed, list(Generator(seed).lines(count)))
    try:
        fleet.start(3)
        platform.start()
        kill_at_random(fleet, chance, kills)
        assert eventually(lambda: platform.published["requested"] >= count, PATIENCE_SECONDS)
        assert eventually(lambda: settled(found, platform, fleet), PATIENCE_SECONDS), fleet.said()
        assert eventually(lambda: settled(found, platform, fleet), PATIENCE_SECONDS), fleet.said()
        # Of many cases that are due at once, each passing of time concerns some hundreds.
        assert eventually(lambda: nothing_is_due(found), PATIENCE_SECONDS)
        assert eventually(lambda: settled(found, platform, fleet), PATIENCE_SECONDS), fleet.said()
        account = review_account(look(found), found)
        cases = states_of(found)
        decided = records_of(found, DECISIONS)
        happened = records_of(found, CASE_EVENTS)
        announced = Counter(json.loads(one.value)["id"] for one in records_of(found, DEADLINES))
    finally:
        platform.over = True
        platform.join(30)
        fleet.stop()

    decisions = [json.loads(one.value)["data"] for one in decided]
    causes = [dict(one.headers)["dli-cause"].decode() for one in decided]
    gives = {cause: one["decision_id"] for cause, one in zip(causes, decisions, strict=True)}
    certified = {name: [line.line for line in case.lines if line.would_certify] for name, case in cases.items()}
    expected = reckoned_again(happened, gives, certified, platform.requests)

    assert sorted(cases) == sorted(expected)
    differing = {name: different(shown(case, cases), shown_naively(expected[name])) for name, case in cases.items()}
    wrong = [name for name, fields in differing.items() if fields][:3]
    assert {name: differing[name] for name in wrong} == {}, "\n".join(story(happened, cases, name) for name in wrong)
    assert_figures_equal(cases, list(expected.values()))
    ids = Counter(decision["decision_id"] for decision in decisions)
    assert [one for one, number in ids.items() if number > 1] == []
    machine = Counter(one["request_id"] for one in decisions if "supersedes_decision" not in one)
    assert machine == dict.fromkeys(cases, 1)
    assert set(announced.values()) <= {1}
    assert account.problem is None
    assert account.consumed == platform.published["reviewed"] + platform.published["extended"]
    assert (account.held, account.on_their_way, account.waiting) == (0, 0, 0)
    assert account.opened == len(cases)
    assert account.open == sum(case.is_open for case in cases.values())
    # All of it happened.
    states = Counter(case.state for case in cases.values())
    assert min(states[state] for state in ("recommended", "waiting", "final", "superseded", "cancelled")) > 0
    assert min(account.final, account.partial, account.extended, account.refused, announced.total()) > 0
