"""A file of requests is read however people write one, or refused whole; a bad line is one line."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workers.event_log import json_files
from workers.event_log.json_files import Event, events
from workers.process.input_file import InputError

REQUESTS = [
    {"request_id": f"PA-{number}", "note": 'a "quoted" { [ brace, \\ and ü €', "lines": [{"n": 1}, {}]}
    for number in range(5)
]


def compact(items: list[Any] = REQUESTS) -> str:
    return "\n".join(json.dumps(one, ensure_ascii=False) for one in items) + "\n"


def pretty(items: list[Any] = REQUESTS, between: str = "\n") -> str:
    return between.join(json.dumps(one, indent=2, ensure_ascii=False) for one in items) + "\n"


FORMS: dict[str, Callable[[], str]] = {
    "a line each": compact,
    "without the last line's end": lambda: compact().rstrip("\n"),
    "with lines' ends of Windows": lambda: compact().replace("\n", "\r\n"),
    "with blank lines": lambda: "\n\n" + compact().replace("\n", "\n  \n"),
    "pretty-printed": pretty,
    "pretty-printed, with lines' ends of Windows": lambda: pretty().replace("\n", "\r\n"),
    "pretty-printed, with tabs": lambda: "\n".join(json.dumps(one, indent="\t") for one in REQUESTS),
    "pretty-printed, one behind the other": lambda: pretty(between=""),
    "one behind the other": lambda: "".join(json.dumps(one) for one in REQUESTS),
    "separated by spaces": lambda: " ".join(json.dumps(one) for one in REQUESTS),
    "lines and pretty-printed mixed": lambda: compact(REQUESTS[:2]) + pretty(REQUESTS[2:]),
    "an array": lambda: json.dumps(REQUESTS),
    "an array, pretty-printed": lambda: "\n " + json.dumps(REQUESTS, indent=4),
    "an array with a line for each": lambda: "[\n" + ",\n".join(json.dumps(one) for one in REQUESTS) + "\n]\n",
}
CODINGS: dict[str, Callable[[str], bytes]] = {
    "UTF-8": lambda text: text.encode(),
    "UTF-8 with its mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16, big end first": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "gzip": lambda text: gzip.compress(text.encode()),
    "gzip in two parts": lambda text: gzip.compress(text.encode()[:100]) + gzip.compress(text.encode()[100:]),
    "UTF-16 in gzip": lambda text: gzip.compress(text.encode("utf-16")),
}


def read(file: Path) -> list[Event]:
    with events(file) as found:
        return list(found)


def parsed(found: list[Event]) -> list[Any]:
    return [json.loads(one.raw) for one in found]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("coding", CODINGS)
def test_requests_are_the_same_however_their_file_is_written(tmp_path: Path, form: str, coding: str) -> None:
    file = tmp_path / "requests"
    file.write_bytes(CODINGS[coding](FORMS[form]()))

    assert parsed(read(file)) == REQUESTS


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_without_a_mark_is_known_by_its_beginning(tmp_path: Path, coding: str) -> None:
    """Wide text without a byte order mark is recognized by its first characters."""
    file = tmp_path / "requests"
    file.write_bytes(compact().encode(coding))

    assert parsed(read(file)) == REQUESTS


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("coding", CODINGS)
def test_a_slow_pipe_is_read_like_a_file(monkeypatch: pytest.MonkeyPatch, form: str, coding: str) -> None:
    """Events are read in the same way from a pipe that gives little at a time."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Dripping(CODINGS[coding](FORMS[form]())))))

    assert parsed(read(Path("-"))) == REQUESTS


