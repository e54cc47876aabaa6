"""Finds keys that occur more than once in a partition; only those are remembered during replay.

The keys' hashes are split into files by their leading bits, and sorted file by file, so that memory stays constant. A
hash collision counts as a repetition, which costs a lookup but changes no result.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from workers.event_log.source import Source
from workers.process import private_files

BITS = 6
"""Leading bits: with 64 files, 50 million keys are 400 MB, 6 MB each."""


def repeated(source: Source, topic: str, partition: int) -> frozenset[int]:
    """The hashes, by this process's `hash`, of keys that occur more than once."""
    with TemporaryDirectory(prefix="dli-replay-") as name:
        buckets = [Path(name) / str(number) for number in range(1 << BITS)]
        for keys in source.keys(topic, partition):
            hashes = np.array([hash(key) for key in keys if key is not None], dtype=np.int64)
            leading = (hashes.view(np.uint64) >> np.uint64(64 - BITS)).astype(np.intp)
            hashes = hashes[np.argsort(leading, kind="stable")]
            at = 0
            for bucket, count in enumerate(np.bincount(leading, minlength=1 << BITS)):
                if count:
                    with private_files.opened(buckets[bucket], "ab") as stream:
                        hashes[at : at + count].tofile(stream)
                    at += int(count)
        return frozenset(key for bucket in buckets if bucket.exists() for key in _twice(bucket))


def _twice(bucket: Path) -> list[int]:
    hashes = np.sort(np.fromfile(bucket, dtype=np.int64))
    again: list[int] = np.unique(hashes[1:][hashes[1:] == hashes[:-1]]).tolist()
    return again
