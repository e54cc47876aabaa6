"""Reads recorded answers in parallel with their requests.

Answers to one partition's requests are in one partition, in request order. So the next answer usually matches; if not,
the next few thousand are searched, and the skipped ones are kept for a while, since they may only be out of order.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Protocol

from workers.event_log.source import Damage, Source
from workers.kafka.records import Record

WINDOW = 2_000
"""The number of answers searched ahead, and of skipped ones kept."""
WINDOW_BYTES = 32_000_000

KeyOf = Callable[[Record], Hashable]
"""The lookup key of an answer; None if it does not belong to these requests."""


class Reader(Protocol):
    """The receiver of unmatched answers."""

    def unclaimed(self, record: Record) -> None:
        """An answer without a request."""

    def damaged(self, damage: Damage) -> None:
        """An unreadable range of answers."""


class Answers:
    """The answers of one partition; each is taken once."""

    def __init__(self, source: Source, topic: str, partition: int, key_of: KeyOf, reader: "Reader") -> None:
        """Start reading.

        Args:
            source: The log.
            topic: The full name of the answers' topic.
            partition: Its partition.
            key_of: The lookup key of an answer.
            reader: Receives unmatched answers and unreadable ranges.
        """
        self.there = partition in source.partitions(topic)
        self._source, self._topic, self._partition = source, topic, partition
        self._key_of = key_of
        self._reader = reader
        self._ahead: deque[tuple[Hashable, Record]] = deque()
        self._bytes = 0
        self._passed: dict[tuple[Hashable, int], Record] = {}
        self._next = source.extent(topic, partition).first if self.there else 0
        self._skipped: frozenset[int] = frozenset()
        self._pieces: Iterator[Any] = iter(())
        self.in_doubt = False
        """Whether a missing answer may be in an unreadable range."""
        self._missed = False
        self.open()

    def open(self) -> None:
        """Start reading at the current position."""
        start = min(self._skipped, default=self._next)
        self._pieces = self._source.read(self._topic, self._partition, start) if self.there else iter(())

    @property
    def topic(self) -> str:
        """The full name of the answers' topic."""
        return self._topic

    def next_is(self, key: Hashable) -> bool:
        """Whether the next answer has the key."""
        return self.next_with(key) is not None

    def next_with(self, key: Hashable) -> Record | None:
        """The next answer if it has the key; it stays to be taken."""
        if not self._ahead:
            self._fill(1)
        return self._ahead[0][1] if self._ahead and self._ahead[0][0] == key else None

    def take(self, key: Hashable) -> Record | None:
        """The answer with the key; None if it is not within reach."""
        if not self._ahead:
            self._fill(1)
        if self._ahead and self._ahead[0][0] == key:
            found = self._ahead.popleft()[1]
            self._next = found.offset + 1
        else:
            missing = self._search(key)
            if missing is None:
                self._missed = True
                return None
            found = missing
        if self.in_doubt and self._missed:
            self.in_doubt = False
        self._missed = False
        return found

    def _search(self, key: Hashable) -> Record | None:
        for known in self._passed:
            if known[0] == key:
                return self._passed.pop(known)
        self._fill(WINDOW)
        at = next((index for index, (key_ahead, _) in enumerate(self._ahead) if key_ahead == key), None)
        if at is None:
            return None
        for _ in range(at):
            self._pass()
        found = self._ahead.popleft()[1]
        self._next = found.offset + 1
        return found

    def _pass(self) -> None:
        key, record = self._ahead.popleft()
        self._passed[key, record.offset] = record
        self._next = record.offset + 1
        while len(self._passed) > WINDOW:
            oldest = next(iter(self._passed))
            self._reader.unclaimed(self._passed.pop(oldest))

    def _fill(self, wanted: int) -> None:
        """Read ahead up to `wanted` answers, within the memory limit."""
        size = sum(len(record.value or b"") for _, record in self._ahead) if wanted > 1 else 0
        while len(self._ahead) < wanted and size < WINDOW_BYTES:
            piece = next(self._pieces, None)
            if piece is None:
                return
            if piece.damage is not None:
                self._reader.damaged(piece.damage)
                self.in_doubt = self.in_doubt or piece.damage.lost
            if piece.chunk is not None:
                self._arrive(piece.chunk.records)
                size += sum([len(record.value or b"") for record in piece.chunk.records])

    def _arrive(self, records: Sequence[Record]) -> None:
        found = [pair for pair in zip(map(self._key_of, records), records, strict=True) if pair[0] is not None]
        if self._skipped:
            self._passed |= {(key, record.offset): record for key, record in found if record.offset in self._skipped}
        following = self._next
        self._ahead += [pair for pair in found if pair[1].offset >= following]

    def end(self) -> None:
        """Report all remaining answers as unclaimed."""
        while self._passed:
            self._reader.unclaimed(self._passed.pop(next(iter(self._passed))))
        while True:
            self._fill(1)
            if not self._ahead:
                return
            record = self._ahead.popleft()[1]
            self._next = record.offset + 1
            self._reader.unclaimed(record)

    # --- saving and resuming ---

    def state(self) -> dict[str, Any]:
        """The position, without records."""
        passed = [record.offset for record in self._passed.values()]
        return {"next": self._next, "passed": passed, "in_doubt": self.in_doubt, "missed": self._missed}

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a saved position."""
        self._next, self._skipped = state["next"], frozenset(state["passed"])
        self.in_doubt, self._missed = state["in_doubt"], state["missed"]
        self._ahead.clear()
        self.open()
        if self._skipped:
            # The skipped answers come first.
            while len(self._passed) < len(self._skipped):
                piece = next(self._pieces, None)
                if piece is None:
                    break
                if piece.chunk is not None:
                    self._arrive(piece.chunk.records)
