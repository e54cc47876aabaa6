"""Findings as JSON lines, one file per partition, in constant memory."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workers.process import private_files


class Findings:
    """The findings of one partition, in order."""

    def __init__(self, folder: Path, partition: int) -> None:
        private_files.folder(folder)
        self._stream = private_files.opened(_file(folder, partition), "ab")
        self._stream.truncate(0)

    def add(self, finding: Mapping[str, Any]) -> None:
        """Write a finding, without fields that are None."""
        present = {name: value for name, value in finding.items() if value is not None}
        self._stream.write(json.dumps(present, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")

    def size(self) -> int:
        """The size of the file in bytes, after flushing."""
        self._stream.flush()
        return self._stream.tell()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class ResumedFindings(Findings):
    """The findings of a resumed partition: those after its last saved state are dropped."""

    def __init__(self, folder: Path, partition: int, size: int) -> None:
        private_files.folder(folder)
        self._stream = private_files.opened(_file(folder, partition), "ab")
        self._stream.truncate(size)
        self._stream.seek(size)


def _file(folder: Path, partition: int) -> Path:
    return folder / f"findings-{partition}.jsonl"


def read_all(folder: Path, sizes: Mapping[int, int]) -> Iterator[bytes]:
    """All findings up to the given sizes, by partition, as lines."""
    for partition, size in sorted(sizes.items()):
        file = _file(folder, partition)
        if not file.exists():
            continue
        left = size
        with file.open("rb") as stream:
            for line in stream:
                left -= len(line)
                if left < 0:
                    break
                yield line.rstrip(b"\n")
