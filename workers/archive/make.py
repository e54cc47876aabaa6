"""Making an archive and holding it against itself, as a person asks for it."""

from collections.abc import Sequence
from pathlib import Path

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from workers.archive import archive, manifest, signing
from workers.archive.archive import ArchiveSource, Kept
from workers.console import Exit, err, out
from workers.event_log.process_pool import run
from workers.event_log.progress import Counter, counting
from workers.event_log.ranges import Asked, numbers, on_kafka
from workers.event_log.source import Damage, Format, ReplayError
from workers.settings import Settings


def make(
    folder: Path,
    form: Format,
    topics: Sequence[str],
    asked: Asked,
    found: Settings,
    processes: int,
    needed: Sequence[str] = (),
    previous: str | None = None,
) -> manifest.Manifest:
    """Keep a range of topics in a folder; returns what is kept.

    Args:
        folder: Where.
        form: How records are written.
        topics: The declared topics' names.
        asked: The range.
        found: Where Kafka is.
        processes: How many may work.
        needed: Topics that must be there; of the others those that are not are named, and left out.
        previous: The digest of the manifest of the archive that this one goes on from.

    Raises:
        ReplayError: The folder must not be written, Kafka cannot be read, or what is asked for is not there.
        typer.Exit: Interrupted, or some records cannot be read.
    """
    key = signing.private_key(found)
    source = on_kafka(found.bootstrap, found.topic_prefix, topics, asked, needed)
    absent = [source.topic(name) for name in topics if not source.partitions(source.topic(name))]
    if absent:
        err.print(f"not kept, because not there: {', '.join(absent)}", markup=False)
    made = archive.begin(folder, form, source, topics)
    source = source.ending({f"{one.topic}/{one.partition}": one.end for one in made.partitions})
    left = archive.tasks(made, folder, source)
    with counting("kept", sum(one.range.end - one.start for one in left)) as counter:
        keeper = _Keeper(folder, made, counter)
        finished = run(left, archive.keep, keeper.hear, processes)
    if finished:
        keeper.finish(key, previous)
    _tell(folder, keeper, finished=finished)
    return keeper.manifest


class _Keeper:
    """Enters finished files into the manifest."""

    def __init__(self, folder: Path, made: manifest.Manifest, counter: Counter) -> None:
        self._folder = folder
        self._counter = counter
        self.manifest = made
        self.damages: list[Damage] = []
        self.standing = signing.SignatureStatus()

    def hear(self, news: Kept) -> None:
        self._counter.add(news.records)
        if news.damage is not None:
            self.damages.append(news.damage)
        if news.segment is not None:
            segments = (*self.manifest.segments, news.segment)
            self.manifest = self.manifest.model_copy(update={"segments": segments})
            manifest.save(self._folder, self.manifest)

    def finish(self, key: Ed25519PrivateKey | None, previous: str | None) -> None:
        """The archive is complete."""
        whole = self.manifest.model_copy(update={"complete": True})
        if key is not None:
            # Before the manifest says so: interrupted in between, it is finished and signed again.
            self.standing = signing.sign(self._folder, manifest.text(whole), key, previous)
        manifest.save(self._folder, whole)
        self.manifest = whole


def _tell(folder: Path, keeper: _Keeper, *, finished: bool) -> None:
    made = keeper.manifest
    records = sum(one.records for one in made.segments)
    for damage in keeper.damages:
        err.print(f"not kept: {damage}", markup=False)
    if not finished:
        err.print(f"interrupted: {records:,} records are kept in {folder}; the same command goes on", markup=False)
        raise typer.Exit(Exit.INTERRUPTED)
    size = sum(one.bytes for one in made.segments)
    err.print(f"{records:,} records in {len(made.segments):,} files, {size:,} bytes: {folder}", markup=False)
    if keeper.standing.key is not None:
        err.print(f"signed with the key {keeper.standing.key[: signing.SHOWN]}", markup=False)
    if keeper.damages:
        raise typer.Exit(Exit.DIFFERENT)


def holds(source: ArchiveSource, topic: str, partitions: Sequence[int]) -> None:
    """Make sure that an archive has what is asked for.

    Raises:
        ReplayError: It lacks the topic, or a partition.
    """
    kept = source.manifest.numbers(topic)
    if not kept:
        there = ", ".join(sorted({one.topic for one in source.manifest.partitions})) or "none"
        raise ReplayError(f"{source.folder}: has no topic {topic}; it has {there}")
    strange = sorted(set(partitions) - set(kept))
    if strange:
        raise ReplayError(f"{source.folder}: {topic} has no partition {strange[0]}; it has {numbers(kept)}")


def check(folder: Path, found: Settings) -> None:
    """Hold every file of an archive against its counts and digests, and these against a signature.

    Raises:
        ReplayError: There is no archive.
        typer.Exit: A file differs, or nobody who is known vouches for it.
    """
    source = ArchiveSource(folder, keys_in=found.archive_keys)
    try:
        err.print(f"{folder}: {source.standing}", markup=False)
    except signing.SignatureError as error:
        out.print(str(error), markup=False)
        raise typer.Exit(Exit.DIFFERENT) from None
    if _differ(source):
        raise typer.Exit(Exit.DIFFERENT)


def _differ(source: ArchiveSource) -> int:
    """How many files are not as they were kept, each told."""
    wrong = total = 0
    for segment, problem in archive.check(source):
        total += segment.records
        if problem is not None:
            wrong += 1
            out.print(f"{segment.file}: damaged or altered: {problem}", markup=False)
    err.print(f"{total:,} records; {wrong} files differ from what was kept")
    if wrong:
        err.print("put a sound copy of each in its place, or archive its range again while Kafka has it")
    return wrong


def sign(folder: Path, found: Settings) -> None:
    """Sign an archive that was made without a key, once every file of it is as it was kept.

    Raises:
        ReplayError: There is no archive, or no key.
        typer.Exit: A file differs.
    """
    key = signing.private_key(found)
    if key is None:
        raise ReplayError("with which key? --key FILE, or DLI_ARCHIVE_KEY")
    source = ArchiveSource(folder)
    if source.standing.key is not None:
        raise ReplayError(f"{folder}: {source.standing}; it is not signed over")
    if _differ(source):
        raise typer.Exit(Exit.DIFFERENT)
    made = signing.sign(folder, manifest.written(folder) or b"", key)
    err.print(f"{folder}: signed with the key {(made.key or '')[: signing.SHOWN]}", markup=False)
