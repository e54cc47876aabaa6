"""A folder of archives, each going on where the last one ended: what a job makes day by day.

    2026-11-25T02-00-04Z/    an archive, named by when it was begun
    2026-11-26T02-00-03Z/

The newest complete archive says where the next one begins. Where it ended is committed to Kafka, too, as offsets of a
group that nobody joins, with the time until which all is kept: so the exporter can tell when nobody archives any more.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import typer

from workers import private_files
from workers.archive import make, manifest
from workers.archive.archive import ArchiveSource
from workers.archive.manifest import Manifest
from workers.console import Exit, err
from workers.event_log.kafka_log import committed
from workers.event_log.ranges import Asked, on_kafka
from workers.event_log.source import Damage, Format, ReplayError
from workers.settings import Settings

NAMED = "%Y-%m-%dT%H-%M-%SZ"


def make_next(
    folder: Path,
    form: Format,
    topics: Sequence[str],
    found: Settings,
    processes: int,
    now: datetime | None = None,
    needed: Sequence[str] = (),
) -> Path:
    """Keep, in a new archive of a folder of archives, all that is in none of them; returns where.

    Args:
        folder: The folder of archives.
        form: How records are written.
        topics: The declared topics' names.
        found: Where Kafka is, and our own group.
        processes: How many may work.
        now: When; by the clock otherwise.
        needed: Topics that must be there.

    Raises:
        ReplayError: Another one is at it, the topics are not those that were kept before, or Kafka cannot be read.
        typer.Exit: Interrupted; or kept, but for records that Kafka had forgotten or that cannot be read.
    """
    begun = now or datetime.now(UTC)
    with _alone(folder):
        last, unfinished = newest(folder, found.archive_keys)
        asked = Asked(behind=ends(last.manifest) if last is not None else {})
        before = last.digest if last is not None else None
        gaps = list(missing(asked, topics, found))
        for gap in gaps:
            err.print(f"in no archive: {gap}", markup=False)
        archive = unfinished or folder / begun.strftime(NAMED)
        try:
            made = make.make(archive, form, topics, asked, found, processes, needed, before)
        except ReplayError as error:
            if archive != unfinished:
                raise
            # It covers nothing that the next one does not: both begin where the last complete one ended.
            err.print(f"left as it is: {error}", markup=False)
            archive = folder / begun.strftime(NAMED)
            made = make.make(archive, form, topics, asked, found, processes, needed, before)
        # What an interrupted one left open ends where it ended when that was begun.
        committed(found, ends(made), datetime.strptime(archive.name, NAMED).replace(tzinfo=UTC))
    if gaps:
        raise typer.Exit(Exit.DIFFERENT)
    return archive


def newest(folder: Path, keys: Path | None = None) -> tuple[ArchiveSource | None, Path | None]:
    """The newest complete archive, and the folder of an unfinished one begun behind it.

    Raises:
        ReplayError: A manifest cannot be read, or keys are known and none of them vouches for the newest archive.
    """
    unfinished = None
    for archive in sorted((one for one in folder.iterdir() if _is_named(one.name)), reverse=True):
        found = manifest.load(archive)
        if found is not None and found.complete:
            # It says where to begin: a forged one would leave a gap.
            source = ArchiveSource(archive, keys_in=keys)
            _ = source.manifest
            return source, unfinished
        if found is not None and unfinished is None:
            unfinished = archive
    return None, unfinished


def _is_named(name: str) -> bool:
    try:
        datetime.strptime(name, NAMED).replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def ends(made: Manifest) -> Mapping[tuple[str, int], int]:
    """The offset behind the last one that is kept, by topic's full name and partition."""
    return {(one.topic, one.partition): one.end for one in made.partitions}


def missing(asked: Asked, topics: Sequence[str], found: Settings) -> Iterator[Damage]:
    """What Kafka has forgotten since the last archive.

    Raises:
        ReplayError: A topic ends before the last archive did: it is another one of that name.
    """
    source = on_kafka(found.bootstrap, found.topic_prefix, topics, Asked())
    for (topic, partition), end in asked.behind.items():
        if partition not in source.partitions(topic):
            continue
        kept = source.extent(topic, partition)
        if kept.end < end:
            raise ReplayError(
                f"{topic}/{partition} ends at offset {kept.end}, and the last archive at {end}: it was made anew, or "
                "cut; keep its records in a new folder"
            )
        if kept.first > end:
            yield Damage(topic, partition, end, kept.first - 1, "Kafka no longer keeps them; archive more often")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Be the only one that makes archives in a folder.

    Raises:
        ReplayError: Another one is at it, or the folder cannot be used.
    """
    try:
        private_files.folder(folder)
        held = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise ReplayError(f"{folder}: {error.strerror}") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise ReplayError(f"{folder}: another `dli archive` is at work there; wait for it") from None
    try:
        yield
    finally:
        os.close(held)
