"""The copies of the partitions that a worker has: opened, caught up, and thrown away where they cannot be trusted.

The changelog is the truth. A batch goes into the copy when the commit *after* its own is acknowledged: only then is
its own final (see `workers.stream`), so the copy never knows more than the changelog. Until then it is in memory.
When a partition is taken over, its copy is caught up from the changelog before the first record is handled, so it never
knows less. A copy that is lost, corrupt or of another log is thrown away and read again. A disk that takes no more
makes the partition wait, unready, until it does.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

import structlog

from workers.records import OutgoingRecord, PartitionListener, Record
from workers.state.changelog import Change, Changelog
from workers.state.rocksdb_store import ChangelogStore, StorageError

log = structlog.get_logger(__name__)


class _Batch(NamedTuple):
    """The entries of the batch that was committed last."""

    entries: Mapping[bytes, bytes | None]
    end: int
    """The changelog's offset behind them; 0 where there are none."""


_NOTHING = _Batch({}, 0)


class PartitionStores(PartitionListener):
    """Copies of a changelog's partitions; what an entry is, and who asks for it, a subclass says."""

    def __init__(self, folder: Path, changelog: Changelog) -> None:
        """Keep copies of the changelog below `folder`, one folder for each partition."""
        self._folder = folder
        self._changelog = changelog
        self._copies: dict[int, ChangelogStore] = {}
        self._latest: dict[int, _Batch] = {}
        self._doubtful: set[int] = set()
        self.ready: set[int] = set()
        """The partitions whose copies know all that they must."""

    def taken(self, copy: ChangelogStore, changes: Sequence[Change]) -> Mapping[bytes, bytes | None]:  # noqa: ARG002 (some need it)
        """What becomes of the copy's entries by these records of the changelog: by default, they are the entries."""
        return {one.key: one.value for one in changes}

    async def upto(self, partition: int, start: int) -> int:  # noqa: ARG002 (some need it)
        """Where the changelog is to be read up to when the partition's first record will be that of `start`."""
        return await self._changelog.end(partition)

    @contextmanager
    def doubting(self, partition: int) -> Iterator[None]:
        """If the copy fails in here, the next start of the partition reads it all again."""
        try:
            yield
        except StorageError:
            self._doubtful.add(partition)
            raise

    def get(self, partition: int, key: bytes) -> bytes | None:
        """What stands under a key.

        Raises:
            StorageError: The copy cannot be read.
        """
        latest = self._latest[partition].entries
        return latest[key] if key in latest else self._copies[partition].get(key)

    def take_over(self, partition: int, also: Mapping[bytes, bytes | None]) -> None:
        """Write the batch before this one into the copy, and other changes with it; its commit is final now.

        Raises:
            StorageError: The copy cannot be written.
        """
        copy, final = self._copies[partition], self._latest[partition]
        if final.entries or also:
            copy.apply({**also, **final.entries}, final.end or copy.applied)
        self._latest[partition] = _NOTHING

    def keep(self, partition: int, entries: Mapping[bytes, bytes | None], end: int) -> None:
        """Remember the entries that were just committed; `end` is the changelog's offset behind them."""
        self._latest[partition] = _Batch(entries, end) if entries else _NOTHING

    # --- what the feed tells ---

    async def assigned(self, partition: int, start: int) -> None:
        """Open the partition's copy and read what of the changelog it lacks.

        Raises:
            StorageError: The disk takes no copy.
        """
        end = await self.upto(partition, start)
        copy = self._copies[partition] = self._trusted(partition, end)
        self._latest[partition] = _NOTHING
        before = copy.applied
        read = 0
        async for changes in self._changelog.read(partition, before, end):
            copy.apply(self.taken(copy, changes), changes[-1].offset + 1)
            read += len(changes)
        self.ready.add(partition)
        log.info("copy_ready", of=self._changelog.topic, partition=partition, applied_before=before, read=read)

    def _trusted(self, partition: int, end: int) -> ChangelogStore:
        """The copy on disk, or an empty one where that cannot be used or knows more than the log has."""
        folder = self._folder / f"{partition}"
        if partition in self._doubtful:
            rmtree(folder, ignore_errors=True)
            self._doubtful.discard(partition)
        try:
            copy = ChangelogStore(folder)
            if copy.applied <= end:
                return copy
            reason = f"it has offset {copy.applied} of a log that ends at {end}"
            copy.close()
        except (StorageError, ValueError) as error:
            reason = str(error)
        log.warning("copy_rebuilt", of=self._changelog.topic, partition=partition, reason=reason)
        rmtree(folder, ignore_errors=True)
        return ChangelogStore(folder)

    def revoked(self, partition: int) -> None:
        """Let go of the partition's copy."""
        self._latest.pop(partition, None)
        self.ready.discard(partition)
        copy = self._copies.pop(partition, None)
        if copy is not None:
            copy.close()


class FedCopies(PartitionStores):
    """Copies of the topic that a feed reads: they know its records up to the one that the feed gives next."""

    async def upto(self, partition: int, start: int) -> int:  # noqa: ARG002 (alike for all)
        """The records from `start` on come through the feed."""
        return start

    def after_commit(
        self,
        partition: int,
        records: Sequence[Record],
        outputs: Sequence[OutgoingRecord],  # noqa: ARG002 (what came in is kept)
        ends: Mapping[str, int],  # noqa: ARG002 (as above)
    ) -> None:
        """Take over what the records say.

        Raises:
            StorageError: The disk takes no more; what is missing is read from the topic when it does.
        """
        copy = self._copies[partition]
        with self.doubting(partition):
            copy.apply(self.taken(copy, changes_of(records)), records[-1].offset + 1)


def changes_of(records: Sequence[Record]) -> list[Change]:
    """Records of a feed as those of a changelog."""
    return [Change(one.offset, one.key or b"", one.value, one.timestamp) for one in records]
