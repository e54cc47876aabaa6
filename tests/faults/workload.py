"""Requests by the hundred thousand, each with the bytes that must answer it."""

import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from events.answer import wrapped
from events.origin_headers import RecordPosition
from events.typed_reader import read as read_event
from policy_core.history.library import PACKAGED, load_library
from tests.faults.counting import digest
from tests.support import generator
from workers.configuration.settings import Settings, read
from workers.decide.handler import Decider, decision_wrapping
from workers.decide.writers import WRITERS
from workers.kafka.records import OutgoingRecord
from workers.traffic.commands import as_record

CHUNK = 5_000
PROCESSES = 2
LENGTHS = struct.Struct(">II")

Asked = tuple[bytes, bytes, bytes]
"""A request's key, its record's value, and the digest of its answer."""


@dataclass(frozen=True)
class Workload:
    """Requests in the order in which they are published; the n-th one's id ends in n."""

    asked: Sequence[Asked]

    @property
    def expected(self) -> dict[bytes, bytes]:
        """The digest of the answer, by request id."""
        return {key: answer for key, _, answer in self.asked}

    def first(self, count: int) -> "Workload":
        """The same, shorter."""
        return Workload(self.asked[:count])

    def save(self, file: Path) -> None:
        """Write the records as the publisher reads them."""
        with file.open("wb") as out:
            for key, value, _ in self.asked:
                out.write(LENGTHS.pack(len(key), len(value)) + key + value)


class Pool:
    """The requests of one seed, made once and as many as are asked for."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._asked: list[Asked] = []

    def first(self, count: int) -> Workload:
        """The first requests of the seed."""
        chunks = range(len(self._asked), count, CHUNK)
        if chunks:
            with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
                for made in pool.map(_made, [self._seed] * len(chunks), chunks):
                    self._asked += made
        return Workload(self._asked[:count])


def _made(seed: int, start: int) -> list[Asked]:
    return list(islice(_all(seed, start), CHUNK))


def _all(seed: int, start: int) -> Iterator[Asked]:
    while True:
        record = as_record(generator.encode(generator.request(seed, start)), "")
        yield record.key, record.value, digest(answer(record).value)
        start += 1


@cache
def _decider() -> tuple[Decider, Settings]:
    found = read()
    return Decider(load_library([PACKAGED], found.default_policy)), found


def answer(request: OutgoingRecord) -> OutgoingRecord:
    """What a worker must answer to a well-formed request, made without one."""
    decider, found = _decider()
    received = read_event(request.value, request.headers)
    decision_id, data = decider.decide(received.request).encoded
    wrapping = decision_wrapping(received.request, decision_id, found.source, found.mode, None, WRITERS.newest.version)
    value, headers = wrapped(data, RecordPosition("", 0, 0), received.cause, wrapping)
    return OutgoingRecord("", received.request.request_id.encode(), value, headers)
