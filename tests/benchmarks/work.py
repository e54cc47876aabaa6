"""The work that every variant does on every record, and the requests it is done on.

Decode, decide, encode, and remember: each variant, of ours or not, calls the same `DecisionHandler` over the same
memory in RocksDB and sends what it returns: for each request a decision, an entry of the memory's changelog and the
event of its case.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Literal

from events.topics import ANSWERED, DECISIONS
from policy_core.history.library import load_library
from tests.support import generator
from workers.configuration.settings import Settings
from workers.decide.duplicates import AnsweredRequests
from workers.decide.handler import DecisionHandler
from workers.kafka.records import OutgoingRecord, Record
from workers.main.app import DAY_MS
from workers.process import logs
from workers.state.changelog import Change
from workers.traffic.commands import as_record

SEED = 402
PARTITIONS = 4
BATCH = 1_000
"""Records of one partition in a transaction, for whoever has a choice: that of our stream processor."""
HEADERS = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)

ENTRY = bytes(40)
"""What the trivial handler sends beside a request's own bytes."""

Kind = Literal["decide", "trivial"]
Request = tuple[bytes, bytes]
"""A request's key and its record's value."""


class NothingYet:
    """The changelog of a group that has answered nothing."""

    def __init__(self, topic: str) -> None:
        self.topic = topic

    async def end(self, partition: int) -> int:  # noqa: ARG002 (of all partitions alike)
        return 0

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Change]]:  # noqa: ARG002 (as above)
        nothing: Sequence[Sequence[Change]] = ()
        for changes in nothing:
            yield changes


class Work:
    """What is done with records, whoever fetched them. Make it before an event loop runs."""

    def __init__(self, settings: Settings, kind: Kind = "decide") -> None:
        logs.configure(level="WARNING")
        self._trivial = kind == "trivial"
        self._decisions, self._answered = settings.topic(DECISIONS), settings.topic(ANSWERED)
        nothing = NothingYet(self._answered)
        self._memory = AnsweredRequests(settings.data_dir / "answered", nothing, 30 * DAY_MS)
        self._handler = DecisionHandler(
            load_library(settings.policies, settings.default_policy), settings, self._memory
        )
        self._waiting: dict[int, tuple[list[Record], list[OutgoingRecord]]] = defaultdict(lambda: ([], []))
        for partition in range(PARTITIONS):
            asyncio.run(self._memory.assigned(partition, 0))

    def decide(self, records: Sequence[Record]) -> list[OutgoingRecord]:
        """What is to be sent for records of one partition."""
        if self._trivial:
            return [output for record in records for output in self._echo(record)]
        return self._handler(records)

    def _echo(self, record: Record) -> tuple[OutgoingRecord, OutgoingRecord]:
        """A result and an entry of a changelog, without any work."""
        key = record.key or b""
        return OutgoingRecord(self._decisions, key, record.value or b""), OutgoingRecord(self._answered, key, ENTRY)

    def committed(self, partition: int, records: Sequence[Record], outputs: Sequence[OutgoingRecord]) -> None:
        """Remember what was sent."""
        if not self._trivial:
            self._memory.after_commit(partition, records, outputs, {})

    def one_by_one(self, record: Record) -> list[OutgoingRecord]:
        """For a framework that hands out single records; what they leave in the memory is written together."""
        outputs = self.decide([record])
        records, left = self._waiting[record.partition]
        records.append(record)
        left += outputs
        if len(records) >= BATCH:
            self.committed(record.partition, records, left)
            del self._waiting[record.partition]
        return outputs


def requests(count: int) -> Iterator[Request]:
    """Requests as platforms send them."""
    for n in range(count):
        record = as_record(generator.encode(generator.request(SEED, n)), "")
        yield record.key, record.value


def save(file: Path, made: Sequence[Request]) -> None:
    """Leave requests for other processes, one a line."""
    file.write_bytes(b"".join(key + b"\t" + value + b"\n" for key, value in made))


def saved(file: Path) -> list[Request]:
    """The requests of a file."""
    with file.open("rb") as lines:
        return [(key, value) for key, _, value in (line.rstrip(b"\n").partition(b"\t") for line in lines)]
