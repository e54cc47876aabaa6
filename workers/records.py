"""The seam between Kafka and the plain functions: a record that came in, a record that is to go out.

Every agent's handler has the shape `Handler`, so how records are fetched, batched, sent and
acknowledged can change without a handler noticing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from events.origin_headers import RecordPosition

Headers = tuple[tuple[str, bytes | None], ...]
"""Names and values. A name that is not UTF-8 is decoded with `surrogateescape`."""


WrittenHeaders = tuple[tuple[str, bytes], ...]
"""Those that we write."""


def name_bytes(name: str) -> bytes:
    """A header's name as it stands in the record."""
    return name.encode("utf-8", "surrogateescape")


class Unreadable(bytes):
    """The value of what stands for records that no client can read: the bytes as the broker keeps them.

    The record that has it is that of the first offset.
    """

    last: int
    """The last offset that it stands for."""
    why: str
    """Why it cannot be read, in the words of a person who knows Kafka; nothing of what is in it."""

    def __new__(cls, raw: bytes, last: int, why: str) -> "Unreadable":
        """The bytes `raw`, which stand for the offsets up to `last`."""
        made = super().__new__(cls, raw)
        made.last, made.why = last, why
        return made


class Record(NamedTuple):
    """One record as it was read from a topic."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since the epoch, as the broker has it; -1 where nobody gave one."""
    key: bytes | None
    value: bytes | None
    """None for a tombstone, `Unreadable` for what cannot be read as a record."""
    headers: Headers = ()

    @property
    def position(self) -> RecordPosition:
        """Where it stands."""
        return RecordPosition(self.topic, self.partition, self.offset)


class OutgoingRecord(NamedTuple):
    """One record that is to be sent."""

    topic: str
    key: bytes
    value: bytes
    headers: WrittenHeaders = ()


Handler = Callable[[Sequence[Record]], Sequence[OutgoingRecord]]
"""Records of one partition in offset order, to all that is to be sent because of them."""

Instead = Callable[[Record, frozenset[str]], Sequence[OutgoingRecord]]
"""A record whose answer Kafka takes for too large, and the topics that refused it, to what is sent instead."""

Placing = Callable[[bytes, int], int]
"""A record's key and a topic's number of partitions, to the partition it goes to."""


class Delivery(StrEnum):
    """What a consumer of the results is promised when workers crash."""

    EXACTLY_ONCE = "exactly_once"
    """For those that read with `isolation_level=read_committed`."""
    AT_LEAST_ONCE = "at_least_once"
    """The last batch of a partition may come again, as the same bytes."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One batch that was delivered, for metrics and logs."""

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    records: int
    outputs: int
    oldest_timestamp: int
    """The first record's, in milliseconds since the epoch."""
    handler_seconds: float
    delivery_seconds: float
    """From the first send until the broker has the offset."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Records that the broker removed before anybody read them."""

    first: int
    last: int
    """Offsets. Some of them may have been transaction markers or aborted: nobody can tell any more."""

    @property
    def count(self) -> int:
        """Offsets lost."""
        return self.last - self.first + 1


class PartitionListener:
    """What lives beside a handler, partition by partition. Override what you need.

    `assigned` and `revoked` come in pairs, also when a partition starts again after a failure: what is kept for a
    partition is rebuilt in the one and dropped in the other.
    """

    first: frozenset[str] = frozenset()
    """At least once: topics whose records the broker must have before a record of any other is sent."""

    async def assigned(self, partition: int, start: int) -> None:
        """The partition is ours and fenced; no record is handled before this returns, and the one at `start` first."""

    def resumed(self, partition: int, offset: int, note: str) -> None:
        """Work goes on at this offset, or behind what was lost from it on.

        `note` was committed with it, and is empty where nothing was.
        """

    def passing_over(self, partition: int, lost: Lost) -> str:  # noqa: ARG002 (nothing to note)
        """What Kafka is to keep with the offset behind records that were lost; work goes on there afterwards."""
        return ""

    def passed_over(self, partition: int, lost: Lost) -> None:
        """The broker has that note: these records are lost, and are told of once."""

    def note(self, partition: int, records: Sequence[Record], outputs: Sequence[OutgoingRecord]) -> str:  # noqa: ARG002 (nothing to note)
        """What Kafka is to keep with the offset behind these records: committed with it or not at all; 4 KB at most."""
        return ""

    def after_commit(
        self, partition: int, records: Sequence[Record], outputs: Sequence[OutgoingRecord], ends: Mapping[str, int]
    ) -> None:
        """The broker has the outputs and the offset. A crash may come between that and this call.

        `ends` has, for each topic that outputs went to, the offset behind the last one in their partition.
        """

    def on_batch(self, report: BatchReport) -> None:
        """A batch was delivered: the place to count."""

    def failed(self, partition: int, stage: str, error: BaseException) -> None:
        """The partition starts again, or the worker ends, because of this; `stage` says what it was about to do."""

    def revoked(self, partition: int) -> None:
        """The partition is no longer ours; its last batch is either delivered or void."""
