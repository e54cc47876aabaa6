"""Makes an archive, and signs one that was made without a key."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from workers.archive import archive_signature as signing
from workers.archive import archive_source as archive
from workers.archive import manifest
from workers.archive.archive_source import ArchiveSource, Kept
from workers.configuration.settings import Settings
from workers.event_log.asked import Asked
from workers.event_log.process_pool import run
from workers.event_log.progress import SILENT, Counter, Reporter
from workers.event_log.ranges import on_kafka
from workers.event_log.source import Damage, Format, ReplayError


@dataclass(frozen=True)
class Made:
    """What was kept."""

    manifest: manifest.Manifest
    finished: bool
    """Whether the run was not interrupted."""
    damaged: bool
    """Whether some records could not be read, and are not kept."""

    @property
    def whole(self) -> bool:
        """Whether everything is kept."""
        return self.finished and not self.damaged


def make(
    folder: Path,
    form: Format,
    topics: Sequence[str],
    asked: Asked,
    found: Settings,
    processes: int,
    needed: Sequence[str] = (),
    previous: str | None = None,
    reporter: Reporter = SILENT,
) -> Made:
    """Keep a range of topics in a folder, as far as it is not interrupted; returns what is kept.

    Args:
        folder: Where.
        form: How records are written.
        topics: The declared topics' names.
        asked: The range.
        found: The settings of Kafka.
        processes: The maximum number of processes.
        needed: Topics that must exist; others are skipped, with a message, if missing.
        previous: The digest of the previous archive's manifest.
        reporter: Takes the progress, and sentences on what is kept and what is not.

    Raises:
        ReplayError: The folder is not writable here, Kafka cannot be read, or the range does not exist.
    """
    key = signing.private_key(found)
    source = on_kafka(found.bootstrap, found.topic_prefix, topics, asked, needed)
    absent = [source.topic(name) for name in topics if not source.partitions(source.topic(name))]
    if absent:
        reporter.note(f"not kept, because not there: {', '.join(absent)}")
    made = archive.begin(folder, form, source, topics)
    source = source.ending({f"{partition.topic}/{partition.partition}": partition.end for partition in made.partitions})
    left = archive.tasks(made, folder, source)
    with reporter.counting("kept", sum(task.range.end - task.start for task in left)) as counter:
        keeper = _Keeper(folder, made, counter)
        finished = run(left, archive.keep, keeper.hear, processes)
    if finished:
        keeper.finish(key, previous)
    _report(folder, keeper, reporter.note, finished=finished)
    return Made(keeper.manifest, finished, bool(keeper.damages))


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


def _report(folder: Path, keeper: _Keeper, note: Callable[[str], None], *, finished: bool) -> None:
    made = keeper.manifest
    records = sum(segment.records for segment in made.segments)
    for damage in keeper.damages:
        note(f"not kept: {damage}")
    if not finished:
        note(f"interrupted: {records:,} records are kept in {folder}; the same command goes on")
        return
    size = sum(segment.bytes for segment in made.segments)
    note(f"{records:,} records in {len(made.segments):,} files, {size:,} bytes: {folder}")
    if keeper.standing.key is not None:
        note(f"signed with the key {keeper.standing.key[: signing.SHOWN]}")


def to_sign(folder: Path, found: Settings) -> tuple[ArchiveSource, Ed25519PrivateKey]:
    """An archive that was made without a key, and the key to sign it with.

    Raises:
        ReplayError: There is no archive or no key, or it is signed already.
    """
    key = signing.private_key(found)
    if key is None:
        raise ReplayError("with which key? --key FILE, or DLI_ARCHIVE_KEY")
    source = ArchiveSource(folder)
    if source.standing.key is not None:
        raise ReplayError(f"{folder}: {source.standing}; it is not signed over")
    return source, key


def sign(folder: Path, key: Ed25519PrivateKey) -> str:
    """Sign an archive as it is; return the beginning of the key's id."""
    made = signing.sign(folder, manifest.written(folder) or b"", key)
    return (made.key or "")[: signing.SHOWN]
