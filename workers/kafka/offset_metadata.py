"""What stands beside a committed offset: a companion's note, and the marks that tell whether the log is still the same.

An offset alone says nothing of the log it was read from. So with it goes a mark of the last record that was read: its
offset and a digest. Whoever takes the partition over finds that record again, or the log was cut and has grown anew,
and its offsets mean other records. A committed offset that was found to lie nowhere in its log is marked as refused,
so that it stays refused when the log has grown past it, until somebody sets another.
"""

import re
from hashlib import blake2b
from typing import NamedTuple

from workers.records import Record

_MARKS = re.compile(r"(?:; read=(\d+):([0-9a-f]{16}))?(?:; refused=(\d+))?\Z")
"""What stands behind a companion's note; nothing, where nothing of ours does."""


class Mark(NamedTuple):
    """The last record that was read."""

    offset: int
    digest: str
    """Of its timestamp, key and value: sixteen hexadecimal digits."""


class Note(NamedTuple):
    """What was committed with an offset."""

    text: str = ""
    """The companion's."""
    mark: Mark | None = None
    """None where nothing was read since the offset was set."""
    refused: int | None = None
    """The end of the log when the offset was found to lie nowhere in it; None where it was not."""

    def __str__(self) -> str:
        """As it is committed."""
        read = f"; read={self.mark.offset}:{self.mark.digest}" if self.mark is not None else ""
        return self.text + read + (f"; refused={self.refused}" if self.refused is not None else "")


def read(committed: str) -> Note:
    """The note as it was committed."""
    text, offset, digest, refused, _ = _MARKS.split(committed, maxsplit=1)
    mark = Mark(int(offset), digest) if offset is not None else None
    return Note(text, mark, int(refused) if refused is not None else None)


def mark(record: Record) -> Mark:
    """The mark of a record."""
    made = blake2b(digest_size=8)
    for part in (record.timestamp, record.key, record.value):
        # Lengths too: a byte that moves from the key to the value makes another record.
        text = part if isinstance(part, bytes) else repr(part).encode()
        made.update(b"%d:%b" % (len(text), text))
    return Mark(record.offset, made.hexdigest())
