"""Archives to be spoiled, and the process that reads them then; see `hostile`."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from workers.archive import manifest
from workers.kafka.records import Record

TOPIC = "t.things"


class Reader:
    """The process that reads."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.archive_reader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Arrow's own pool takes room ahead, which would count as used.
            env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"},
        )

    def read(self, folder: Path) -> dict[str, Any]:
        """What comes of a folder.

        Raises:
            AssertionError: The process is gone.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{folder}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the reader ended with {self._process.wait()}"
        answer: dict[str, Any] = json.loads(line)
        assert "error" not in answer, answer
        return answer

    def close(self) -> None:
        self._process.communicate()


def records(count: int) -> list[Record]:
    return [
        Record(
            TOPIC,
            0,
            n + n // 10,
            1_750_000_000_000 + n,
            b"k%d" % n if n % 9 else None,
            b'{"n":%d,"a":["x"]}' % n if n % 7 else b"\xff\x00%d" % n,
            (("a", b"%d" % (n % 30)), ("\udcff", None))[: n % 3],
        )
        for n in range(count)
    ]


def file_of(folder: Path) -> Path:
    [segment] = manifest_of(folder)["segments"]
    return folder / str(segment["file"])


def manifest_of(folder: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((folder / manifest.NAME).read_text("utf-8"))
    return made


def rewrite(folder: Path, **fields: Any) -> None:
    """Have the manifest say something else of its one file."""
    tree = manifest_of(folder)
    tree["segments"][0] |= fields
    (folder / manifest.NAME).write_text(json.dumps(tree), "utf-8")


def own_up(folder: Path) -> None:
    """Have the manifest name the file as it is now: so nothing but its content is wrong."""
    raw = file_of(folder).read_bytes()
    rewrite(folder, bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest())
