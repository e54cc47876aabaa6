"""The metadata of a committed offset: a listener's note, and marks that detect a changed log.

An offset alone does not identify its log. So the offset and a digest of the last record read are committed with it. The
next owner of the partition looks up that record; if it differs, the log was cut and has grown again, and its offsets
mean other records. An offset found outside its log is marked as refused, so that it stays refused even when the log
grows past it, until it is reset.
"""

import re
from hashlib import blake2b
from typing import NamedTuple

from workers.kafka.records import Record

_MARKS = re.compile(r"(?:; read=(\d+):([0-9a-f]{16}))?(?:; refused=(\d+))?\Z")
"""The marks after a listener's note, if any."""


class Mark(NamedTuple):
    """The last record that was read."""

    offset: int
    digest: str
    """Of its timestamp, key and value: sixteen hexadecimal digits."""


class Note(NamedTuple):
    """The metadata committed with an offset."""

    text: str = ""
    """The listener's note."""
    mark: Mark | None = None
    """None if nothing was read since the offset was set."""
    refused: int | None = None
    """The end of the log when the offset was found outside it; None if it was not."""

    def __str__(self) -> str:
        """As it is committed."""
        read = f"; read={self.mark.offset}:{self.mark.digest}" if self.mark is not None else ""
        return self.text + read + (f"; refused={self.refused}" if self.refused is not None else "")


def read(committed: str) -> Note:
    """Parse committed metadata."""
    text, offset, digest, refused, _ = _MARKS.split(committed, maxsplit=1)
    mark = Mark(int(offset), digest) if offset is not None else None
    return Note(text, mark, int(refused) if refused is not None else None)


def mark(record: Record) -> Mark:
    """The mark of a record."""
    made = blake2b(digest_size=8)
    for part in (record.timestamp, record.key, record.value):
        # Lengths too, so that key and value cannot be confused.
        text = part if isinstance(part, bytes) else repr(part).encode()
        made.update(b"%d:%b" % (len(text), text))
    return Mark(record.offset, made.hexdigest())
