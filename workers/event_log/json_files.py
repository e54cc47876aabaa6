"""Reads files of events: newline-delimited JSON and common variants.

A file may be compressed with gzip, encoded in UTF-16 or UTF-32, a single JSON array, or have pretty-printed or
concatenated objects. Other kinds of files are refused with a message. A line that is not a JSON object is an event of
its own, which its reader refuses; it does not affect other events.

Only the current event is in memory.
"""

import codecs
import gzip
import io
import re
import zlib
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

from jiter import from_json

from workers.process.input_file import InputError, opened

LONGEST = 16 * 1024 * 1024
"""Largest event in bytes: many times Kafka's limit, yet small."""
_PIECE = 64 * 1024
_Buffered: TypeAlias = "io.BufferedReader[Any]"
_LOOKED_AT = 1024 * 1024
"""Bytes examined to recognize an array."""


class Event(NamedTuple):
    """One event of a file, valid or not."""

    where: str
    """`line 7`, or `element 7` of an array."""
    raw: bytes
    """UTF-8, if it is text."""


@contextmanager
def events(file: Path) -> Iterator[Iterator[Event]]:
    """The events of a file, or of standard input for `-`, read lazily.

    Raises:
        InputError: It cannot be read as events; also raised during iteration.
    """
    with opened(file) as stream:
        yield _events(str(file), cast("_Buffered", stream))


def counted(file: Path) -> int | None:
    """The number of events in a file, by reading it all; None if it can be read only once.

    Raises:
        InputError: It cannot be read as events.
    """
    if not file.is_file():
        return None
    with events(file) as found:
        return sum(1 for _ in found)


def _events(name: str, stream: _Buffered) -> Iterator[Event]:
    text = _text(name, stream)
    beginning, is_array = _beginning(text)
    joined = io.BufferedReader(_Rest(beginning, text), _PIECE)
    yield from _elements(name, joined) if is_array else grouped(name, _lines(name, joined))


# --- from bytes to text --------------------------------------------------------------------------------------------

_GZIP = b"\x1f\x8b"
_KINDS = {
    b"PK\x03\x04": "is a zip archive: unpack it, and hand over the file in it",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd: hand over what `zstd -dc` makes of it",
    b"BZh": "is compressed with bzip2: hand over what `bzip2 -dc` makes of it",
    b"\xfd7zXZ\x00": "is compressed with xz: hand over what `xz -dc` makes of it",
    b"\x04\x22\x4d\x18": "is compressed with lz4: hand over what `lz4 -dc` makes of it",
    b"PAR1": "is a Parquet file: write its events as a JSON object a line",
    b"Obj\x01": "is an Avro file: write its events as a JSON object a line",
    b"%PDF": "is a PDF document: events are JSON, an object a line",
    b"SQLite format 3\x00": "is a database of SQLite: write its events as a JSON object a line",
}
_TAR = slice(257, 262)


def _text(name: str, stream: _Buffered) -> _Buffered:
    """The text of a file, as UTF-8 without a byte order mark.

    Raises:
        InputError: The file is of another kind; also raised during reading.
    """
    head = _head(name, stream).removeprefix(codecs.BOM_UTF8)
    rest = io.BufferedReader(_Rest(head, stream), _PIECE)
    if head.startswith(_GZIP):
        return _text(name, io.BufferedReader(_Unzipped(name, rest), _PIECE))
    for magic, what in _KINDS.items():
        if head.startswith(magic):
            raise InputError(f"{name}: {what}")
    if head[_TAR] == b"ustar":
        raise InputError(f"{name}: is a tar archive: unpack it, and hand over the file in it")
    coding = _coding(head)
    return rest if coding is None else io.BufferedReader(_Decoded(name, coding, rest), _PIECE)


def _head(name: str, stream: _Buffered) -> bytes:
    """The first bytes: at least four if available, without waiting for more."""
    head = b""
    try:
        while len(head) < 4 and (more := stream.read1(_PIECE)):  # noqa: PLR2004 (the longest byte order mark)
            head += more
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from None
    return head


