"""Entries of a local store with the changes of a batch on top, before they are written."""

from bisect import bisect_left, insort
from collections.abc import Mapping
from itertools import takewhile
from typing import Protocol


class Entries(Protocol):
    """Stored entries."""

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""

    def beginning_with(self, prefix: bytes) -> Mapping[bytes, bytes]:
        """All entries whose keys begin with `prefix`, in key order."""


class ChangingEntries:
    """Entries with unwritten changes on top."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self.changes: dict[bytes, bytes | None] = {}
        # Sorted, for prefix queries without scanning all of a batch's changes.
        self._keys: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        return self.changes[key] if key in self.changes else self._entries.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        """Change an entry; None removes it."""
        if key not in self.changes:
            insort(self._keys, key)
        self.changes[key] = value

    def beginning_with(self, prefix: bytes) -> Mapping[bytes, bytes]:
        """All entries whose keys begin with `prefix`; changed ones last."""
        after = (self._keys[n] for n in range(bisect_left(self._keys, prefix), len(self._keys)))
        changed = {key: self.changes[key] for key in takewhile(lambda key: key.startswith(prefix), after)}
        found = {**self._entries.beginning_with(prefix), **changed}
        return {key: value for key, value in found.items() if value is not None}
