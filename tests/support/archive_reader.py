"""Reads archives that mean no good, in a process of its own: under a bound of memory, a folder after the other.

Each line of standard input names a folder; a line of JSON comes back for each. A process that is gone, or a line that
tells of an error, is what must not be.
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

import zstandard

from workers.archive import archive_source as archive
from workers.archive.archive_source import ArchiveSource
from workers.archive.blocks import Digest
from workers.event_log.source import ReplayError

MOST_MORE = 1_200_000_000
"""Bytes that reading may take beside what the process has at its start; an archive of ours takes some 100 MB."""


def read(folder: Path) -> dict[str, Any]:
    """What all readers make of an archive."""
    try:
        source = ArchiveSource(folder)
        kept = source.manifest.partitions
    except ReplayError as error:
        return {"refused": str(error)}
    problems = [problem for _, problem in archive.check(source) if problem is not None]
    damages: list[str] = []
    contents: dict[str, str] = {}
    for one in kept:
        digest = Digest()
        for piece in source.read(one.topic, one.partition, one.first):
            if piece.damage is not None:
                damages.append(str(piece.damage))
            if piece.chunk is not None:
                digest.add(piece.chunk)
        contents[f"{one.topic}/{one.partition}"] = digest.hex()
        sum(len(keys) for keys in source.keys(one.topic, one.partition))
    return {"problems": problems, "damages": damages, "contents": contents}


def bounded() -> None:
    """Have no more memory than the bound, from now on."""
    zstandard.ZstdDecompressor().decompress(zstandard.compress(b"warm"))
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 (as it is written everywhere)
        [data] = [int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:")]
    resource.setrlimit(resource.RLIMIT_DATA, (data + MOST_MORE, data + MOST_MORE))
    # A test that waits for an endless file is no better than one that takes all memory.
    resource.setrlimit(resource.RLIMIT_CPU, (600, 600))


def main() -> None:
    """Answer each line."""
    bounded()
    for line in sys.stdin:
        try:
            answer = read(Path(line.rstrip("\n")))
        except MemoryError:
            answer = {"error": "MemoryError"}
        except Exception as error:  # noqa: BLE001 (whatever it is must not be, and the test says so)
            answer = {"error": repr(error)}
        answer["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(answer), flush=True)  # noqa: T201 (its answer)


if __name__ == "__main__":
    main()
