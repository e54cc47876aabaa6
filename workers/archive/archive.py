"""An archive: a folder with ranges of topics, kept exactly, with counts and digests.

    manifest.json                                   what is kept, file by file
    <topic>/<partition>/<first offset>.parquet      or .jsonl, .jsonl.zst

Each file is read again once it is written, and enters the manifest when what was read is what was kept. So an
interruption leaves whole files and at most some unfinished ones, and the same command goes on behind them.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import BufferedReader
from pathlib import Path

from workers import private_files
from workers.archive import formats, manifest, plain_files, signing
from workers.archive.blocks import BLOCK_RAW, BLOCK_RECORDS, Block, Digest, LogPartition, raw_size
from workers.archive.manifest import KeptPartition, Manifest, Segment
from workers.archive.signing import SignatureStatus
from workers.event_log.process_pool import WorkerHandle
from workers.event_log.source import Chunk, Damage, Extent, Format, Piece, ReplayError, Source
from workers.records import Record

SEGMENT_RECORDS = 100_000
SEGMENT_BYTES = 512_000_000
"""Of keys and values, before compression: a file ends with the block that exceeds either."""
UNFINISHED = ".part"


# --- writing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Keep:
    """The task of keeping one partition."""

    source: Source
    folder: Path
    form: Format
    range: KeptPartition
    start: int
    """Where what is kept already ends."""


@dataclass(frozen=True)
class Kept:
    """News from a task: some records were written, or a file is finished."""

    records: int = 0
    segment: Segment | None = None
    damage: Damage | None = None


def begin(folder: Path, form: Format, source: Source, topics: Sequence[str]) -> Manifest:
    """The manifest of an archive that is to be made, or of one that was left unfinished.

    Raises:
        ReplayError: There is something that must not be written over, an archive of other ranges, or nothing to keep.
    """
    ranges = tuple(
        KeptPartition(topic=topic, partition=number, first=one.first, end=one.end, whole=one.whole, to_end=one.to_end)
        for topic in (source.topic(name) for name in topics)
        for number in source.partitions(topic)
        for one in [source.extent(topic, number)]
    )
    if not ranges:
        raise ReplayError(f"nothing to keep: no partition is there of {', '.join(map(source.topic, topics))}")
    made = Manifest(format=form, prefix=source.topic(""), partitions=ranges)
    there = manifest.load(folder)
    if there is None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ReplayError(f"{folder}: is there already and is no archive; name a new folder")
        private_files.folder(folder)
        manifest.save(folder, made)
        return made
    if there.complete:
        raise ReplayError(f"{folder}: is a complete archive, and is not written over; name a new folder")
    if _asked(there) != _asked(made):
        raise ReplayError(
            f"{folder}: is an unfinished archive of other topics, partitions or format; name a new folder"
        )
    return there


def _asked(one: Manifest) -> tuple[object, ...]:
    # Ends have moved since: those of the first attempt count.
    return one.format, one.prefix, [(kept.topic, kept.partition, kept.first) for kept in one.partitions]


def tasks(made: Manifest, folder: Path, source: Source) -> list[Keep]:
    """What is left to do, the longest first."""
    left = []
    for one in made.partitions:
        segments = made.of(one.topic, one.partition)
        start = segments[-1].last + 1 if segments else one.first
        if start < one.end:
            left.append(Keep(source, folder, made.format, one, start))
    return sorted(left, key=lambda keep: keep.start - keep.range.end)


def keep(task: Keep, handle: WorkerHandle[Kept]) -> None:
    """Keep one partition, file by file.

    Raises:
        ReplayError: It cannot be read or written, or was not written as it was read.
    """
    try:
        segment = _Unfinished(task)
        for chunk in _blocks(task, handle):
            segment.add(chunk)
            handle.send(Kept(records=len(chunk.records)))
            if segment.full:
                handle.send(Kept(segment=segment.finish()))
                segment = _Unfinished(task)
            if handle.stopping:
                break
        if segment.blocks:
            handle.send(Kept(segment=segment.finish()))
    except OSError as error:
        raise ReplayError(f"{task.folder}: {error.strerror or type(error).__name__}") from None


def _blocks(task: Keep, handle: WorkerHandle[Kept]) -> Iterator[Chunk]:
    """The partition's records in chunks as large as a block."""
    records: list[Record] = []
    types: list[int] = []
    size = 0
    for piece in task.source.read(task.range.topic, task.range.partition, task.start):
        if piece.damage is not None:
            handle.send(Kept(damage=piece.damage))
        if piece.chunk is None:
            continue
        for record, kind in zip(piece.chunk.records, piece.chunk.types, strict=True):
            size += raw_size(record)
            if records and (len(records) >= BLOCK_RECORDS or size > BLOCK_RAW):
                yield Chunk(records, types)
                records, types, size = [], [], raw_size(record)
            records.append(record)
            types.append(kind)
    if records:
        yield Chunk(records, types)


