"""Finds keys that occur more than once in a partition; only those are remembered during replay.

The keys' hashes are split into files by their leading bits, and sorted file by file, so that memory stays constant. A
hash collision counts as a repetition, which costs a lookup but changes no result.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from workers.event_log.source import Source
from workers.process import private_files

BITS = 6
"""Leading bits: with 64 files, 50 million keys are 400 MB, 6 MB each."""
TOGETHER = 1 << 16
"""Keys that are distributed at a time: opening the files takes longer than writing a few keys."""

Hashes = NDArray[np.int64]


def repeated(source: Source, topic: str, partition: int) -> frozenset[int]:
    """The hashes, by this process's `hash`, of keys that occur more than once."""
    with TemporaryDirectory(prefix="dli-replay-") as name:
        buckets = [Path(name) / str(number) for number in range(1 << BITS)]
        for hashes in _stretches(source.keys(topic, partition)):
            _distribute(hashes, buckets)
        return frozenset(key for bucket in buckets if bucket.exists() for key in _twice(bucket))


def _stretches(pieces: Iterable[Sequence[bytes | None]]) -> Iterator[Hashes]:
    """The hashes of keys, at least `TOGETHER` at a time but for the last ones."""
    waiting: list[int] = []
    for keys in pieces:
        waiting += [hash(key) for key in keys if key is not None]
        if len(waiting) >= TOGETHER:
            yield np.array(waiting, dtype=np.int64)
            waiting = []
    if waiting:
        yield np.array(waiting, dtype=np.int64)


def _distribute(hashes: Hashes, buckets: Sequence[Path]) -> None:
    """Add hashes to the files of their leading bits."""
    leading = (hashes.view(np.uint64) >> np.uint64(64 - BITS)).astype(np.intp)
    hashes = hashes[np.argsort(leading, kind="stable")]
    at = 0
    for bucket, count in enumerate(np.bincount(leading, minlength=1 << BITS)):
        if count:
            with private_files.opened(buckets[bucket], "ab") as stream:
                hashes[at : at + count].tofile(stream)
            at += int(count)


def _twice(bucket: Path) -> list[int]:
    hashes = np.sort(np.fromfile(bucket, dtype=np.int64))
    again: list[int] = np.unique(hashes[1:][hashes[1:] == hashes[:-1]]).tolist()
    return again
