"""Events that nobody should send, among good ones: each is put aside with its reason, and the good ones are decided."""

import asyncio
import json
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from events.dead_letter import SENTENCES
from events.decode import RejectedError, decode
from events.request_parts import parts_of
from events.topics import DEAD_LETTERS, REQUESTS
from tests.faults.counting import count, digest
from tests.faults.flow import FULL_SPEED, all_committed, answers, eventually, everything, flowing
from tests.faults.report import Report
from tests.faults.workload import Pool, Workload, answer
from tests.support import generator
from tests.support.packaged import packaged_library
from workers.configuration.settings import Settings
from workers.decide.handler import Decider
from workers.dev_brokers import Broker, KafkaBroker
from workers.kafka.records import OutgoingRecord
from workers.traffic.commands import as_record

HUGE = 50_000_000
POISONED = 0.01


# --- on a broker ---------------------------------------------------------------------------------------------------


def nested(depth: int, inside: bytes = b"1") -> bytes:
    return b'{"data":' * depth + inside + b"}" * depth


def dated(seed: int, number: int, day: str, instant: str) -> bytes:
    """A request of some other time."""
    made = generator.request(seed, number)
    made["request_id"] = f"DATED-{number}"
    made["submitted_at"] = instant
    for line in made["service_lines"]:
        line["service_date"] = day
    return generator.encode(made)


def oddities(seed: int) -> Iterator[OutgoingRecord]:
    """Records that are no ordinary malformed request."""
    line = generator.encode(generator.request(seed, 0) | {"request_id": "ODD-0"})
    good = as_record(line, "")
    yield OutgoingRecord("", b"huge", b'{"specversion":"1.0","data":"' + b"x" * HUGE + b'"}')
    yield OutgoingRecord("", b"huge", b"\x00" * 1_900_000)
    for depth in (50, 200, 5_000, 200_000):
        yield OutgoingRecord("", b"deep", nested(depth))
        yield OutgoingRecord("", b"deep", good.value.replace(b'"data":{', b'"data":{"deep":' + nested(depth) + b",", 1))
    yield OutgoingRecord(
        "", b"twice", good.value.replace(b'"data":{', b'"data":{"urgency":"standard",', 1), good.headers
    )
    yield OutgoingRecord("", b"twice", good.value.replace(b'"data":{', b'"data":{},"data":{', 1), good.headers)
    yield OutgoingRecord("", b"nul", b"\x00" * 100)
    yield OutgoingRecord(
        "", b"header", good.value, (("ce_specversion", b"\xff\xfe"), ("", b""), ("x" * 1000, b"y" * 1000))
    )
    yield OutgoingRecord("", b"header", good.value, (("ce_specversion", b"1.0"), ("ce_type", b"nobody.knows.v1")))
    days = ("0001-01-01", "1900-02-28", "2999-12-31", "9999-12-31")
    # The third is a leap second.
    instants = (
        "0001-01-01T00:00:00+14:00",
        "1970-01-01T00:00:00Z",
        "2999-06-30T23:59:60Z",
        "9999-12-31T23:59:59-12:00",
    )
    for number, (day, instant) in enumerate((day, instant) for day in days for instant in instants):
        yield as_record(dated(seed, number, day, instant), "")


def of_all_kinds(seed: int, how_many: int) -> Iterator[OutgoingRecord]:
    """Malformed requests of every kind in turn."""
    kinds = list(generator.malformed_kinds)
    for number in range(max(how_many, len(kinds))):
        item = generator.malformed_request(kinds[number % len(kinds)], seed + 1, number)
        record = as_record(generator.encode(item), "")
        yield record._replace(key=record.key or b"poison-%d" % number)


async def publish(found: Settings, records: list[OutgoingRecord]) -> None:
    """Send records of any size."""
    async with AIOKafkaProducer(bootstrap_servers=found.bootstrap, max_request_size=2 * HUGE) as producer:
        for one in records:
            await producer.send_and_wait(found.topic(REQUESTS), one.value, key=one.key, headers=list(one.headers))


def let_in(found: Settings) -> None:
    """Have the topic of requests take the largest of them."""
    client = KafkaAdminClient(bootstrap_servers=found.bootstrap)
    try:
        limit = {"max.message.bytes": str(2 * HUGE)}
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, found.topic(REQUESTS), configs=limit)])
    finally:
        client.close()


def letters(found: Settings) -> Counter[tuple[str, str]]:
    """Of every dead letter: the digest of the value that it keeps, and its reason."""
    kept: Counter[tuple[str, str]] = Counter()
    for _, value in everything(found, DEAD_LETTERS):
        letter = json.loads(value)["data"]
        original = letter["original"]
        whole = original.get("value_sha256") or sha256(b64decode(original["value_base64"])).hexdigest()
        assert letter["message"]
        kept[whole, letter["reason"]] += 1
    return kept


@pytest.fixture
def roomy_broker() -> Iterator[Broker]:
    properties = {"message.max.bytes": str(2 * HUGE), "group.min.session.timeout.ms": "1000"}
    with KafkaBroker(properties=properties, heap_megabytes=1024) as running:
        yield running


