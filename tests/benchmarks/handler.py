"""The decision handler without a broker: the processor time that a request takes, by form and by what was seen before.

The handler remembers answered requests in RocksDB, as in a worker. Beside it, in the same run, the ways that it
replaced and that explain it: reading by the models, and deciding by `Policy.determine`.

python -m tests.benchmarks.handler [--requests 200000]   # as JSON
"""

import argparse
import asyncio
import gc
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, TypeVar
from zlib import crc32

from events.decode import decode
from events.envelope import dumps, loads, written
from events.topics import ANSWERED, REQUESTS
from events.typed_reader import read
from policy_core.evaluate.plan import Plan
from policy_core.history.library import load_library
from tests.benchmarks.processes import BenchmarkError
from tests.benchmarks.work import PARTITIONS, NothingYet
from tests.support.case_of_request import case_of
from workers.configuration.settings import Settings
from workers.decide.duplicates import AnsweredRequests
from workers.decide.handler import DecisionHandler
from workers.kafka.records import Headers, OutgoingRecord, Record
from workers.main.app import DAY_MS
from workers.process import logs
from workers.traffic.commands import as_record
from workers.traffic.generate import Generator

T = TypeVar("T")
Form = Callable[[OutgoingRecord], tuple[bytes, Headers]]
"""How a platform writes an event."""

SEED = 7
DUPLICATES = 0.005
REQUESTS_MEASURED = 200_000
LEARNT = 100_000
"""New requests that come before those which are measured."""
BLOCK = 20_000
SEEN = 20_000
"""Requests that the handler has decided before, under other ids."""
ROUNDS = 3
BEGINNING_MS = 1_760_000_000_000


def measure(requests: int = REQUESTS_MEASURED) -> dict[str, float]:
    """Microseconds of processor time for a request, by what was measured."""
    logs.configure(level="ERROR")
    lines = list(Generator(SEED, duplicates=DUPLICATES).lines(requests))
    with TemporaryDirectory(prefix="dli-bench-") as folder:
        settings = Settings(data_dir=Path(folder))
        memory = AnsweredRequests(Path(folder) / "answered", NothingYet(settings.topic(ANSWERED)), 30 * DAY_MS)
        for partition in range(PARTITIONS):
            asyncio.run(memory.assigned(partition, 0))
        handler = DecisionHandler(load_library(settings.policies, settings.default_policy), settings, memory)
        found = _new(handler, memory, lines) | _seen(handler, memory, lines[-SEEN:])
        for partition in range(PARTITIONS):
            memory.revoked(partition)
    return found | _beside(lines[-SEEN:])


def _new(handler: DecisionHandler, memory: AnsweredRequests, lines: Sequence[bytes]) -> dict[str, float]:
    """Requests as they arrive for the first time: the first block, and the median of those after what is learnt."""
    blocks = [
        _decided(handler, memory, _batches(_records(lines[begin : begin + BLOCK]), 1_000))
        for begin in range(0, len(lines), BLOCK)
    ]
    later = blocks[LEARNT // BLOCK :]
    return {"new, first block": blocks[0]} | ({"new, after 100,000": median(later)} if later else {})


def _seen(handler: DecisionHandler, memory: AnsweredRequests, lines: Sequence[bytes]) -> dict[str, float]:
    """Requests that differ from earlier ones by their ids only."""
    forms: dict[str, tuple[Form, int]] = {
        "seen, compact, batches of 1,000": (_compact, 1_000),
        "seen, compact, batches of 15": (_compact, 15),
        "seen, spaced": (_spaced, 1_000),
        "seen, binary mode": (_binary, 1_000),
    }
    rounds: dict[str, list[float]] = {name: [] for name in forms}
    names = count()
    for _ in range(ROUNDS + 1):  # in the first, the spaced parts are new
        for name, (form, size) in forms.items():
            renamed = f'"request_id":"AGAIN-{next(names)}-'.encode()
            again = [line.replace(b'"request_id":"', renamed, 1) for line in lines]
            rounds[name].append(_decided(handler, memory, _batches(_records(again, form), size)))
    return {name: median(found[1:]) for name, found in rounds.items()}


def _beside(lines: Sequence[bytes]) -> dict[str, float]:
    """The parts of the handler, and the readable ways that they stand for."""
    records = _records(lines)
    settings = Settings()
    policy = load_library(settings.policies, settings.default_policy).snapshot().named(None)
    if policy is None:
        raise BenchmarkError("the library has no default policy")
    plan = Plan(policy)
    requests = [read(record.value, record.headers).request for record in records]
    cases = [case_of(decode(record.value, record.headers).request) for record in records]
    return {
        "read, typed": _cpu(lambda record: read(record.value, record.headers), records),
        "read, by the models": _cpu(lambda record: decode(record.value, record.headers), records),
        "decide, planned": _cpu(plan.decide, requests),
        "decide, Policy.determine": _cpu(policy.determine, cases),
    }


def _cpu(call: Callable[[T], Any], arguments: Sequence[T]) -> float:
    """The median over some rounds, after one that is not counted, of a call's mean time."""
    rounds = []
    for _ in range(ROUNDS + 1):
        begun = process_time()
        for argument in arguments:
            call(argument)
        rounds.append((process_time() - begun) / len(arguments) * 1e6)
    return median(rounds[1:])


# --- records ---


def _records(lines: Sequence[bytes], form: "Form | None" = None) -> list[Record]:
    """The lines as a platform sends them, spread over the partitions by their keys."""
    records, offsets = [], count()
    for line in lines:
        sent = as_record(line, REQUESTS)
        value, headers = (form or _compact)(sent)
        at = next(offsets)
        partition = crc32(sent.key) % PARTITIONS
        records.append(Record(REQUESTS, partition, at, BEGINNING_MS + at, sent.key, value, headers))
    return records


def _compact(sent: OutgoingRecord) -> tuple[bytes, Headers]:
    return sent.value, sent.headers


def _spaced(sent: OutgoingRecord) -> tuple[bytes, Headers]:
    return json.dumps(loads(sent.value)).encode(), sent.headers


def _binary(sent: OutgoingRecord) -> tuple[bytes, Headers]:
    event = loads(sent.value)
    data = event.pop("data")
    return written(event, dumps(data), "binary")


def _batches(records: Sequence[Record], size: int) -> Iterator[Sequence[Record]]:
    for partition in range(PARTITIONS):
        own = [record for record in records if record.partition == partition]
        for begin in range(0, len(own), size):
            yield own[begin : begin + size]


def _decided(handler: DecisionHandler, memory: AnsweredRequests, batches: Iterable[Sequence[Record]]) -> float:
    """Microseconds of processor time for a request, in the handler alone."""
    spent, decided = 0.0, 0
    listed = list(batches)
    gc.collect()
    gc.freeze()  # what the benchmark holds is no work of the handler's
    for batch in listed:
        begun = process_time()
        outputs = handler(batch)
        spent += process_time() - begun
        decided += len(batch)
        memory.after_commit(batch[0].partition, batch, outputs, {})
    gc.unfreeze()
    return spent / decided * 1e6


def main() -> None:
    """Print what was measured, as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.handler", description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS_MEASURED, help="new requests")
    sys.stdout.write(json.dumps(measure(parser.parse_args().requests), indent=2) + "\n")


if __name__ == "__main__":
    main()
