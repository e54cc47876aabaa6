"""Files and folders for our own user alone, whatever the umask is: they hold health data, or keys.

Every file of a worker, an archive, a replay or a report is made here; a test looks for any that is not. RocksDB and
Arrow make files by themselves, later and in threads of their own, and know the process's umask alone: so that is set
too, as soon as anything is made.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TextIO, overload

FILE = 0o600
FOLDER = 0o700
_UMASK = 0o077


def private_from_now_on() -> None:
    """Have whatever this process makes, and those that it starts, be for our own user alone."""
    os.umask(_UMASK)


def folder(path: Path) -> None:
    """Make a folder, and those above it that are missing. One that is there is its owner's, and stays as it is.

    Raises:
        OSError: It cannot be made, or something else is there.
    """
    private_from_now_on()
    missing = [one for one in (path, *path.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(FOLDER, exist_ok=True)
        one.chmod(FOLDER)
    if not path.is_dir():
        raise NotADirectoryError(f"{path}: is no folder")


def own_folder(path: Path) -> None:
    """Make a folder that is nobody else's: one that is there is closed to others too, with the files in it.

    Raises:
        OSError: As for `folder`.
    """
    folder(path)
    with suppress(PermissionError):  # somebody else's: what is made in it is private all the same
        path.chmod(FOLDER)
        for one in path.iterdir():
            if one.is_file() and not one.is_symlink():
                one.chmod(FILE)


@overload
def opened(file: Path, mode: Literal["wb", "ab", "xb"]) -> BinaryIO: ...


@overload
def opened(file: Path, mode: Literal["w"]) -> TextIO: ...


def opened(file: Path, mode: str) -> IO[Any]:
    """A file, open to be written; text is UTF-8.

    Raises:
        OSError: It cannot be made or written.
    """
    encoding = None if "b" in mode else "utf-8"
    return open(file, mode, encoding=encoding, opener=_private)


def _private(name: str, flags: int) -> int:
    number = os.open(name, flags, FILE)
    # Also what was there before, and under a umask that takes the owner's rights; but no device or pipe.
    if stat.S_ISREG(os.fstat(number).st_mode):
        with suppress(PermissionError):  # somebody else's file, which we may write
            os.fchmod(number, FILE)
    return number


def write(file: Path, text: str) -> None:
    """Write a text to a file, in place of what was there.

    Raises:
        OSError: As for `opened`.
    """
    with opened(file, "w") as stream:
        stream.write(text)