@pytest.mark.faults
@pytest.mark.kafka
def test_poison_is_set_aside_and_the_rest_is_decided(
    roomy_broker: Broker, pool: Pool, prefix: str, tmp_path: Path, seed: int, chance: Random, report: Report
) -> None:
    """Poison records are set aside with their reasons, and the rest is decided."""
    asked = pool.first(20_000).asked
    poison = [*of_all_kinds(seed, round(len(asked) * POISONED)), *oddities(seed)]
    chance.shuffle(poison)
    wanted: Counter[tuple[str, str]] = Counter()
    expected = Workload(asked).expected
    for one in poison:
        try:
            decision = answer(one)
            expected[decision.key] = digest(decision.value)
        except RejectedError as rejected:
            wanted[sha256(one.value).hexdigest(), rejected.reason] += 1

    with flowing(roomy_broker.bootstrap, Workload(asked), tmp_path, prefix) as flow:
        let_in(flow.settings)
        flow.fleet.start(2)
        share = len(asked) // 20
        for number in range(20):
            flow.publisher.allow(share * (number + 1), FULL_SPEED)
            asyncio.run(publish(flow.settings, poison[number::20]))
        flow.publisher.finish()
        assert eventually(lambda: all_committed(flow.settings, len(asked) + len(poison))), flow.fleet.said()
        counted = count(expected, answers(flow.settings))
        found = letters(flow.settings)

    kinds = f"{wanted.total()} poisoned of {len(generator.malformed_kinds)} kinds and more, one of 50 MB"
    report.add("poison", len(poison), counted, notes=f"{kinds}; {found.total()} dead letters")
    assert counted.clean
    assert found == wanted
    assert "internal_error" not in {reason for _, reason in found}
    assert len(expected) > len(asked)


# --- without one ---------------------------------------------------------------------------------------------------

PROCESSES = 2
STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, 10**30, -(10**400), 1e308, "", " ", "\u0000", "\ud800", "é" * 300, "x" * 5_000,
    "0001-01-01", "9999-12-31", "2025-02-30", "10000-01-01", "2025-03-28T10:00:00Z", "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00+14:00", "2016-12-31T23:59:60Z", "1234567893", "38242", "C92.02", "cpt", "donor", [], {},
    [[]], [None], {"": None}, {"$ref": "#"}, [{}] * 120, "treat_relapse", ["treat_relapse"] * 50, float("nan"),
)  # fmt: skip

MARKS = (b'"', b"{", b"}", b"[", b",", b"\\", b"0", b"-")


def fuzzed(seed: int, start: int, stop: int) -> Iterator[bytes]:
    """Events that are nearly right, each depending on the seed and its number alone."""
    for number in range(start, stop):
        chance = Random(f"{seed}/fuzz/{number}")
        if number % 10 == 0 or number == start:
            request = generator.request(seed, number)
            base = as_record(generator.encode(request), "").value
        yield _bent(base, chance) if chance.random() < 0.5 else _reshaped(base, chance)


def _bent(raw: bytes, chance: Random) -> bytes:
    """Change bytes, wherever they are."""
    changed = bytearray(raw)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(changed) + 1)
        to = min(len(changed), at + chance.choice((0, 1, 1, 1, 8, 60)))
        new = chance.choice(
            (b"", chance.randbytes(1), chance.choice((b'"', b"{", b"}", b"[", b",", b"\\", b"0", b"-")))
        )
        changed[at:to] = new if chance.random() < 0.9 else changed[: chance.randrange(80)]
    return bytes(changed)


def _reshaped(raw: bytes, chance: Random) -> bytes:
    """Change JSON values, wherever they are."""
    tree = json.loads(raw)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        places = list(_places(tree["data"] if chance.random() < 0.9 and isinstance(tree.get("data"), dict) else tree))
        if not places:
            break
        holder, step = chance.choice(places)
        kind = chance.random()
        if kind < 0.15:
            del holder[step]
        elif kind < 0.25 and isinstance(holder, dict):
            holder[chance.choice(("x", "", "line", "clinical", "policy_number", "data"))] = deepcopy(
                chance.choice(STRANGE)
            )
        elif kind < 0.45:
            other, there = chance.choice(places)
            holder[step] = deepcopy(other[there])
        else:
            holder[step] = deepcopy(chance.choice(STRANGE))
    return json.dumps(tree, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    steps = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for step, value in list(steps):
        yield tree, step
        yield from _places(value)


def _tried(seed: int, start: int, stop: int) -> tuple[int, Counter[str], list[str]]:
    """How many were decided, how many rejected by reason, and what went wrong, in one process."""
    decider = Decider(packaged_library())
    decided, rejected, wrong = 0, Counter[str](), []
    for number, raw in enumerate(fuzzed(seed, start, stop), start):
        try:
            encoded = decider.decide(parts_of(decode(raw).request)).encoded
            decided += 1
            if not encoded.data:
                wrong.append(f"{number}: an empty decision")
        except RejectedError as error:
            rejected[error.reason] += 1
            if error.reason not in SENTENCES or not error.errors or error.reason == "internal_error":
                wrong.append(f"{number}: rejected without a reason")
        except Exception as error:  # noqa: BLE001 (whatever it is, it is what the test looks for)
            wrong.append(f"{number}: {error!r}")
    return decided, rejected, wrong


@pytest.mark.faults
def test_a_million_nearly_right_events_are_decided_or_rejected(
    seed: int, report: Report, times: Callable[[int, int], int]
) -> None:
    """A million events that are nearly right are each decided or rejected with a reason."""
    total = times(1_000_000, 10_000_000)
    share = total // (PROCESSES * 20)
    starts = range(0, total, share)
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as workers:
        found = list(workers.map(_tried, [seed] * len(starts), starts, [start + share for start in starts]))
    decided = sum(one for one, _, _ in found)
    rejected = sum((one for _, one, _ in found), Counter[str]())
    wrong = [sentence for _, _, some in found for sentence in some]

    by_reason = ", ".join(f"{reason} {times:,}" for reason, times in rejected.most_common())
    report.note(f"{total:,} fuzzed events: {decided:,} decided, {by_reason}, {len(wrong)} crashes")
    assert wrong == []
    assert decided + rejected.total() == total
    assert min(decided, rejected["undecodable"], rejected["schema_violation"]) > total // 100