_MARKS = {  # the longer ones first: UTF-32's begins with UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")


def _coding(head: bytes) -> str | None:
    """The text's wide encoding, by byte order mark or by its first characters; None for UTF-8."""
    for mark, coding in _MARKS.items():
        if head.startswith(mark):
            return coding
    for coding in _WIDE:
        first = head[:4].decode(coding, "replace")
        if first.isascii() and all(character.isprintable() or character.isspace() for character in first):
            return coding if first else None
    return None


class _Stage(io.RawIOBase):
    """A stream converted from another one, piece by piece."""

    def __init__(self, beginning: bytes = b"") -> None:
        self._ready = beginning

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # what BufferedReader gives
        if not self._ready:
            self._ready = self._more()
        part, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    @abstractmethod
    def _more(self) -> bytes:
        """The next piece; empty at the end."""


class _Rest(_Stage):
    """The bytes already read, followed by the rest of the stream."""

    def __init__(self, beginning: bytes, stream: _Buffered) -> None:
        super().__init__(beginning)
        self._stream = stream

    def _more(self) -> bytes:
        return self._stream.read1(_PIECE)


class _Unzipped(_Stage):
    def __init__(self, name: str, stream: _Buffered) -> None:
        super().__init__()
        self._name = name
        self._stream = gzip.GzipFile(fileobj=stream)

    def _more(self) -> bytes:
        try:
            return self._stream.read1(_PIECE)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise InputError(f"{self._name}: is compressed with gzip, and damaged or cut off: get it again") from None


class _Decoded(_Stage):
    def __init__(self, name: str, coding: str, stream: _Buffered) -> None:
        super().__init__()
        self._name = name
        self._coding = coding
        self._decoder = codecs.getincrementaldecoder(coding)()
        self._stream = stream

    def _more(self) -> bytes:
        while piece := self._stream.read1(_PIECE):
            if text := self._decode(piece):
                return text
        return self._decode(b"", last=True)

    def _decode(self, piece: bytes, *, last: bool = False) -> bytes:
        try:
            return self._decoder.decode(piece, last).encode()
        except UnicodeError:
            kind = self._coding[:6].upper()
            raise InputError(f"{self._name}: is {kind}, and damaged or cut off: get it again, or as UTF-8") from None


# --- objects on lines, across lines, or concatenated ---------------------------------------------------------------


def _lines(name: str, stream: _Buffered) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            raise InputError(f"{name}: line {number} is longer than {LONGEST:,} bytes; an event has a line")
        yield line


class _Line(NamedTuple):
    number: int
    raw: bytes

    @property
    def is_object(self) -> bool:
        return self.raw.lstrip().startswith(b"{") and _is_json(self.raw)

    @property
    def is_apart(self) -> bool:
        """Whether it is a whole object at the beginning of the line: inside another object it would be indented."""
        return self.raw.startswith(b"{") and self.is_object

    @property
    def event(self) -> Event:
        return Event(f"line {self.number}", self.raw)


def grouped(name: str, lines: Iterable[bytes]) -> Iterator[Event]:
    """The events of some lines: each object, even across lines; otherwise each non-blank line.

    Raises:
        InputError: The file, `name`, ends inside a multi-line object, or an object is too long.
    """
    read = _Reader(name, lines)
    while (line := read.next()) is not None:
        if not line.raw.strip():
            continue
        if line.is_object:
            read.has_lines = True
            yield line.event
        else:
            yield from _objects(read, line) or (line.event,)


class _Reader:
    """The lines of a file, with push-back."""

    def __init__(self, name: str, lines: Iterable[bytes]) -> None:
        self.name = name
        self.has_lines = False
        """Whether a line held a whole object: then a broken line is an error, not the start of an object."""
        self._lines = (_Line(number, line.strip(b"\r\n")) for number, line in enumerate(lines, start=1))
        self._again: deque[_Line] = deque()

    def next(self) -> _Line | None:
        """The next line; None after the last one."""
        return self._again.popleft() if self._again else next(self._lines, None)

    def again(self, lines: Sequence[_Line]) -> None:
        """Push lines back."""
        self._again.extendleft(reversed(lines))


def _objects(read: _Reader, first: _Line) -> list[Event]:
    """The object that begins on this line and ends on a later one, and those after it on its last line.

    If there is none, only this line is consumed.

    Raises:
        InputError: It does not end, or is too long.
    """
    if not first.raw.lstrip().startswith(b"{"):
        return []
    ahead, brackets, size = [first], _Brackets(), 0
    while True:
        line = ahead[-1]
        closed = [at + 1 for at, _, depth in brackets.feed(line.raw + b"\n") if depth == 0]
        if closed and not (read.has_lines and any(line_ahead.is_apart for line_ahead in ahead[1:])):
            text = b"\n".join([*(line_ahead.raw for line_ahead in ahead[:-1]), line.raw[: closed[0]]])
            if _is_json(text) and line.raw[closed[0] :].lstrip()[:1] in (b"", b"{"):
                made, rest = _split(line, closed)
                read.again([rest])
                return [Event(first.event.where, text.strip()), *made]
        if closed:
            break
        size += len(line.raw)
        if brackets.broken or (_looked_at(len(ahead)) and not _may_go_on(ahead)):
            break
        if size > LONGEST:
            raise InputError(f"{read.name}: on line {first.number} begins an object longer than {LONGEST:,} bytes")
        if (following := read.next()) is None:
            if (
                len(ahead) == 1
                or read.has_lines
                or not _may_go_on(ahead)
                or any(line_ahead.is_object for line_ahead in ahead[1:])
            ):
                break
            raise InputError(f"{read.name}: is cut off inside the object that begins on line {first.number}")
        ahead.append(following)
    read.again(ahead[1:])
    return []


def _split(line: _Line, ends: Sequence[int]) -> tuple[list[Event], _Line]:
    """The objects on a line after the first of these ends, and the rest of the line."""
    made, begin = [], ends[0]
    for end in ends[1:]:
        part = _Line(line.number, line.raw[begin:end].strip())
        if not part.is_object:
            break
        made.append(part.event)
        begin = end
    return made, _Line(line.number, line.raw[begin:].strip())


def _looked_at(lines: int) -> bool:
    """Whether to check after this many lines: each check reads all of them, so checks double their distance."""
    return lines & (lines - 1) == 0


def _may_go_on(lines: Sequence[_Line]) -> bool:
    return _is_json(b"\n".join(line.raw for line in lines), partial=True)


def _is_json(text: bytes, *, partial: bool = False) -> bool:
    """Whether it is syntactically JSON, or a prefix of it; its reader validates the rest."""
    try:
        from_json(text, partial_mode=partial)
    except ValueError:
        return False
    return True


_TOKEN = re.compile(rb'"[^"\\\n]*(?:\\.[^"\\\n]*)*"|["{}\[\],]')
_IN_STRING = re.compile(rb'["\\\n]')


class _Brackets:
    """Tracks brackets and strings of JSON text, piece by piece."""

    def __init__(self) -> None:
        self.broken = False
        """Whether a string contained a line break, or a bracket was closed without being opened."""
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, piece: bytes) -> Iterator[tuple[int, bytes, int]]:
        """Each bracket, and each comma at depth one: its position in the piece, and the depth after it."""
        at = 0
        while True:
            if self._in_string:
                at = self._out_of_string(piece, at)
            found = _TOKEN.search(piece, at) if not self._in_string else None
            if found is None:
                return
            at, token = found.end(), found[0]
            if token == b'"':
                self._in_string = True
            elif token in b"{[":
                self._depth += 1
            elif token in b"}]":
                self._depth -= 1
                self.broken = self.broken or self._depth < 0
            if token in b"{}[]" or (token == b"," and self._depth == 1):
                yield found.start(), token, self._depth

    def _out_of_string(self, piece: bytes, at: int) -> int:
        """The end of the string that continues into this piece."""
        if self._escaped and piece:
            at, self._escaped = at + 1, False
        while (found := _IN_STRING.search(piece, at)) is not None:
            at = found.end()
            if found[0] == b'"':
                self._in_string = False
                return at
            if found[0] == b"\n":
                self.broken = True
            else:
                at, self._escaped = at + 1, at == len(piece)
        return len(piece)


