"""An archive: what is kept is what was there, to the byte; what is damaged is told; nothing is written over."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.event_logs import MemorySource, archived
from workers.archive import archive_source as archive
from workers.archive import blocks, formats, manifest
from workers.archive.archive_source import ArchiveSource, Kept
from workers.archive.blocks import Digest, LogPartition
from workers.event_log.process_pool import WorkerHandle
from workers.event_log.source import Chunk, Damage, Format, ReplayError
from workers.kafka.records import Record

TOPIC = "t.things"
FORMATS = list(Format)


def records(count: int, partition: int = 0) -> list[Record]:
    """Records with a gap behind every tenth, as transactions leave them."""
    return [
        Record(TOPIC, partition, n + n // 10, 1_750_000_000_000 + n, b"k%d" % n, b'{"n":%d}' % n, (("a", b"b"),))
        for n in range(count)
    ]


def everything(source: ArchiveSource, partition: int = 0, start: int = 0) -> tuple[list[Record], list[Damage]]:
    found: list[Record] = []
    damages: list[Damage] = []
    for piece in source.read(TOPIC, partition, start):
        found += piece.chunk.records if piece.chunk is not None else []
        damages += [piece.damage] if piece.damage is not None else []
    return found, damages


def spoil(file: Path, at: int, by: bytes) -> None:
    raw = bytearray(file.read_bytes())
    raw[at : at + len(by)] = by
    file.write_bytes(raw)


def the_file(folder: Path) -> Path:
    [segment] = ArchiveSource(folder).manifest.segments
    return folder / segment.file


raws = st.none() | st.binary(max_size=40) | st.text(max_size=20).map(str.encode)
names = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    # What is not UTF-8, as records have it here, and what looks like how files have that.
    st.binary(max_size=5).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.just("\0base64:QQ=="),
)
any_records = st.lists(
    st.tuples(
        st.integers(1, 2**40),
        st.integers(-1, 2**41),
        st.integers(0, 1),
        raws,
        raws,
        st.lists(st.tuples(names, raws), max_size=3),
    ),
    min_size=1,
    max_size=30,
)


@pytest.mark.parametrize("form", FORMATS)
@given(rows=any_records)
@settings(max_examples=60, deadline=None)
def test_whatever_bytes_a_record_has_it_comes_back_as_it_was(
    form: Format, rows: Sequence[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("one") / "file"
    offset = 0
    kept: list[Record] = []
    for step, timestamp, _, key, value, headers in rows:
        offset += step
        kept.append(Record(TOPIC, 3, offset, timestamp, key, value, tuple(headers)))
    chunk = Chunk(kept, [row[2] for row in rows])
    writer = formats.writer(form, file)
    block = writer.add(chunk)
    writer.close()

    with file.open("rb") as stream:
        [piece] = formats.read(form, stream, file.name, LogPartition(TOPIC, 3), [block])
        keys = [key for some in formats.read_keys(form, stream, LogPartition(TOPIC, 3), [block]) for key in some]

    assert piece.chunk == chunk
    assert keys == [one.key for one in kept]


def test_the_digest_sees_every_change_of_a_record() -> None:
    one = Record(TOPIC, 0, 5, 7, b"key", b"value", (("name", b"text"),))
    others = [
        one._replace(offset=6),
        one._replace(timestamp=8),
        one._replace(key=None),
        one._replace(key=b"keyv", value=b"alue"),
        one._replace(value=b"Value"),
        one._replace(value=None),
        one._replace(headers=()),
        one._replace(headers=(("name", None),)),
        one._replace(headers=(("name", b"text"), ("name", b"text"))),
        one._replace(headers=(("nam", b"etext"),)),
    ]

    digests = {_digest(record, 0) for record in [one, *others]} | {_digest(one, 1)}

    assert len(digests) == len(others) + 2


def _digest(record: Record, kind: int) -> str:
    digest = Digest()
    digest.add(Chunk([record], [kind]))
    return digest.hex()


@pytest.mark.parametrize("form", FORMATS)
def test_an_archive_reads_back_what_was_kept_from_any_offset(form: Format, tmp_path: Path) -> None:
    kept = {(TOPIC, 0): records(9_000), (TOPIC, 1): records(50, 1), (TOPIC, 2): []}
    source = ArchiveSource(archived(MemorySource(kept), tmp_path / "kept", form))

    assert source.partitions(TOPIC) == [0, 1, 2]
    assert everything(source) == (kept[TOPIC, 0], [])
    assert everything(source, 1) == (kept[TOPIC, 1], [])
    assert everything(source, 2) == ([], [])
    for start in (1, 10, 4_444, 5_000, 9_898, 9_899):
        assert everything(source, start=start)[0] == [one for one in kept[TOPIC, 0] if one.offset >= start]
    assert [problem for _, problem in archive.check(source)] == [None, None]


def test_several_processes_keep_the_same_as_one(tmp_path: Path) -> None:
    source = MemorySource({(TOPIC, number): records(900, number) for number in range(3)})

    one = ArchiveSource(archived(source, tmp_path / "one"))
    two = ArchiveSource(archived(source, tmp_path / "two", processes=2))

    assert one.identity == two.identity


@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_block_is_reported_and_the_rest_is_read(form: Format, tmp_path: Path) -> None:
    """A damaged block is reported with its offsets, and the rest is read."""
    kept = records(9_000)
    source = ArchiveSource(archived(MemorySource({(TOPIC, 0): kept}), tmp_path / "kept", form))
    size = the_file(source.folder).stat().st_size
    spoil(the_file(source.folder), size // 2, b"\x00\xff\x00\xff")

    found, damages = everything(source)

    lost = {one.offset for one in kept} - {one.offset for one in found}
    assert 0 < len(lost) <= blocks.BLOCK_RECORDS
    told = {offset for one in damages[1:] for offset in range(one.first, one.last + 1)}
    assert "is not the file that was kept" in damages[0].why
    assert lost <= told
    assert len(told) < 9_000
    assert [one.offset for one in found] == sorted(one.offset for one in found)
    assert [problem is None for _, problem in archive.check(source)] == [False]


def test_a_line_that_is_no_record_costs_no_other(tmp_path: Path) -> None:
    kept = records(100)
    source = ArchiveSource(archived(MemorySource({(TOPIC, 0): kept}), tmp_path / "kept", Format.JSONL))
    text = the_file(source.folder).read_bytes()
    spoil(the_file(source.folder), text.index(b'"offset":47'), b"?")

    found, damages = everything(source)

    assert [one.offset for one in kept if one not in found] == [47]
    assert [(one.first, one.last) for one in damages][1:] == [(47, 47)]


def test_a_changed_value_is_found_though_it_can_be_read(tmp_path: Path) -> None:
    source = ArchiveSource(archived(MemorySource({(TOPIC, 0): records(100)}), tmp_path / "kept", Format.JSONL))
    text = the_file(source.folder).read_bytes()
    spoil(the_file(source.folder), text.index(b'{\\"n\\":47}'), b'{\\"n\\":99}')

    found, damages = everything(source)

    assert len(found) == 100
    assert ["is not the file that was kept" in one.why for one in damages] == [True]
    assert [problem for _, problem in archive.check(source)] == ["other records than were kept"]


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    source = ArchiveSource(archived(MemorySource({(TOPIC, 0): records(100)}), tmp_path / "kept"))
    the_file(source.folder).unlink()

    assert [(one.first, one.last) for one in everything(source)[1]] == [(0, 108)]


# --- interrupted, refused ------------------------------------------------------------------------------------------


class _StopsSoon:
    """Says to stop after it was asked some times."""

    def __init__(self, after: int) -> None:
        self._left = after

    def set(self) -> None: ...

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_an_interrupted_archive_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "SEGMENT_RECORDS", 1_000)
    monkeypatch.setattr(archive, "BLOCK_RECORDS", 400)
    source = MemorySource({(TOPIC, 0): records(5_000)})
    folder = tmp_path / "kept"
    made = archive.begin(folder, Format.PARQUET, source, ["things"])
    heard: list[Kept] = []
    [task] = archive.tasks(made, folder, source)
    archive.keep(task, WorkerHandle(heard.append, _StopsSoon(7)))
    early = [one.segment for one in heard if one.segment is not None]
    manifest.save(folder, made.model_copy(update={"segments": tuple(early)}))
    (folder / "t.things" / "0" / "left-behind.parquet.part").write_bytes(b"half a file")

    with pytest.raises(ReplayError, match="was not finished"):
        ArchiveSource(folder).partitions(TOPIC)
    again = ArchiveSource(archived(source, folder))

    assert 0 < sum(one.records for one in early) < 5_000
    assert set(early) < set(again.manifest.segments)
    assert everything(again) == (source.records[TOPIC, 0], [])


def test_nothing_is_written_over(tmp_path: Path) -> None:
    source = MemorySource({(TOPIC, 0): records(10)})
    complete = archived(source, tmp_path / "kept")
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("mine")
    archive.begin(tmp_path / "begun", Format.PARQUET, source, ["things"])

    with pytest.raises(ReplayError, match="complete archive"):
        archive.begin(complete, Format.PARQUET, source, ["things"])
    with pytest.raises(ReplayError, match="is no archive"):
        archive.begin(other, Format.PARQUET, source, ["things"])
    with pytest.raises(ReplayError, match="other topics, partitions or format"):
        archive.begin(tmp_path / "begun", Format.JSONL, source, ["things"])
    assert everything(ArchiveSource(complete))[0] == source.records[TOPIC, 0]


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"version": 1}')

    with pytest.raises(ReplayError, match="no archive there"):
        ArchiveSource(tmp_path / "nowhere").partitions(TOPIC)
    with pytest.raises(ReplayError, match="is no manifest"):
        ArchiveSource(tmp_path).partitions(TOPIC)
