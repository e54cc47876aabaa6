"""The interface between Kafka and plain functions: incoming and outgoing records.

Every agent's handler is a `Handler`, so it does not depend on how records are fetched, batched, sent and acknowledged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from events.origin_headers import RecordPosition

Headers = tuple[tuple[str, bytes | None], ...]
"""Names and values. A name that is not UTF-8 is decoded with `surrogateescape`."""


WrittenHeaders = tuple[tuple[str, bytes], ...]
"""Headers that we write."""


def name_bytes(name: str) -> bytes:
    """A header's name as bytes in the record."""
    return name.encode("utf-8", "surrogateescape")


class Unreadable(bytes):
    """The value of a placeholder for unreadable records: their raw bytes.

    Its record has the first offset.
    """

    last: int
    """The last offset that it covers."""
    why: str
    """Why it cannot be read, without its content."""

    def __new__(cls, raw: bytes, last: int, why: str) -> "Unreadable":
        """Create from the raw bytes of the offsets up to `last`."""
        made = super().__new__(cls, raw)
        made.last, made.why = last, why
        return made


class Record(NamedTuple):
    """One record as it was read from a topic."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """The broker's timestamp in milliseconds since the epoch; -1 if absent."""
    key: bytes | None
    value: bytes | None
    """None for a tombstone, `Unreadable` for unreadable records."""
    headers: Headers = ()

    @property
    def position(self) -> RecordPosition:
        """Its position."""
        return RecordPosition(self.topic, self.partition, self.offset)


class OutgoingRecord(NamedTuple):
    """One record to be sent."""

    topic: str
    key: bytes
    value: bytes
    headers: WrittenHeaders = ()
    to: "Callable[[int], int] | None" = None
    """Maps the topic's number of partitions to this record's; by default the topic's own rule decides."""


Handler = Callable[[Sequence[Record]], Sequence[OutgoingRecord]]
"""Maps records of one partition, in offset order, to the records to send."""

Instead = Callable[[Record, frozenset[str]], Sequence[OutgoingRecord]]
"""Maps a record whose answer is too large, and the topics that refused it, to the replacement."""

Placing = Callable[[bytes, int], int]
"""Maps a record's key and a topic's number of partitions to a partition."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One delivered batch, for metrics and logs."""

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    records: int
    outputs: int
    oldest_timestamp: int
    """The first record's timestamp, in milliseconds since the epoch."""
    handler_seconds: float
    delivery_seconds: float
    """From the first send until the broker has the offset."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Records that the broker removed unread."""

    first: int
    last: int
    """Offsets; some may have been transaction markers or aborted records."""

    @property
    def count(self) -> int:
        """The number of lost offsets."""
        return self.last - self.first + 1


class PartitionListener:
    """Receives a handler's partition events. Override what you need.

    `assigned` and `revoked` come in pairs, also on restarts after a failure: a partition's state is built in the first
    and dropped in the second.
    """

    first: frozenset[str] = frozenset()
    """With at-least-once delivery: topics whose records must be acknowledged before others are sent."""

    async def assigned(self, partition: int, start: int) -> None:
        """The partition is ours and fenced; the record at `start` is handled after this returns."""

    def resumed(self, partition: int, offset: int, note: str) -> None:
        """Processing continues at this offset, or after records lost from it on.

        `note` was committed with it; empty if none was.
        """

    def passing_over(self, partition: int, lost: Lost) -> str:  # noqa: ARG002 (nothing to note)
        """The note to commit with the offset after lost records."""
        return ""

    def passed_over(self, partition: int, lost: Lost) -> None:
        """That note is committed: report the lost records, once."""

    def note(self, partition: int, records: Sequence[Record], outputs: Sequence[OutgoingRecord]) -> str:  # noqa: ARG002 (nothing to note)
        """The note to commit with the offset after these records; at most 4 KB."""
        return ""

    def after_commit(
        self, partition: int, records: Sequence[Record], outputs: Sequence[OutgoingRecord], ends: Mapping[str, int]
    ) -> None:
        """The outputs and the offset are committed. A crash may prevent this call.

        `ends` maps each output topic to the offset after the last output.
        """

    def on_batch(self, report: BatchReport) -> None:
        """A batch was delivered: update counters here."""

    def failed(self, partition: int, stage: str, error: BaseException) -> None:
        """The partition restarts or the worker ends because of this error in this stage."""

    def revoked(self, partition: int) -> None:
        """The partition is no longer ours; its last batch is either delivered or void."""
