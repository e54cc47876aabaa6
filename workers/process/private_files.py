"""Files and folders readable only by our own user, whatever the umask: they hold health data or keys.

All files of workers, archives, replays and reports are created here; a test checks that. RocksDB and Arrow create files
themselves, in their own threads, and use the process's umask: so that is set too.
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
    """Set the umask, so that this process and its children create only private files."""
    os.umask(_UMASK)


def folder(path: Path) -> None:
    """Create a folder with missing parents; existing ones stay unchanged.

    Raises:
        OSError: It cannot be created, or something else exists there.
    """
    private_from_now_on()
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(FOLDER, exist_ok=True)
        folder.chmod(FOLDER)
    if not path.is_dir():
        raise NotADirectoryError(f"{path}: is no folder")


def own_folder(path: Path) -> None:
    """Create a private folder; an existing one is made private too, with its files.

    Raises:
        OSError: As for `folder`.
    """
    folder(path)
    with suppress(PermissionError):  # another user's folder: files created in it are private anyway
        path.chmod(FOLDER)
        for entry in path.iterdir():
            if entry.is_file() and not entry.is_symlink():
                entry.chmod(FILE)


@overload
def opened(file: Path, mode: Literal["wb", "ab", "xb"]) -> BinaryIO: ...


@overload
def opened(file: Path, mode: Literal["w"]) -> TextIO: ...


def opened(file: Path, mode: str) -> IO[Any]:
    """A private file opened for writing; text is UTF-8.

    Raises:
        OSError: It cannot be created or written.
    """
    encoding = None if "b" in mode else "utf-8"
    return open(file, mode, encoding=encoding, opener=_private)


def _private(name: str, flags: int) -> int:
    number = os.open(name, flags, FILE)
    # Also existing files, and under a umask that removes the owner's rights; but not devices or pipes.
    if stat.S_ISREG(os.fstat(number).st_mode):
        with suppress(PermissionError):  # another user's file that we may write
            os.fchmod(number, FILE)
    return number


def write(file: Path, text: str) -> None:
    """Write a text to a file, replacing its content.

    Raises:
        OSError: As for `opened`.
    """
    with opened(file, "w") as stream:
        stream.write(text)