class Dripping(io.RawIOBase):
    """Bytes, three at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._data.read(min(3, len(buffer)))
        buffer[: len(part)] = part
        return len(part)


# --- a bad line is one line ----------------------------------------------------------------------------------------

GOOD = json.dumps(REQUESTS[0], ensure_ascii=False).encode()
BAD = {
    "no JSON": b"hello",
    "an array among the lines": b"[1, 2]",
    "half an array": b"[1, 2",
    "an array cut behind its first element": b'[{"a": 1}',
    "cut in a string": GOOD[:40],
    "cut behind a colon": b'{"request_id":',
    "cut behind a comma": b'{"request_id": "PA-9",',
    "only the beginning": b"{",
    "only an end": b"}",
    "garbage behind it": GOOD + b" garbage",
    "a brace too many": GOOD + b"}",
    "not UTF-8": b'{"request_id": "\xff"}',
    "a NUL": b"\x00" + GOOD,
    "NULs": b"\x00" * 16,
    "a key twice": b'{"a": 1, "a": 2}',
    "a mark of UTF-8 behind a blank": b" \xef\xbb\xbf" + GOOD,
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("at", [0, 2, 4], ids=["first", "amid others", "last"])
def test_a_bad_line_stays_one_event_and_the_others_are_whole(tmp_path: Path, kind: str, at: int) -> None:
    bad = BAD[kind]
    lines = [GOOD] * 4
    lines.insert(at, bad)
    file = tmp_path / "requests.jsonl"
    file.write_bytes(b"\n".join(lines) + b"\n")

    assert read(file) == [Event(f"line {number}", line) for number, line in enumerate(lines, start=1)]


@given(
    lines=st.lists(
        st.one_of(
            st.just(GOOD),
            st.binary(min_size=1, max_size=60).filter(
                lambda raw: b"\n" not in raw and b"\r" not in raw and raw.strip()
            ),
            st.integers(1, len(GOOD) - 1).map(lambda cut: GOOD[:cut]),
            st.integers(1, len(GOOD) - 1).map(lambda cut: GOOD[cut:]),
        ),
        min_size=1,
        max_size=8,
    )
)
@example(lines=[GOOD[: GOOD.index(b"[{")], GOOD, b"}"])
@settings(max_examples=300, deadline=None)
def test_a_bad_line_never_takes_a_good_one_with_it(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    """Behind a good first line, no bad line takes a good one with it."""
    file = tmp_path_factory.mktemp("lines") / "requests.jsonl"
    file.write_bytes(b"\n".join([GOOD, *lines, GOOD]))

    found = [one.raw for one in read(file)]

    assert [raw for raw in found if raw == GOOD] == [raw for raw in [GOOD, *lines, GOOD] if raw == GOOD]
    assert b"".join(found).replace(b"\n", b"").replace(b" ", b"") == b"".join([GOOD, *lines, GOOD]).replace(b" ", b"")


def test_an_element_of_an_array_that_is_no_request_is_one_event(tmp_path: Path) -> None:
    file = tmp_path / "requests.json"
    file.write_bytes(b"[" + GOOD + b', {bad}, 7, "},{", ' + GOOD + b",]")

    assert read(file) == [
        Event("element 1", GOOD),
        Event("element 2", b"{bad}"),
        Event("element 3", b"7"),
        Event("element 4", b'"},{"'),
        Event("element 5", GOOD),
        Event("element 6", b""),
    ]


NO_OBJECT = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)


@given(
    first=NO_OBJECT, behind=st.integers(0, 3), indent=st.sampled_from([None, 0, 1]), pad=st.sampled_from(["", "\n "])
)
@example(first=7, behind=0, indent=None, pad="")
@example(first=None, behind=3, indent=None, pad="")
@settings(max_examples=200, deadline=None)
def test_an_array_that_does_not_begin_with_an_object_is_refused(
    tmp_path_factory: pytest.TempPathFactory, first: Any, behind: int, indent: int | None, pad: str
) -> None:
    """An array that does not begin with an object is refused as a whole, however it is written."""
    file = tmp_path_factory.mktemp("array") / "requests.json"
    file.write_text(pad + json.dumps([first, *[REQUESTS[0]] * behind], indent=indent) + pad, "utf-8")

    with pytest.raises(InputError, match="is a JSON array whose first element is no object; events are objects"):
        read(file)


def test_so_is_one_that_is_longer_than_what_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "requests.json"
    file.write_bytes(b"[7, " + b", ".join([GOOD] * (2 * 1024 * 1024 // len(GOOD))) + b"]")

    with pytest.raises(InputError, match="is a JSON array whose first element is no object; events are objects"):
        read(file)


def test_each_event_knows_the_line_on_which_it_begins(tmp_path: Path) -> None:
    file = tmp_path / "requests.json"
    file.write_bytes(b"\n" + pretty(REQUESTS[:2]).encode() + GOOD + b"\nbad\n")

    assert [one.where for one in read(file)] == ["line 2", "line 12", "line 22", "line 23"]


# --- refused whole -------------------------------------------------------------------------------------------------


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("requests.jsonl", compact())
    return made.getvalue()


REFUSED = {
    "zip": (zipped(), "is a zip archive"),
    "bzip2": (bz2.compress(compact().encode()), "is compressed with bzip2"),
    "xz": (lzma.compress(compact().encode()), "is compressed with xz"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(20), "is compressed with zstd"),
    "Parquet": (b"PAR1" + bytes(20), "is a Parquet file"),
    "tar in gzip": (gzip.compress(bytes(257) + b"ustar" + bytes(250)), "is a tar archive"),
    "half a gzip": (gzip.compress(compact().encode() * 50)[:-200], "is compressed with gzip, and damaged or cut off"),
    "a damaged gzip": (gzip.compress(b"x" * 99)[:-8] + bytes(8), "is compressed with gzip, and damaged or cut off"),
    "half a character of UTF-16": (compact().encode("utf-16")[:-1], "is UTF-16, and damaged or cut off"),
    "half an array": (json.dumps(REQUESTS).encode()[:-1], "is a JSON array that does not end"),
    "something behind an array": (json.dumps(REQUESTS, indent=1).encode() + b"\n{}", "behind the end of its array"),
    "half a pretty-printed file": (pretty().encode()[:-9], "is cut off inside the object that begins on line 41"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_unreadable_file_is_refused_with_what_it_is(tmp_path: Path, kind: str) -> None:
    """A file that cannot be read as events is refused with a sentence that says what it is."""
    data, sentence = REFUSED[kind]
    file = tmp_path / "requests"
    file.write_bytes(data)

    with pytest.raises(InputError, match=sentence) as refused:
        read(file)
    assert str(file) in str(refused.value)


def test_the_count_matches_what_is_read_and_skips_pipes(tmp_path: Path) -> None:
    """The count is of what is read, and a pipe is not counted."""
    file = tmp_path / "requests.json"
    file.write_text(json.dumps(REQUESTS), "utf-8")

    assert json_files.counted(file) == len(REQUESTS)
    assert json_files.counted(Path("-")) is None


# --- memory --------------------------------------------------------------------------------------------------------


class Endless(io.RawIOBase):
    """A beginning, and then one thing again and again."""

    def __init__(self, beginning: bytes, again: bytes) -> None:
        self._next = beginning
        self._again = again * (65_536 // len(again))
        self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part, self._next = self._next[: len(buffer)], self._next[len(buffer) :] or self._again
        buffer[: len(part)] = part
        self.given += len(part)
        return len(part)


@pytest.mark.parametrize(
    ("beginning", "again"),
    [
        (GOOD + b"\n", GOOD + b"\n"),
        (b"[", GOOD + b","),
        (b"", pretty(REQUESTS[:1]).encode()),
        (b"bad\n", b'{"cut":\n'),
    ],
    ids=["lines", "an array on one line", "pretty-printed", "bad lines"],
)
def test_events_come_before_their_input_has_ended(
    monkeypatch: pytest.MonkeyPatch, beginning: bytes, again: bytes
) -> None:
    endless = Endless(beginning, again)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(endless)))

    with events(Path("-")) as found:
        taken = [next(found) for _ in range(100)]

    assert len(taken) == 100
    assert endless.given < 4 * json_files.LONGEST


@pytest.mark.parametrize(
    ("beginning", "sentence"),
    [(b"x", "line 1 is longer"), (b'[{"', "element 1 is longer"), (b'{\n"a": "b",\n', "an object longer than")],
)
def test_what_never_ends_is_refused_and_not_kept(
    monkeypatch: pytest.MonkeyPatch, beginning: bytes, sentence: str
) -> None:
    monkeypatch.setattr(json_files, "LONGEST", 100_000)
    endless = Endless(beginning, b'"c": 1,\n' if beginning.startswith(b"{") else b"xx")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(endless)))

    with events(Path("-")) as found, pytest.raises(InputError, match=sentence):
        list(found)
    assert endless.given < 10_000_000


def test_a_file_of_lines_is_read_line_by_line() -> None:
    def one_by_one() -> Iterator[bytes]:
        yield from (b"{}\n", b"\n", b"{1}\r\n")

    assert [one.raw for one in json_files.grouped("f", one_by_one())] == [b"{}", b"{1}"]
