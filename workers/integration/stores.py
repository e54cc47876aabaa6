"""Local stores of the integration agents' own changelogs: chains of traces, and contexts."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from workers.kafka.records import OutgoingRecord, Record
from workers.state.changelog import Change, Changelog
from workers.state.partition_stores import PartitionStores
from workers.state.rocksdb_store import ChangelogStore

_TIME_BYTES = 8


class StatesByKey(PartitionStores):
    """The newest value of each key, for as long as it is kept.

    An entry is the time of its record and its value.
    """

    def __init__(
        self, folder: Path, changelog: Changelog, kept_ms: int, clock: Callable[[], float] = time.time
    ) -> None:
        """Keep the stores below `folder`; values expire `kept_ms` milliseconds after their record."""
        super().__init__(folder, changelog)
        self._kept_ms = kept_ms
        self._clock = clock

    def find(self, partition: int, key: bytes) -> bytes | None:
        """The value of a key; None if there is none.

        Raises:
            StorageError: The store cannot be read.
        """
        with self.distrust_on_error(partition):
            entry = self.get(partition, key)
        return entry[_TIME_BYTES:] if entry is not None else None

    def changes_for(self, store: ChangelogStore, changes: Sequence[Change]) -> Mapping[bytes, bytes | None]:  # noqa: ARG002 (nothing depends on what is there)
        """The entries for these records of the changelog."""
        return {change.key: _entry(change.timestamp, change.value) for change in changes}

    def after_commit(
        self, partition: int, records: Sequence[Record], outputs: Sequence[OutgoingRecord], ends: Mapping[str, int]
    ) -> None:
        """Store what the previous batch wrote, whose commit is now final, and delete some expired entries.

        Raises:
            StorageError: The disk is full; the rest is read from the changelog later.
        """
        topic, at = self._changelog.topic, records[-1].timestamp
        entries = {output.key: _entry(at, output.value) for output in outputs if output.topic == topic}
        with self.distrust_on_error(partition):
            oldest = min(at, round(self._clock() * 1000)) - self._kept_ms
            old = self._stores[partition].expired(_time, oldest, len(entries))
            self.write_final(partition, dict.fromkeys(old))
        self.keep(partition, entries, ends.get(topic, 0))


def _entry(at: int, value: bytes | None) -> bytes | None:
    return max(0, at).to_bytes(_TIME_BYTES, "big") + value if value is not None else None


def _time(entry: bytes) -> int:
    return int.from_bytes(entry[:_TIME_BYTES], "big")
