"""Tallies: how many records a partition has consumed, and what became of them, committed with its offset.

    tally/1 since=0 consumed=42 final=17 refused=3

Like an account's note, a tally moves with the partition, and a failed batch leaves none.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from workers.kafka import offset_metadata
from workers.kafka.records import BatchReport, Lost, OutgoingRecord, PartitionListener, Record

_NOTE = re.compile(r"tally/1 since=(\d+) consumed=(\d+)((?: [a-z_]+=\d+)*)")


class Tallied(list[OutgoingRecord]):
    """The records to send for a batch, and what its records became."""

    def __init__(self, records: Iterable[OutgoingRecord] = ()) -> None:
        super().__init__(records)
        self.counts: Counter[str] = Counter()


@dataclass(frozen=True, slots=True)
class Tally:
    """The tally of one partition."""

    since: int
    """The offset from which records are counted."""
    consumed: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)

    def after(self, consumed: int, counts: Mapping[str, int]) -> "Tally":
        """The tally with another batch."""
        return Tally(self.since, self.consumed + consumed, Counter(self.counts) + Counter(counts))

    def note(self) -> str:
        """The note that is committed with the offset."""
        counted = "".join(f" {name}={count}" for name, count in sorted(self.counts.items()))
        return f"tally/1 since={self.since} consumed={self.consumed}{counted}"


def read_tally(note: str) -> Tally | None:
    """The tally in a committed offset's note, if any."""
    found = _NOTE.fullmatch(offset_metadata.read(note).text)
    if found is None:
        return None
    since, consumed, counted = found.groups()
    pairs = (pair.split("=") for pair in counted.split())
    return Tally(int(since), int(consumed), {name: int(count) for name, count in pairs})


class TallyListener(PartitionListener):
    """Keeps the tallies of a handler's partitions; delegates the rest to the wrapped listener.

    Args:
        inner: The wrapped listener.
        counts: What a batch's records became, from the records to send.
        publish: Called with the records of each committed batch, to add them to the metrics.
    """

    def __init__(
        self,
        inner: PartitionListener,
        counts: Callable[[Sequence[OutgoingRecord]], Mapping[str, int]],
        publish: Callable[[Sequence[OutgoingRecord]], None] = lambda _outputs: None,
    ) -> None:
        self._inner = inner
        self.first = inner.first
        self._counts = counts
        self._publish = publish
        self._tallies: dict[int, Tally] = {}
        self._noted: dict[int, Tally] = {}

    async def assigned(self, partition: int, start: int) -> None:
        """Notify the wrapped listener."""
        await self._inner.assigned(partition, start)

    def resumed(self, partition: int, offset: int, note: str) -> None:
        """Continue the committed tally, or begin a new one."""
        self._inner.resumed(partition, offset, note)
        self._tallies[partition] = read_tally(note) or Tally(offset)

    def passing_over(self, partition: int, lost: Lost) -> str:
        """The same tally: records that were removed unread are not consumed."""
        self._inner.passing_over(partition, lost)
        return self._tallies[partition].note()

    def passed_over(self, partition: int, lost: Lost) -> None:
        """Notify the wrapped listener."""
        self._inner.passed_over(partition, lost)

    def note(self, partition: int, records: Sequence[Record], outputs: Sequence[OutgoingRecord]) -> str:
        """The tally including this batch."""
        noted = self._noted[partition] = self._tallies[partition].after(len(records), self._counts(outputs))
        return noted.note()

    def after_commit(
        self, partition: int, records: Sequence[Record], outputs: Sequence[OutgoingRecord], ends: Mapping[str, int]
    ) -> None:
        """Publish the batch's counts, then notify the wrapped listener."""
        self._tallies[partition] = self._noted.pop(partition)
        self._publish(outputs)
        self._inner.after_commit(partition, records, outputs, ends)

    def on_batch(self, report: BatchReport) -> None:
        """Notify the wrapped listener."""
        self._inner.on_batch(report)

    def failed(self, partition: int, stage: str, error: BaseException) -> None:
        """Notify the wrapped listener."""
        self._inner.failed(partition, stage, error)

    def revoked(self, partition: int) -> None:
        """Drop the partition's tally: its next owner reads it from the broker."""
        self._tallies.pop(partition, None)
        self._noted.pop(partition, None)
        self._inner.revoked(partition)


def tallied(outputs: Sequence[OutgoingRecord]) -> Mapping[str, int]:
    """What the records of a batch became."""
    return outputs.counts if isinstance(outputs, Tallied) else {}
