"""A folder of consecutive archives, such as a daily job makes.

    2026-11-25T02-00-04Z/    an archive, named by when it was begun
    2026-11-26T02-00-03Z/

The newest complete archive determines where the next one begins. Its end is also committed to Kafka, as offsets of a
group without members, with the time up to which everything is archived, so that the exporter can detect when archiving
stops.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from workers.archive import make_archive as make
from workers.archive import manifest
from workers.archive.archive_source import ArchiveSource
from workers.archive.manifest import Manifest
from workers.configuration.settings import Settings
from workers.event_log.asked import Asked
from workers.event_log.kafka_log import committed
from workers.event_log.progress import SILENT, Reporter
from workers.event_log.ranges import on_kafka
from workers.event_log.source import Damage, Format, ReplayError
from workers.process import private_files

NAMED = "%Y-%m-%dT%H-%M-%SZ"


class Next(NamedTuple):
    """The next archive of a folder of archives."""

    folder: Path
    finished: bool
    """Whether the run was not interrupted."""
    whole: bool
    """Whether it has every record since the last archive."""


def make_next(
    folder: Path,
    form: Format,
    topics: Sequence[str],
    found: Settings,
    processes: int,
    now: datetime | None = None,
    needed: Sequence[str] = (),
    reporter: Reporter = SILENT,
) -> Next:
    """Make the next archive in a folder of archives.

    Args:
        folder: The folder of archives.
        form: The file format.
        topics: The declared topics' names.
        found: The settings of Kafka and our group.
        processes: The maximum number of processes.
        now: The current time; by default the clock's.
        needed: Topics that must exist.
        reporter: Takes the progress, and sentences on what is kept and what is not.

    Raises:
        ReplayError: Another process is archiving, the topics differ from earlier archives, or Kafka cannot be read.
    """
    begun = now or datetime.now(UTC)
    with _alone(folder):
        last, unfinished = newest(folder, found.archive_keys)
        asked = Asked(behind=ends(last.manifest) if last is not None else {})
        before = last.digest if last is not None else None
        gaps = list(missing(asked, topics, found))
        for gap in gaps:
            reporter.note(f"in no archive: {gap}")
        archive = unfinished or folder / begun.strftime(NAMED)
        try:
            made = make.make(archive, form, topics, asked, found, processes, needed, before, reporter)
        except ReplayError as error:
            if archive != unfinished:
                raise
            # The next one covers the same: both begin where the last complete one ended.
            reporter.note(f"left as it is: {error}")
            archive = folder / begun.strftime(NAMED)
            made = make.make(archive, form, topics, asked, found, processes, needed, before, reporter)
        if made.whole:
            # A resumed archive ends where the topics ended when it was begun.
            committed(found, ends(made.manifest), datetime.strptime(archive.name, NAMED).replace(tzinfo=UTC))
    return Next(archive, made.finished, made.whole and not gaps)


def newest(folder: Path, keys: Path | None = None) -> tuple[ArchiveSource | None, Path | None]:
    """The newest complete archive, and the folder of a later unfinished one, if any.

    Raises:
        ReplayError: A manifest cannot be read, or no known key signed the newest archive.
    """
    unfinished = None
    for archive in sorted((entry for entry in folder.iterdir() if _is_named(entry.name)), reverse=True):
        found = manifest.load(archive)
        if found is not None and found.complete:
            # It determines the start: a forged one would leave a gap.
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
    """The offset after the last archived one, by full topic name and partition."""
    return {(partition.topic, partition.partition): partition.end for partition in made.partitions}


def missing(asked: Asked, topics: Sequence[str], found: Settings) -> Iterator[Damage]:
    """The records that Kafka has removed since the last archive.

    Raises:
        ReplayError: A topic ends before the last archive did: it was recreated.
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
    """Lock a folder of archives.

    Raises:
        ReplayError: Another process is archiving there, or the folder is unusable.
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
