"""Verify finds the same, byte for byte, however a log is kept and its requests are read.

The quick way reads archives by column and requests by structs, and decides by remembered parts; beside it stand records
in memory, JSON lines, and the models. Each fault that a log may have is planted, and no way may see more or less of it.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.decode import decode
from events.envelope import Headers
from events.request_parts import parts_of
from events.topics import DEAD_LETTERS, DECISIONS, REQUESTS
from events.typed_reader import Event
from policy_core.history.library import PACKAGED, load_library
from tests.support.event_logs import MemorySource, archived, recorded
from tests.support.verifying import replayed
from workers.archive.archive_source import ArchiveSource
from workers.event_log.source import Format, Source
from workers.kafka.records import Record
from workers.replay import partition_replay
from workers.replay.verify_report import report_of
from workers.traffic.generate import Generator

LINES = list(Generator(31, duplicates=0.05, conflicts=0.05, malformed=0.05).lines(160))
Fault = Callable[[list[Record], Random], list[Record]]


@pytest.fixture(scope="module")
def log() -> MemorySource:
    return recorded(LINES, load_library([PACKAGED], "L.2.03.402"), partitions=1, batch=50)


def _at(change: Callable[[Record], Record]) -> Fault:
    def fault(records: list[Record], rng: Random) -> list[Record]:
        at = rng.randrange(len(records))
        return [*records[:at], change(records[at]), *records[at + 1 :]]

    return fault


def _another_byte(records: list[Record], rng: Random) -> list[Record]:
    def flipped(record: Record) -> Record:
        raw = bytearray(record.value or b"?")
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        return record._replace(value=bytes(raw))

    return _at(flipped)(records, rng)


def _gone(records: list[Record], rng: Random) -> list[Record]:
    at = rng.randrange(len(records))
    return [*records[:at], *records[at + 1 :]]


def _twice(records: list[Record], rng: Random) -> list[Record]:
    at, to = rng.randrange(len(records)), rng.randrange(len(records))
    return _numbered([*records[:to], records[at], *records[to:]])


def _exchanged(records: list[Record], rng: Random) -> list[Record]:
    first, second = rng.randrange(len(records)), rng.randrange(len(records))
    made = list(records)
    made[first], made[second] = made[second], made[first]
    return _numbered(made)


def _numbered(records: Sequence[Record]) -> list[Record]:
    return [one._replace(offset=at) for at, one in enumerate(records)]


def _gap(records: list[Record], rng: Random) -> list[Record]:
    at = rng.randrange(len(records))
    return [*records[:at], *(one._replace(offset=one.offset + 3) for one in records[at:])]


def _ends_early(records: list[Record], rng: Random) -> list[Record]:
    return records[: rng.randrange(len(records))]


def _cause_of(record: Record) -> Record:
    return record._replace(headers=tuple([(n, b"elsewhere/0/1" if n == "dli-cause" else v) for n, v in record.headers]))


FAULTS: dict[str, Fault] = {
    "another byte": _another_byte,
    "gone": _gone,
    "twice": _twice,
    "exchanged": _exchanged,
    "a gap": _gap,
    "ends early": _ends_early,
    "no value": _at(lambda one: one._replace(value=None)),
    "no key": _at(lambda one: one._replace(key=None)),
    "another key": _at(lambda one: one._replace(key=b"another")),
    "no headers": _at(lambda one: one._replace(headers=())),
    "a header more": _at(lambda one: one._replace(headers=(*one.headers, ("x", None)))),
    "a header's name that is no text": _at(lambda one: one._replace(headers=(("\udcff", b"\xff"), *one.headers))),
    "headers in another order": _at(lambda one: one._replace(headers=one.headers[::-1])),
    "another cause": _at(_cause_of),
    "another writer": _at(lambda one: one._replace(headers=(*one.headers[:-1], ("dli-writer", b"2")))),
    "spaced": _at(lambda one: one._replace(value=(one.value or b"").replace(b",", b", ", 1))),
    "another source": _at(
        lambda one: one._replace(value=(one.value or b"").replace(b'"source":"/', b'"source":"/o', 1))
    ),
    "empty": _at(lambda one: one._replace(value=b"")),
    "no JSON": _at(lambda one: one._replace(value=b"\xff{")),
    "another instant": _at(lambda one: one._replace(timestamp=-1)),
}
PLACES = (REQUESTS, DECISIONS, DEAD_LETTERS)


def faulty(log: MemorySource, faults: Sequence[tuple[str, str]], seed: int) -> MemorySource:
    """The log with faults, each a name and the topic where it is planted."""
    rng, records = Random(seed), {place: list(some) for place, some in log.records.items()}
    for name, topic in faults:
        place = (log.topic(topic), 0)
        if records[place]:
            records[place] = FAULTS[name](records[place], rng)
    return MemorySource(records)


def by_models(value: bytes | None, headers: Headers = ()) -> Event:
    received = decode(value, headers)
    cause = received.attributes.cause() if received.attributes is not None else None
    return Event(cause, parts_of(received.request))


def found(source: Source, folder: Path) -> tuple[dict[str, Any], list[bytes]]:
    """All that a run says: its report, and its findings as they are printed."""
    done = replayed(source, folder)
    return report_of(done).as_json(), list(done.findings())


def found_in_each_way(log: MemorySource, folder: Path) -> dict[str, tuple[dict[str, Any], list[bytes]]]:
    ways = {"records": found(log, folder / "records")}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(partition_replay, "read", by_models)
        ways["models"] = found(log, folder / "models")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("workers.archive.archive_source.BLOCK_RECORDS", 40)
        for form in Format:
            ways[form] = found(ArchiveSource(archived(log, folder / form, form)), folder / f"{form}-work")
    return ways


@pytest.mark.parametrize("topic", PLACES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_the_same_finding_in_each_way(fault: str, topic: str, log: MemorySource, tmp_path: Path) -> None:
    ways = found_in_each_way(faulty(log, [(fault, topic)], seed=7), tmp_path)

    assert ways == dict.fromkeys(ways, ways["records"])
    # No request is lost from sight, and a changed answer is never taken for the same.
    report, findings = ways["records"]
    assert report["identical"]["all"] + len({json.loads(one).get("offset") for one in findings}) > 0


@given(
    faults=st.lists(st.tuples(st.sampled_from(sorted(FAULTS)), st.sampled_from(PLACES)), max_size=6),
    seed=st.integers(0, 1_000),
)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_many_faults_are_the_same_findings_in_each_way(
    faults: list[tuple[str, str]], seed: int, log: MemorySource, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ways = found_in_each_way(faulty(log, faults, seed), tmp_path_factory.mktemp("ways"))

    assert ways == dict.fromkeys(ways, ways["records"])
