"""The changelog topic that a local store is rebuilt from when a partition is taken over."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol


class Change(NamedTuple):
    """One record of the changelog."""

    offset: int
    key: bytes
    value: bytes | None
    """None if the entry was deleted."""
    timestamp: int
    """When the record was appended, in milliseconds since the epoch."""


class Changelog(Protocol):
    """A changelog topic that can be read when a partition is taken over."""

    topic: str

    async def end(self, partition: int) -> int:
        """The offset after the partition's last record."""

    def read(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Change]]:
        """Committed records from `start`, or the first one kept after it, up to `end`; no batch is empty."""
