"""Archives that mean no good, or that a disk has spoiled: told, and never a traceback, a killed process, or all memory.

Read in a process of its own whose memory is bounded; see `hostile`.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.event_logs import MemorySource, archived
from tests.support.spoiled_archives import TOPIC, Reader, file_of, manifest_of, own_up, records, rewrite
from workers.archive import manifest
from workers.archive import parquet as columns
from workers.archive.blocks import MOST_BYTES
from workers.event_log.source import Format
from workers.kafka.records import Record

FORMATS = list(Format)
MB = 1_000_000


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.close()


@pytest.fixture(scope="module")
def readers() -> Iterator[list[Reader]]:
    """The process of the tests that read many archives: made anew by them where it ended."""
    made = [Reader()]
    yield made
    made[0].close()


@pytest.fixture(scope="module", params=FORMATS)
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of five blocks in one file."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("workers.archive.archive_source.BLOCK_RECORDS", 60)
        return archived(
            MemorySource({(TOPIC, 0): records(300)}), tmp_path_factory.mktemp("sound") / "kept", request.param
        )


# --- spoiled anywhere ----------------------------------------------------------------------------------------------

Spoiling = tuple[str, float, int, bytes]
spoilings = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "overwrite", "shorten", "double"]),
        st.floats(0, 1),
        st.integers(1, 200),
        st.binary(min_size=1, max_size=12) | st.sampled_from([b"\xff" * 8, b"\x00" * 8, b"\n", b'"', b"[[[["]),
    ),
    min_size=1,
    max_size=3,
)


def spoiled(raw: bytes, how: list[Spoiling]) -> bytes:
    for kind, share, length, new in how:
        at = int(share * max(len(raw) - 1, 0))
        raw = {
            "flip": raw[:at] + bytes([raw[at] ^ new[0]] if raw else b"") + raw[at + 1 :],
            "cut": raw[:at] + raw[at + length :],
            "insert": raw[:at] + new + raw[at:],
            "overwrite": raw[:at] + new + raw[at + len(new) :],
            "shorten": raw[:at],
            "double": raw[: at + length] + raw[at : at + length] + raw[at + length :],
        }[kind]
    return raw


many = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def copy_of(sound: Path) -> Path:
    folder = sound.with_name("spoiled")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder)
    return folder


def read(readers: list[Reader], folder: Path) -> dict[str, Any]:
    try:
        return readers[0].read(folder)
    except AssertionError:
        readers[0].close()
        readers[0] = Reader()
        raise


@given(how=spoilings, hidden=st.booleans())
@many
def test_a_spoiled_file_gives_the_same_records_or_a_finding(
    sound: Path, readers: list[Reader], how: list[Spoiling], *, hidden: bool
) -> None:
    """Also where the manifest names the file as it is now: only the digest of its records tells then."""
    folder = copy_of(sound)
    whole = read(readers, sound)
    file = file_of(folder)
    before = file.read_bytes()
    after = spoiled(before, how)
    file.write_bytes(after)
    if hidden and after:
        own_up(folder)

    found = read(readers, folder)

    assert whole["problems"] == whole["damages"] == []
    if after == before:
        assert found["contents"] == whole["contents"]
    elif hidden and after:
        assert found["problems"] or found["contents"] == whole["contents"]
    else:
        assert found["problems"]
        assert found["damages"]


def test_a_spoiled_footer_gives_the_same_records_or_a_finding(readers: list[Reader], tmp_path: Path) -> None:
    """Of some footers, Arrow's own properties end the process: those that name a codec there is not."""
    folder = archived(MemorySource({(TOPIC, 0): records(30)}), tmp_path / "kept")
    whole = read(readers, folder)
    file = file_of(folder)
    sound = file.read_bytes()
    length = int.from_bytes(sound[-8:-4], "little")
    assert length > 1_000
    for at in range(len(sound) - 8 - length, len(sound)):
        file.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        own_up(folder)

        found = read(readers, folder)

        assert found["problems"] or found["contents"] == whole["contents"], at


