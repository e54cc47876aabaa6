"""Making an archive and holding it against itself, as a person asks for it."""

from collections.abc import Sequence
from pathlib import Path

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from workers.archive import archive, manifest, signing
from workers.archive.archive import ArchiveSource, Kept
from workers.configuration.settings import Settings
from workers.console.exit_codes import Exit
from workers.console.printing import err, out
from workers.event_log.process_pool import run
from workers.event_log.progress import Counter, counting
from workers.event_log.ranges import Asked, numbers, on_kafka
from workers.event_log.source import Damage, Format, ReplayError


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
        found: The settings of Kafka.
        processes: The maximum number of processes.
        needed: Topics that must exist; others are skipped, with a message, if missing.
        previous: The digest of the previous archive's manifest.

    Raises:
        ReplayError: The folder is not writable here, Kafka cannot be read, or the range does not exist. typer.Exit:
        Interrupted, or some records are unreadable.
    """
    key = signing.private_key(found)
    source = on_kafka(found.bootstrap, found.topic_prefix, topics, asked, needed)
    absent = [source.topic(name) for name in topics if not source.partitions(source.topic(name))]
    if absent:
        err.print(f"not kept, because not there: {', '.join(absent)}", markup=False)
    made = archive.begin(folder, form, source, topics)
    source = source.ending({f"{partition.topic}/{partition.partition}": partition.end for partition in made.partitions})
    left = archive.tasks(made, folder, source)
    with counting("kept", sum(task.range.end - task.start for task in left)) as counter:
        keeper = _Keeper(folder, made, counter)
        finished = run(left, archive.keep, keeper.hear, processes)
    if finished:
        keeper.finish(key, previous)
    _report(folder, keeper, finished=finished)
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
        """Mark the archive as complete."""
        whole = self.manifest.model_copy(update={"complete": True})
        if key is not None:
            # Sign first: after an interruption in between, it is finished and signed again.
            self.standing = signing.sign(self._folder, manifest.text(whole), key, previous)
        manifest.save(self._folder, whole)
        self.manifest = whole


def _report(folder: Path, keeper: _Keeper, *, finished: bool) -> None:
    made = keeper.manifest
    records = sum(segment.records for segment in made.segments)
    for damage in keeper.damages:
        err.print(f"not kept: {damage}", markup=False)
    if not finished:
        err.print(f"interrupted: {records:,} records are kept in {folder}; the same command goes on", markup=False)
        raise typer.Exit(Exit.INTERRUPTED)
    size = sum(segment.bytes for segment in made.segments)
    err.print(f"{records:,} records in {len(made.segments):,} files, {size:,} bytes: {folder}", markup=False)
    if keeper.standing.key is not None:
        err.print(f"signed with the key {keeper.standing.key[: signing.SHOWN]}", markup=False)
    if keeper.damages:
        raise typer.Exit(Exit.DIFFERENT)


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


def check(folder: Path, found: Settings) -> None:
    """Check every file of an archive against the manifest, and the manifest against its signature.

    Raises:
        ReplayError: There is no archive. typer.Exit: A file differs, or no known key signed it.
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
    """Report the files that differ from the manifest; return their number."""
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
    """Sign an archive that was made without a key, after checking every file.

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
