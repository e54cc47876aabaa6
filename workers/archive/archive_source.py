"""An archive: a folder with exact copies of topic ranges, with counts and digests.

    manifest.json                                   the list of files
    <topic>/<partition>/<first offset>.parquet      or .jsonl, .jsonl.zst

Each file is verified after writing before it enters the manifest. So an interruption leaves complete files and at most
a few unfinished ones, and the same command resumes after them.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import BufferedReader
from pathlib import Path

from workers.archive import archive_signature as signing
from workers.archive import formats, manifest, plain_files
from workers.archive.archive_signature import SignatureStatus
from workers.archive.blocks import BLOCK_RAW, BLOCK_RECORDS, Block, Digest, LogPartition, raw_size
from workers.archive.manifest import KeptPartition, Manifest, Segment
from workers.event_log.asked import numbers
from workers.event_log.process_pool import WorkerHandle
from workers.event_log.source import Chunk, Damage, Extent, Format, Piece, ReplayError, Source
from workers.kafka.records import Record
from workers.process import private_files

SEGMENT_RECORDS = 100_000
SEGMENT_BYTES = 512_000_000
"""Of keys and values, before compression: a file ends with the block that exceeds either limit."""
UNFINISHED = ".part"


# --- writing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Keep:
    """The task of archiving one partition."""

    source: Source
    folder: Path
    form: Format
    range: KeptPartition
    start: int
    """The first offset not yet archived."""


@dataclass(frozen=True)
class Kept:
    """Progress of a task: records were written, or a file is finished."""

    records: int = 0
    segment: Segment | None = None
    damage: Damage | None = None


def begin(folder: Path, form: Format, source: Source, topics: Sequence[str]) -> Manifest:
    """The manifest of a new archive, or of an unfinished one.

    Raises:
        ReplayError: The folder has other content, an archive of other ranges, or there is nothing to archive.
    """
    ranges = tuple(
        KeptPartition(
            topic=topic, partition=number, first=extent.first, end=extent.end, whole=extent.whole, to_end=extent.to_end
        )
        for topic in (source.topic(name) for name in topics)
        for number in source.partitions(topic)
        for extent in [source.extent(topic, number)]
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


def _asked(manifest: Manifest) -> tuple[object, ...]:
    # Not the ends, which have moved since: those of the first attempt count.
    return manifest.format, manifest.prefix, [(kept.topic, kept.partition, kept.first) for kept in manifest.partitions]


def tasks(made: Manifest, folder: Path, source: Source) -> list[Keep]:
    """The remaining tasks, the longest first."""
    left = []
    for partition in made.partitions:
        segments = made.of(partition.topic, partition.partition)
        start = segments[-1].last + 1 if segments else partition.first
        if start < partition.end:
            left.append(Keep(source, folder, made.format, partition, start))
    return sorted(left, key=lambda keep: keep.start - keep.range.end)


def keep(task: Keep, handle: WorkerHandle[Kept]) -> None:
    """Archive one partition, file by file.

    Raises:
        ReplayError: It cannot be read or written, or a written file differs.
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
    """The partition's records in block-sized chunks."""
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
            self._part.unlink(missing_ok=True)  # left by an interrupted run
            self._writer = formats.writer(self._task.form, self._part)
        self.blocks.append(self._writer.add(chunk))
        self._digest.add(chunk)
        self._size += sum(len(record.key or b"") + len(record.value or b"") for record in chunk.records)

    @property
    def _part(self) -> Path:
        return self._file.with_name(self._file.name + UNFINISHED)

    def finish(self) -> Segment:
        """Close the file and verify it.

        Raises:
            ReplayError: It differs from what was written.
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
    """How a file's bytes differ from its segment; None if they do not."""
    size = stream.seek(0, os.SEEK_END)
    if size != segment.bytes:
        return f"it has {size:,} bytes, and was kept with {segment.bytes:,}"
    stream.seek(0)
    same = hashlib.file_digest(stream, "sha256").hexdigest() == segment.sha256
    return None if same else "its digest is not the one that was kept"