@given(how=spoilings)
@many
def test_a_spoiled_manifest_changes_no_record_unnoticed(
    sound: Path, readers: list[Reader], how: list[Spoiling]
) -> None:
    """A manifest that is spoiled anywhere is refused, or gives the same records or a finding."""
    folder = copy_of(sound)
    whole = read(readers, sound)
    (folder / manifest.NAME).write_bytes(spoiled((folder / manifest.NAME).read_bytes(), how))

    found = read(readers, folder)

    digests = {*whole["contents"].values()}
    assert found.get("refused") or found["problems"] or digests <= {*found["contents"].values()}


# --- made to take all there is -------------------------------------------------------------------------------------

START = b'{"offset":0,"timestamp":1,"timestamp_type":0,"key":null,"headers":[],"value":'


def framed(text: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(text)


def unsized(size: int) -> bytes:
    packer = zstandard.ZstdCompressor(level=3, write_content_size=False).compressobj()
    return b"".join([*(packer.compress(b" " * MB) for _ in range(size // MB)), packer.flush()])


JSON_BOMBS: dict[str, Callable[[], bytes]] = {
    "300 MB in a frame": lambda: framed(b" " * (300 * MB)),
    "300 MB in a frame that does not say so": lambda: unsized(300 * MB),
    "a frame that says a petabyte": lambda: bytes.fromhex("28b52ffde0") + (10**15).to_bytes(8, "little") + b"\1\0\0",
    "a frame that says it is full and is empty": lambda: (
        bytes.fromhex("28b52ffde0") + MOST_BYTES.to_bytes(8, "little") + b"\1\0\0"
    ),
    "sixty million lines": lambda: framed(b"\n" * (60 * MB)),
    "arrays in arrays": lambda: framed(START + b"[" * (50 * MB)),
    "objects in objects": lambda: framed(START + b'{"base64":' * (5 * MB)),
    "millions of empty arrays": lambda: framed(START + b"[" + b"[]," * (30 * MB) + b"[]]}\n"),
    "millions of headers": lambda: framed(
        START.replace(b"[]", b"[" + b'["",null],' * (3 * MB) + b'["",null]]') + b"null}\n"
    ),
    "many lines of many headers": lambda: framed(
        (START.replace(b"[]", b"[" + b'["",null],' * 90_000 + b'["",null]]') + b"null}\n") * 120
    ),
    "a number of a million digits": lambda: framed(START.replace(b":0,", b":" + b"9" * MB + b",", 1) + b"null}\n"),
    "a number that no offset has": lambda: framed(START.replace(b":0,", b":%d," % 2**64, 1) + b"null}\n"),
    "a time that no record has": lambda: framed(START.replace(b":1,", b":%d," % 2**64, 1) + b"null}\n"),
    "two frames": lambda: framed(START + b"null}\n") * 2,
    "a character that is none": lambda: framed(START + b'"\\ud800"}\n'),
}


@pytest.mark.parametrize("bomb", JSON_BOMBS)
def test_a_frame_that_would_take_all_memory_is_a_finding(reader: Reader, tmp_path: Path, bomb: str) -> None:
    folder = archived(MemorySource({(TOPIC, 0): records(1)}), tmp_path / "kept", Format.JSONL_ZSTD)
    raw = JSON_BOMBS[bomb]()
    assert len(raw) < MB
    file_of(folder).write_bytes(raw)
    rewrite(folder, blocks=[[0, 0, 1, 0, len(raw)]])
    own_up(folder)

    found = reader.read(folder)

    assert len(found["problems"]) == 1
    assert found["damages"]
    assert "a sound copy of the file has" in found["damages"][0]


def parquet(
    count: int,
    *,
    key: Any = b"k",
    value: Any = b"v",
    headers: Any = (),
    footer_more: int = 0,
    **options: Any,
) -> Callable[[Path], None]:
    """A writer of a Parquet file as an archive has it, but for what is said."""

    def write(file: Path) -> None:
        schema = columns._SCHEMA  # noqa: SLF001 (what a file must look like to get so far)
        there: list[Any] = [
            pa.array(range(count), pa.int64()),
            pa.array([1] * count, pa.int64()).cast(pa.timestamp("ms", tz="UTC")),
            pa.array([0] * count, pa.int8()),
            pa.array([key] * count, pa.binary()),
            pa.array([headers] * count, schema.field("headers").type),
            pa.array([value] * count, pa.binary()),
        ]
        if footer_more:
            schema = schema.append(pa.field("more", pa.int8())).with_metadata({"more": "x" * footer_more})
            there.append(pa.array([0] * count, pa.int8()))
        table = pa.Table.from_batches([pa.record_batch(there, schema=schema)])
        pq.write_table(
            table,
            file,
            row_group_size=count,
            **{
                "compression": "zstd",
                "use_dictionary": ["timestamp_type", "headers.list.element.name", "headers.list.element.value"],
                **options,
            },
        )

    return write


BIG = b"x" * 40_000
PARQUET_BOMBS: dict[str, tuple[int, Callable[[Path], None]]] = {
    "values of 160 MB": (4_000, parquet(4_000, value=BIG)),
    "values in a dictionary": (4_000, parquet(4_000, value=BIG, use_dictionary=True)),
    "headers of 160 MB": (4_000, parquet(4_000, headers=[{"name": "n", "value": BIG}])),
    "names of 160 MB": (4_000, parquet(4_000, headers=[{"name": BIG.decode(), "value": b""}])),
    "two million headers": (4_000, parquet(4_000, headers=[{"name": "n", "value": None}] * 500)),
    "values that share their beginning": (
        4_000,
        parquet(4_000, value=BIG, use_dictionary=False, column_encoding={"value": "DELTA_BYTE_ARRAY"}),
    ),
    "values beside their lengths": (
        10,
        parquet(10, use_dictionary=False, column_encoding={"value": "DELTA_LENGTH_BYTE_ARRAY"}),
    ),
    "fifty million records without a byte": (50 * MB, parquet(1)),
    "more records than a block has": (90_000, parquet(1_000_000, key=None, value=None)),
    "another codec": (10, parquet(10, compression="gzip")),
    "no codec": (10, parquet(10, compression="none")),
    "pages of the second kind": (10, parquet(10, data_page_version="2.0")),
    "a footer of megabytes": (10, parquet(10, footer_more=3 * MB)),
    "a column more": (10, parquet(10, footer_more=1)),
}


@pytest.mark.parametrize("bomb", PARQUET_BOMBS)
def test_a_row_group_that_would_take_all_memory_is_a_finding(reader: Reader, tmp_path: Path, bomb: str) -> None:
    folder = archived(MemorySource({(TOPIC, 0): records(1)}), tmp_path / "kept")
    count, write = PARQUET_BOMBS[bomb]
    write(file_of(folder))
    tree = manifest_of(folder)
    tree["partitions"][0]["end"] = count
    (folder / manifest.NAME).write_text(json.dumps(tree), "utf-8")
    rewrite(folder, records=count, last=count - 1, blocks=[[0, count - 1, count, 0, 0]])
    own_up(folder)

    found = reader.read(folder)

    if "refused" in found:
        assert "a block that cannot be" in found["refused"]
        assert count > 4_000
    else:
        assert len(found["problems"]) == 1
        assert "is damaged in row group 0" in found["damages"][0]


@pytest.mark.parametrize(
    "form", [Format.PARQUET, Format.JSONL_ZSTD, pytest.param(Format.JSONL, marks=pytest.mark.slow)]
)
def test_the_largest_record_that_kafka_gives_is_kept(reader: Reader, tmp_path: Path, form: Format) -> None:
    """A batch decompresses to 64 MiB at most; of control characters, JSON would make six times as much."""
    worst = Record(TOPIC, 0, 0, 1, b"k", b"\x01" * (60 * MB), (("h", b"\x02" * MB),))
    small = [worst._replace(offset=n, value=b"\x01" * 20_000, headers=()) for n in range(1, 500)]
    folder = archived(MemorySource({(TOPIC, 0): [worst, *small]}), tmp_path / "kept", form)

    found = reader.read(folder)

    assert (found["problems"], found["damages"]) == ([], [])
