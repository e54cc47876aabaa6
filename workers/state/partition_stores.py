"""The local stores of a worker's partitions: opened, caught up, and rebuilt if they cannot be trusted.

The changelog is authoritative. A batch is written to the store when the *next* commit is acknowledged: only then is its
own commit final (see `workers.stream`), so the store is never ahead of the changelog. Until then the batch is in
memory. On takeover the store is caught up from the changelog before the first record is handled, so it is never behind
either. A store that is lost, corrupt or of another log is deleted and rebuilt. With a full disk the partition waits,
unready.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

import structlog

from workers.kafka.records import OutgoingRecord, PartitionListener, Record
from workers.state.changelog import Change, Changelog
from workers.state.rocksdb_store import ChangelogStore, StorageError

log = structlog.get_logger(__name__)


class _Batch(NamedTuple):
    """The entries of the last committed batch."""

    entries: Mapping[bytes, bytes | None]
    end: int
    """The changelog's offset after them; 0 if there are none."""


_NOTHING = _Batch({}, 0)


class PartitionStores(PartitionListener):
    """Local stores of a changelog's partitions; subclasses define the entries and the queries."""

    def __init__(self, folder: Path, changelog: Changelog) -> None:
        """Keep the stores below `folder`, one folder per partition."""
        self._folder = folder
        self._changelog = changelog
        self._stores: dict[int, ChangelogStore] = {}
        self._latest: dict[int, _Batch] = {}
        self._distrusted: set[int] = set()
        self.ready: set[int] = set()
        """The partitions whose stores are caught up."""

    def changes_for(self, store: ChangelogStore, changes: Sequence[Change]) -> Mapping[bytes, bytes | None]:  # noqa: ARG002 (some use it)
        """The changes that these changelog records make to the store; by default, the records themselves."""
        return {change.key: change.value for change in changes}

    async def upto(self, partition: int, start: int) -> int:  # noqa: ARG002 (some use it)
        """The changelog offset to catch up to if the partition's first record is at `start`."""
        return await self._changelog.end(partition)

    @contextmanager
    def distrust_on_error(self, partition: int) -> Iterator[None]:
        """If the store fails in here, the partition's next start rebuilds it."""
        try:
            yield
        except StorageError:
            self._distrusted.add(partition)
            raise

    def get(self, partition: int, key: bytes) -> bytes | None:
        """The value of a key.

        Raises:
            StorageError: The store cannot be read.
        """
        latest = self._latest[partition].entries
        return latest[key] if key in latest else self._stores[partition].get(key)

    def write_final(self, partition: int, also: Mapping[bytes, bytes | None]) -> None:
        """Write the previous batch, whose commit is now final, and other changes to the store.

        Raises:
            StorageError: The store cannot be written.
        """
        store, final = self._stores[partition], self._latest[partition]
        if final.entries or also:
            store.apply({**also, **final.entries}, final.end or store.applied)
        self._latest[partition] = _NOTHING

    def keep(self, partition: int, entries: Mapping[bytes, bytes | None], end: int) -> None:
        """Remember the entries just committed; `end` is the changelog's offset after them."""
        self._latest[partition] = _Batch(entries, end) if entries else _NOTHING

    # --- called by the stream processor ---

    async def assigned(self, partition: int, start: int) -> None:
        """Open the partition's store and catch it up from the changelog.

        Raises:
            StorageError: The store cannot be opened or written.
        """
        end = await self.upto(partition, start)
        store = self._stores[partition] = self._trusted(partition, end)
        self._latest[partition] = _NOTHING
        before = store.applied
        read = 0
        async for changes in self._changelog.read(partition, before, end):
            store.apply(self.changes_for(store, changes), changes[-1].offset + 1)
            read += len(changes)
        self.ready.add(partition)
        log.info("copy_ready", of=self._changelog.topic, partition=partition, applied_before=before, read=read)

    def _trusted(self, partition: int, end: int) -> ChangelogStore:
        """The store on disk, or an empty one if that is unusable or ahead of the log."""
        folder = self._folder / f"{partition}"
        if partition in self._distrusted:
            rmtree(folder, ignore_errors=True)
            self._distrusted.discard(partition)
        try:
            store = ChangelogStore(folder)
            if store.applied <= end:
                return store
            reason = f"it has offset {store.applied} of a log that ends at {end}"
            store.close()
        except (StorageError, ValueError) as error:
            reason = str(error)
        log.warning("copy_rebuilt", of=self._changelog.topic, partition=partition, reason=reason)
        rmtree(folder, ignore_errors=True)
        return ChangelogStore(folder)

    def revoked(self, partition: int) -> None:
        """Close the partition's store."""
        self._latest.pop(partition, None)
        self.ready.discard(partition)
        store = self._stores.pop(partition, None)
        if store is not None:
            store.close()


class InputStores(PartitionStores):
    """Stores of the input topic itself: they hold its records up to the next one to be handled."""

    async def upto(self, partition: int, start: int) -> int:  # noqa: ARG002 (same for all)
        """Records from `start` arrive through the stream processor."""
        return start

    def after_commit(
        self,
        partition: int,
        records: Sequence[Record],
        outputs: Sequence[OutgoingRecord],  # noqa: ARG002 (what came in is kept)
        ends: Mapping[str, int],  # noqa: ARG002 (as above)
    ) -> None:
        """Write the records to the store.

        Raises:
            StorageError: The disk is full; the rest is read from the topic later.
        """
        store = self._stores[partition]
        with self.distrust_on_error(partition):
            store.apply(self.changes_for(store, changes_of(records)), records[-1].offset + 1)


def changes_of(records: Sequence[Record]) -> list[Change]:
    """Input records as changelog records."""
    return [Change(record.offset, record.key or b"", record.value, record.timestamp) for record in records]