class _Unfinished:
    """A file that is being written."""

    def __init__(self, task: Keep) -> None:
        self._task = task
        self._writer: formats.Writer | None = None
        self._file = Path()
        self._digest = Digest()
        self._size = 0
        self.blocks: list[Block] = []

    @property
    def full(self) -> bool:
        return self._digest.records >= SEGMENT_RECORDS or self._size >= SEGMENT_BYTES

    def add(self, chunk: Chunk) -> None:
        if self._writer is None:
            where = self._task.range
            name = f"{where.topic}/{where.partition}/{chunk.records[0].offset:020d}.{self._task.form}"
            self._file = self._task.folder / name
            private_files.folder(self._file.parent)
            self._part.unlink(missing_ok=True)  # half a file, of an interrupted run
            self._writer = formats.writer(self._task.form, self._part)
        self.blocks.append(self._writer.add(chunk))
        self._digest.add(chunk)
        self._size += sum(len(one.key or b"") + len(one.value or b"") for one in chunk.records)

    @property
    def _part(self) -> Path:
        return self._file.with_name(self._file.name + UNFINISHED)

    def finish(self) -> Segment:
        """Close the file and read it again.

        Raises:
            ReplayError: It does not say what was written.
        """
        if self._writer is not None:
            self._writer.close()
        where = self._task.range
        segment = Segment(
            topic=where.topic,
            partition=where.partition,
            file=self._file.relative_to(self._task.folder).as_posix(),
            records=self._digest.records,
            first=self.blocks[0].first,
            last=self.blocks[-1].last,
            bytes=self._part.stat().st_size,
            sha256=_sha256_of(self._part),
            content=self._digest.hex(),
            blocks=tuple(self.blocks),
        )
        with self._part.open("rb") as stream:
            problem = content_problem(segment, stream, self._task.form)
        if problem is not None:
            raise ReplayError(f"{self._part}: was not written as it was read: {problem}; is the disk sound?")
        self._part.replace(self._file)
        return segment


def _sha256_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_problem(segment: Segment, stream: BufferedReader) -> str | None:
    """What a file is otherwise than its segment says, whatever is in it; None where it is the file that was kept."""
    size = stream.seek(0, os.SEEK_END)
    if size != segment.bytes:
        return f"it has {size:,} bytes, and was kept with {segment.bytes:,}"
    stream.seek(0)
    same = hashlib.file_digest(stream, "sha256").hexdigest() == segment.sha256
    return None if same else "its digest is not the one that was kept"


def content_problem(segment: Segment, stream: BufferedReader, form: Format) -> str | None:
    """What a file has otherwise than its segment says; None where it is as it was kept."""
    digest = Digest()
    for piece in formats.read(
        form, stream, segment.file, LogPartition(segment.topic, segment.partition), segment.blocks
    ):
        if piece.damage is not None:
            return str(piece.damage)
        if piece.chunk is not None:
            digest.add(piece.chunk)
    if digest.records != segment.records:
        return f"{digest.records} records, and not {segment.records}"
    return None if digest.hex() == segment.content else "other records than were kept"


