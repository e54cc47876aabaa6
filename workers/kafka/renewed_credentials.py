"""Certificates and passwords that are read again: whoever renews a file need not restart who uses it.

Clients hold what they were made with for as long as they run. So they are given stand-ins, which look at the files
whenever a connection is made. A connection that is open stays open; what cannot be read leaves what was good before.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import structlog

log = structlog.get_logger()

State = tuple[tuple[int, int, int] | None, ...]


class RenewedContext(ssl.SSLContext):
    """A TLS context that is made again when one of its files is another than before."""

    def __new__(cls, make: Callable[[], ssl.SSLContext], files: tuple[Path, ...]) -> "RenewedContext":  # noqa: ARG004
        """Python makes the object before it is given its arguments."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, make: Callable[[], ssl.SSLContext], files: tuple[Path, ...]) -> None:
        """Make the context by `make`, and again when `files` change.

        Raises:
            Whatever `make` raises, now and never again.
        """
        self._make, self._files = make, files
        self._seen, self._context = state(files), make()
        self._lock = Lock()

    def current(self) -> ssl.SSLContext:
        """The context of what the files have now, or of what they had last that could be used."""
        with self._lock:
            seen = state(self._files)
            if seen != self._seen:
                self._seen = seen
                self._renew()
            return self._context

    def _renew(self) -> None:
        names = [str(file) for file in self._files]
        try:
            self._context = self._make()
        except Exception as error:  # noqa: BLE001 (whatever it is, what was good before goes on)
            log.error("certificates_not_renewed", files=names, error=str(error))  # noqa: TRY400 (a sentence says it all)
        else:
            log.info("certificates_renewed", files=names)

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        """As the current context does."""
        return self.current().wrap_socket(*arguments, **named)

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """As the current context does."""
        return self.current().wrap_bio(*arguments, **named)


def state(files: tuple[Path, ...]) -> State:
    """What tells a renewed file from the one before: None for each that is not there."""
    return tuple(_state(file) for file in files)


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class RenewedPassword(str):
    """A password that is what its file has whenever it is put into bytes, which clients do at each SCRAM login."""

    _file: Path
    _last: str

    def __new__(cls, value: str, file: Path) -> "RenewedPassword":
        """A text that compares and hashes as `value`, what the file had at the start."""
        one = super().__new__(cls, value)
        one._file, one._last = file, value
        return one

    def current(self) -> str:
        """What the file has now, or had last that could be read and was not empty."""
        try:
            self._last = self._file.read_text("utf-8").strip() or self._last
        except (OSError, UnicodeDecodeError) as error:
            reason = type(error).__name__
            log.error("password_not_renewed", file=str(self._file), error=reason)  # noqa: TRY400 (as above)
        return self._last

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """The current password in bytes."""
        return self.current().encode(encoding, errors)

    def __repr__(self) -> str:
        """Never the password."""
        return "RenewedPassword(…)"