# --- the elements of an array --------------------------------------------------------------------------------------


def _beginning(text: _Buffered) -> tuple[bytes, bool]:
    """The beginning of a file, and whether it is an array of objects."""
    head = b""
    while not head.strip() and len(head) < _LOOKED_AT and (more := text.read1(_PIECE)):
        head += more
    if not head.lstrip().startswith(b"["):
        return head, False
    while len(head) < _LOOKED_AT and (more := text.read1(_PIECE)):
        head += more
    return head, _is_array(head.lstrip())


def _is_array(head: bytes) -> bool:
    """Whether a bracket begins an array of events, and no line that is none."""
    line, _, behind = head.partition(b"\n")
    if line.strip() == b"[" or _is_json(head, partial=len(head) >= _LOOKED_AT):
        return True
    if behind.strip() and _is_json(line):
        return False
    brackets, begun = _Brackets(), 0
    for at, token, depth in brackets.feed(head):
        if (depth, token) == (2, b"{") and not begun:
            begun = at
            if head[1:at].strip():
                return False
        if depth == 1 and token == b"}" and head[at + 1 :].lstrip()[:1] not in (b",", b"]", b""):
            return False
    return bool(begun) or line.strip() == b"[]"


_NO_EVENTS = "is a JSON array whose first element is no object; events are objects, in one array or one a line"


def _elements(name: str, stream: _Buffered) -> Iterator[Event]:
    """The elements of a file that is one array.

    Raises:
        InputError: It does not begin with an object, does not end, has trailing content, or an element is too long.
    """
    brackets, number, begun, held = _Brackets(), 1, False, bytearray()
    while piece := stream.readline(_PIECE):
        done = 0
        for at, token, depth in brackets.feed(piece):
            if not begun:
                begun, done = True, at + 1
            elif token in b",]" and depth == (token == b","):
                element = bytes(held + piece[done:at]).strip()
                if number == 1 and element and not element.startswith(b"{"):
                    raise InputError(f"{name}: {_NO_EVENTS}")
                if element or token == b"," or number > 1:
                    yield Event(f"element {number}", element)
                held, done, number = bytearray(), at + 1, number + 1
                if token == b"]":
                    _nothing_behind(name, piece[done:], stream)
                    return
        held += piece[done:]
        if len(held) > LONGEST:
            raise InputError(f"{name}: element {number} is longer than {LONGEST:,} bytes; is the one before closed?")
    raise InputError(f"{name}: is a JSON array that does not end: cut off, or open in element {number}?")


def _nothing_behind(name: str, rest: bytes, stream: _Buffered) -> None:
    while not rest.strip():
        rest = stream.read1(_PIECE)
        if not rest:
            return
    raise InputError(f"{name}: has something behind the end of its array; events are one array, or an object a line")