# --- reading -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ArchiveSource:
    """An archive, read back."""

    folder: Path
    only: tuple[int, ...] = field(default=())
    """Of requests and their answers these partitions only; all where it is empty."""
    keys_in: Path | None = None
    """A folder of public keys, one of which must have signed it; None where anybody's archive is taken."""

    @cached_property
    def _read(self) -> tuple[Manifest, SignatureStatus, str]:
        text = manifest.written(self.folder)
        if text is None:
            raise ReplayError(f"{self.folder}: no archive there")
        found = manifest.parsed(self.folder, text)
        if not found.complete:
            raise ReplayError(f"{self.folder}: was not finished; run the `dli archive` that made it again")
        made_by = signing.standing(self.folder, text, found, self.keys_in)
        return found, made_by, hashlib.sha256(text).hexdigest()

    @property
    def manifest(self) -> Manifest:
        """Its table of contents.

        Raises:
            SignatureError: Keys are known, and none of them vouches for it.
            ReplayError: There is none, or the archive was not finished.
        """
        return self._read[0]

    @property
    def standing(self) -> SignatureStatus:
        """Who made it, as far as that is known.

        Raises:
            ReplayError: As for its manifest.
        """
        return self._read[1]

    @property
    def digest(self) -> str:
        """The digest of its manifest, as it is written.

        Raises:
            ReplayError: As for its manifest.
        """
        return self._read[2]

    @property
    def identity(self) -> str:
        """The same for the same files."""
        named = sorted((one.file, one.sha256) for one in self.manifest.segments)
        return hashlib.sha256(repr((named, self.only)).encode()).hexdigest()

    def ends(self) -> Mapping[str, int]:
        """Nothing grows here."""
        return {}

    def ending(self, ends: Mapping[str, int]) -> "ArchiveSource":  # noqa: ARG002 (as above)
        """The same archive."""
        return self

    def topic(self, name: str) -> str:
        """The full name of a declared topic in this archive."""
        return self.manifest.prefix + name

    def partitions(self, topic: str) -> Sequence[int]:
        """The partitions of a topic that are kept."""
        return [one for one in self.manifest.numbers(topic) if not self.only or one in self.only]

    def extent(self, topic: str, partition: int) -> Extent:
        """What is kept of a partition."""
        kept = self.manifest.range(topic, partition)
        if kept is None:
            return Extent(0, 0, whole=True, to_end=True, records=0)
        records = sum(one.records for one in self.manifest.of(topic, partition))
        return Extent(kept.first, kept.end, kept.whole, kept.to_end, records)

    def read(self, topic: str, partition: int, start: int) -> Iterator[Piece]:
        """Records from an offset on; a file that is not as it was kept is reported, and read as far as it goes."""
        for segment in self.manifest.of(topic, partition):
            if segment.last < start:
                continue
            blocks = [block for block in segment.blocks if block.last >= start]
            for piece in self._segment(segment, blocks):
                yield Piece(_from(piece.chunk, start), piece.damage) if blocks and piece.chunk else piece

    def _segment(self, segment: Segment, blocks: Sequence[Block]) -> Iterator[Piece]:
        place = LogPartition(segment.topic, segment.partition)
        try:
            with plain_files.opened(self.folder, segment.file) as stream:
                problem = file_problem(segment, stream)
                if problem is not None:
                    why = f"{segment.file} is not the file that was kept: {problem}; read as far as it goes"
                    yield Piece(damage=Damage(*place, segment.first, segment.last, why, lost=False))
                yield from formats.read(self.manifest.format, stream, segment.file, place, blocks)
        except OSError as error:
            why = f"{segment.file} {_why(error)}; a sound copy of it has them"
            yield Piece(damage=Damage(*place, segment.first, segment.last, why))

    def keys(self, topic: str, partition: int) -> Iterator[Sequence[bytes | None]]:
        """The keys of all that can be read of a partition."""
        for segment in self.manifest.of(topic, partition):
            place = LogPartition(topic, partition)
            try:
                with plain_files.opened(self.folder, segment.file) as stream:
                    yield from formats.read_keys(self.manifest.format, stream, place, segment.blocks)
            except OSError:
                continue  # told by whoever reads the records


def _why(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "is not there"
    return str(error.strerror) if isinstance(error, plain_files.NotPlainError) else f"cannot be read: {error.strerror}"


def _from(chunk: Chunk | None, start: int) -> Chunk | None:
    if chunk is None or chunk.records[0].offset >= start:
        return chunk
    at = next((index for index, one in enumerate(chunk.records) if one.offset >= start), len(chunk.records))
    return Chunk(chunk.records[at:], chunk.types[at:]) if at < len(chunk.records) else None


def check(source: ArchiveSource) -> Iterator[tuple[Segment, str | None]]:
    """Every file of an archive, with what it has otherwise than the manifest says."""
    for segment in source.manifest.segments:
        try:
            with plain_files.opened(source.folder, segment.file) as stream:
                problem = file_problem(segment, stream)
                yield segment, content_problem(segment, stream, source.manifest.format) or problem
        except OSError as error:
            yield segment, _why(error)
