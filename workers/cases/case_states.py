"""The cases of this worker's partitions: a local store of `authorization.cases`, its changelog.

Besides each case the store has an entry for the moment at which time next makes something of it, in order of time, so
that the cases that are due are found without a search.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import structlog

from events.case import Case, case_of
from workers.cases.lifecycle import next_moment
from workers.kafka.records import OutgoingRecord, Record
from workers.state.changelog import Change, Changelog
from workers.state.partition_stores import PartitionStores
from workers.state.rocksdb_store import ChangelogStore, StorageError

log = structlog.get_logger(__name__)

AT_ONCE = 500
"""How many cases one passing of time concerns at most; another follows for the others."""
_CASE, _MOMENT, _AFTER_MOMENTS = b"c", b"m", b"n"
_TIME_BYTES = 8


def _case_key(request: bytes) -> bytes:
    return _CASE + request


def _moment_key(request: bytes, case: Case | None) -> bytes | None:
    moment = next_moment(case) if case is not None else None
    if moment is None:
        return None
    return _MOMENT + max(0, round(moment.timestamp() * 1000)).to_bytes(_TIME_BYTES, "big") + request


class CaseStates(PartitionStores):
    """The cases of this worker's partitions."""

    def __init__(
        self,
        folder: Path,
        changelog: Changelog,
        kept_ms: int,
        clock: Callable[[], float] = time.time,
        first: frozenset[str] = frozenset(),
    ) -> None:
        """Keep the stores below `folder`; cases expire `kept_ms` milliseconds after they were opened.

        `clock` gives seconds since the epoch. At least once, what a change publishes on the topics `first` comes before
        the changed case: otherwise a crash in between would lose it.
        """
        super().__init__(folder, changelog)
        self.first = first
        self._kept_ms = kept_ms
        self._clock = clock

    def find(self, partition: int, request: bytes) -> Case | None:
        """The case of a request, by its id; None if there is none.

        Raises:
            StorageError: The store cannot be read.
        """
        with self.distrust_on_error(partition):
            return _read(self.get(partition, _case_key(request)), partition)

    def due(self, partition: int, until: int) -> list[bytes]:
        """The requests of which time makes something by `until`, in milliseconds since the epoch; the earliest first.

        Raises:
            StorageError: The store cannot be read.
        """
        end = _MOMENT + (max(0, until) + 1).to_bytes(_TIME_BYTES, "big")
        latest = self._latest[partition].entries
        with self.distrust_on_error(partition):
            stored = self._stores[partition].first_from(_MOMENT, end, AT_ONCE + len(latest))
        fresh = [key for key, value in latest.items() if value is not None and _MOMENT <= key < end]
        keys = sorted({key for key in stored if latest.get(key, b"") is not None}.union(fresh))
        return [key[1 + _TIME_BYTES :] for key in keys[:AT_ONCE]]

    def next_due(self, partition: int) -> int | None:
        """When time next makes something of a case, in milliseconds since the epoch; None if of none.

        Raises:
            StorageError: The store cannot be read.
        """
        latest = self._latest[partition].entries
        with self.distrust_on_error(partition):
            stored = self._stores[partition].first_from(_MOMENT, _AFTER_MOMENTS, 1 + len(latest))
        keys = [key for key in stored if latest.get(key, b"") is not None]
        keys += [key for key, value in latest.items() if value is not None and key.startswith(_MOMENT)]
        first = min(keys, default=None)
        return int.from_bytes(first[1 : 1 + _TIME_BYTES], "big") if first is not None else None

    def changes_for(self, store: ChangelogStore, changes: Sequence[Change]) -> Mapping[bytes, bytes | None]:
        """The entries for these records of the changelog."""
        before: dict[bytes, bytes | None] = {}

        def get(key: bytes) -> bytes | None:
            return before[key] if key in before else store.get(key)

        for change in changes:
            before |= _entries(change.key, change.value, get)
        return before

    def after_commit(
        self, partition: int, records: Sequence[Record], outputs: Sequence[OutgoingRecord], ends: Mapping[str, int]
    ) -> None:
        """Store the cases of the previous batch, whose commit is now final, and delete some expired ones.

        Raises:
            StorageError: The disk is full; the rest is read from the changelog later.
        """
        topic = self._changelog.topic
        entries: dict[bytes, bytes | None] = {}
        with self.distrust_on_error(partition):
            for output in outputs:
                if output.topic == topic:
                    # A later state of a case in the batch replaces an earlier one.
                    entries |= _entries(output.key, output.value, partial(self._before, partition, entries))
            oldest = min(records[-1].timestamp, round(self._clock() * 1000)) - self._kept_ms
            old = self._stores[partition].expired(_time, oldest, len(entries))
            self.write_final(partition, dict.fromkeys(old))
        self.keep(partition, entries, ends.get(topic, 0))

    def _before(self, partition: int, entries: Mapping[bytes, bytes | None], key: bytes) -> bytes | None:
        return entries[key] if key in entries else self.get(partition, key)


def _entries(request: bytes, value: bytes | None, get: Callable[[bytes], bytes | None]) -> Mapping[bytes, bytes | None]:
    """The changes of the store that a new state of a case makes; `get` gives an entry as it was before."""
    key = _case_key(request)
    now = _stated(value) if value is not None else None
    if value is not None and now is None:
        log.error("case_unreadable")
        return {}
    changes: dict[bytes, bytes | None] = {}
    raw = get(key)
    old = _moment_key(request, case_of(raw)) if raw is not None else None
    new = _moment_key(request, now)
    if old is not None and old != new:
        changes[old] = None
    if new is not None and now is not None:
        # When the case was opened, not the moment: a deadline of long ago is still to be announced.
        changes[new] = now.opened_at.to_bytes(_TIME_BYTES, "big")
    changes[key] = value
    return changes


def _stated(value: bytes) -> Case | None:
    """The case in a record of the changelog; None if it is none."""
    try:
        return case_of(value)
    except ValueError:
        return None


def _read(raw: bytes | None, partition: int) -> Case | None:
    try:
        return case_of(raw) if raw is not None else None
    except ValueError as error:
        raise StorageError(f"partition {partition}: the copy of the changelog cannot be trusted") from error


def _time(raw: bytes) -> int:
    """When an entry was made: when its case was opened."""
    return int.from_bytes(raw, "big") if len(raw) == _TIME_BYTES else case_of(raw).opened_at
