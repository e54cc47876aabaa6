"""Opens only plain files below a folder: follows no links, and blocks on no pipes or devices.

An archive is untrusted input. So each path component is opened relative to the previous one, and the file type is
checked before reading.
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_STEP = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class NotPlainError(OSError):
    """The path does not name a plain file below the folder."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EINVAL, why)


def is_below(name: str) -> bool:
    """Whether a name, its parts separated by slashes, leads nowhere but down."""
    return "\0" not in name and all(part not in {"", ".", ".."} for part in name.split("/"))


def opened(folder: Path, name: str) -> BufferedReader:
    """A plain file below a folder, open to be read.

    Raises:
        FileNotFoundError: It is not there.
        NotPlainError: It is another thing, or a link is on the way.
        OSError: It cannot be read.
    """
    if not is_below(name):
        raise NotPlainError("leads out of the archive")
    *above, last = name.split("/")
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in above:
            held = _instead(held, _open(part, _STEP, held))
        held = _instead(held, _open(last, _FILE, held))
        if not stat.S_ISREG(os.fstat(held).st_mode):
            raise NotPlainError("is no plain file")
        made, held = os.fdopen(held, "rb"), -1
        return made
    finally:
        if held >= 0:
            os.close(held)


def _instead(before: int, now: int) -> int:
    os.close(before)
    return now


def _open(part: str, flags: int, folder: int) -> int:
    try:
        return os.open(part, flags, dir_fd=folder)
    except OSError as error:
        # A link is ELOOP, or where a folder is wanted ENOTDIR; a socket is ENXIO.
        if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENXIO}:
            raise NotPlainError("is no plain file, or lies behind a link") from None
        raise