def content_problem(segment: Segment, stream: BufferedReader, form: Format) -> str | None:
    """How a file's records differ from its segment; None if they do not."""
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
    """An archive as a replayable log."""

    folder: Path
    only: tuple[int, ...] = field(default=())
    """Only these partitions of requests and answers; empty means all."""
    keys_in: Path | None = None
    """A folder of public keys, one of which must have signed it; None accepts any archive."""

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
        """Its manifest.

        Raises:
            SignatureError: Keys are known, and none of them signed it.
            ReplayError: It is missing, or the archive is unfinished.
        """
        return self._read[0]

    @property
    def standing(self) -> SignatureStatus:
        """Its signature status.

        Raises:
            ReplayError: As for its manifest.
        """
        return self._read[1]

    @property
    def digest(self) -> str:
        """The digest of its manifest file.

        Raises:
            ReplayError: As for its manifest.
        """
        return self._read[2]

    @property
    def identity(self) -> str:
        """Identifies the archive's files."""
        named = sorted((segment.file, segment.sha256) for segment in self.manifest.segments)
        return hashlib.sha256(repr((named, self.only)).encode()).hexdigest()

    def ends(self) -> Mapping[str, int]:
        """Empty: an archive does not grow."""
        return {}

    def ending(self, ends: Mapping[str, int]) -> "ArchiveSource":  # noqa: ARG002 (as above)
        """The same archive."""
        return self

    def topic(self, name: str) -> str:
        """The full name of a declared topic in this archive."""
        return self.manifest.prefix + name

    def partitions(self, topic: str) -> Sequence[int]:
        """The archived partitions of a topic."""
        return [number for number in self.manifest.numbers(topic) if not self.only or number in self.only]

    def extent(self, topic: str, partition: int) -> Extent:
        """The archived range of a partition."""
        kept = self.manifest.range(topic, partition)
        if kept is None:
            return Extent(0, 0, whole=True, to_end=True, records=0)
        records = sum(segment.records for segment in self.manifest.of(topic, partition))
        return Extent(kept.first, kept.end, kept.whole, kept.to_end, records)

    def read(self, topic: str, partition: int, start: int) -> Iterator[Piece]:
        """Records from an offset; a damaged file is reported, and read as far as possible."""
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
        """The readable keys of a partition."""
        for segment in self.manifest.of(topic, partition):
            place = LogPartition(topic, partition)
            try:
                with plain_files.opened(self.folder, segment.file) as stream:
                    yield from formats.read_keys(self.manifest.format, stream, place, segment.blocks)
            except OSError:
                continue  # reported when the records are read


def _why(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "is not there"
    return str(error.strerror) if isinstance(error, plain_files.NotPlainError) else f"cannot be read: {error.strerror}"


def _from(chunk: Chunk | None, start: int) -> Chunk | None:
    if chunk is None or chunk.records[0].offset >= start:
        return chunk
    at = next((index for index, record in enumerate(chunk.records) if record.offset >= start), len(chunk.records))
    return Chunk(chunk.records[at:], chunk.types[at:]) if at < len(chunk.records) else None


def holds(source: ArchiveSource, topic: str, partitions: Sequence[int]) -> None:
    """Check that an archive has the requested topic and partitions.

    Raises:
        ReplayError: It lacks the topic, or a partition.
    """
    kept = source.manifest.numbers(topic)
    if not kept:
        there = ", ".join(sorted({partition.topic for partition in source.manifest.partitions})) or "none"
        raise ReplayError(f"{source.folder}: has no topic {topic}; it has {there}")
    strange = sorted(set(partitions) - set(kept))
    if strange:
        raise ReplayError(f"{source.folder}: {topic} has no partition {strange[0]}; it has {numbers(kept)}")


def check(source: ArchiveSource) -> Iterator[tuple[Segment, str | None]]:
    """Every file of an archive, with its difference from the manifest, if any."""
    for segment in source.manifest.segments:
        try:
            with plain_files.opened(source.folder, segment.file) as stream:
                problem = file_problem(segment, stream)
                yield segment, content_problem(segment, stream, source.manifest.format) or problem
        except OSError as error:
            yield segment, _why(error)
