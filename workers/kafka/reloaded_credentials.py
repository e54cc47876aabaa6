"""Certificates and passwords that are reloaded when their files change, without a restart.

Clients keep the credentials they were created with. So they get objects that check the files on each connection. Open
connections stay open; if a file cannot be read, the previous credentials remain in use.
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
    """A TLS context that is rebuilt when one of its files changes."""

    def __new__(cls, make: Callable[[], ssl.SSLContext], files: tuple[Path, ...]) -> "RenewedContext":  # noqa: ARG004
        """Create the context; `__init__` takes the same arguments."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, make: Callable[[], ssl.SSLContext], files: tuple[Path, ...]) -> None:
        """Make the context by `make`, and again when `files` change.

        Raises:
            Whatever `make` raises, here only.
        """
        self._make, self._files = make, files
        self._seen, self._context = state(files), make()
        self._lock = Lock()

    def current(self) -> ssl.SSLContext:
        """The context of the files' current content, or of the last usable one."""
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
        except Exception as error:  # noqa: BLE001 (on any error the previous context stays in use)
            log.error("certificates_not_renewed", files=names, error=str(error))  # noqa: TRY400 (the message suffices)
        else:
            log.info("certificates_renewed", files=names)

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        """Wrap with the current context."""
        return self.current().wrap_socket(*arguments, **named)

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """Wrap with the current context."""
        return self.current().wrap_bio(*arguments, **named)


def state(files: tuple[Path, ...]) -> State:
    """What identifies a version of the files; None for each that is missing."""
    return tuple(_state(file) for file in files)


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class RenewedPassword(str):
    """A password that is read from its file when it is encoded, as clients do at each SCRAM login."""

    _file: Path
    _last: str

    def __new__(cls, value: str, file: Path) -> "RenewedPassword":
        """A string that compares and hashes as `value`, the file's initial content."""
        password = super().__new__(cls, value)
        password._file, password._last = file, value
        return password

    def current(self) -> str:
        """The file's current content, or the last that was readable and not empty."""
        try:
            self._last = self._file.read_text("utf-8").strip() or self._last
        except (OSError, UnicodeDecodeError) as error:
            reason = type(error).__name__
            log.error("password_not_renewed", file=str(self._file), error=reason)  # noqa: TRY400 (as above)
        return self._last

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Encode the current password."""
        return self.current().encode(encoding, errors)

    def __repr__(self) -> str:
        """Never the password."""
        return "RenewedPassword(…)"
