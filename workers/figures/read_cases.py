"""Reads all cases, from the brokers or from a file, and keeps what the figures need."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from events.case import case_of
from events.field_types import instant_of
from events.topics import CASES
from workers.configuration.settings import Settings
from workers.console.errors import DliError
from workers.event_log import json_files
from workers.figures.chains import CaseSummary, summary
from workers.kafka import reader


class UnreadableCaseError(DliError):
    """A line or record that should be a case is none; the message says where, without its content."""

    is_refusal = True


class Extent(NamedTuple):
    """Up to where cases were read."""

    source: str
    """The topic, or `file`."""
    offsets: Mapping[str, int]
    """For each partition, the offset after the last record; none for a file."""
    newest: str | None
    """When the newest record was written, RFC 3339; None for a file, and if there is none."""

    @property
    def says(self) -> str:
        """The same in words."""
        if not self.offsets:
            return f"a {self.source} of cases"
        upto = ", ".join(f"{partition}: {offset:,}" for partition, offset in self.offsets.items())
        written = f"; the newest record is of {self.newest}" if self.newest else ""
        return f"{self.source}, up to these offsets by partition: {upto}{written}"


class CasesRead(NamedTuple):
    """The newest summary of every case, and up to where they were read."""

    cases: dict[str, CaseSummary]
    extent: Extent


def of_file(file: Path) -> CasesRead:
    """The cases of a file, a JSON object each; of several with one request id, the last.

    Raises:
        UnreadableCaseError: One is no case.
        InputError: The file cannot be read.
    """
    cases = {}
    with json_files.events(file) as found:
        for event in found:
            case = _read(event.raw, f"{file}: {event.where}")
            cases[case.request_id] = case
    return CasesRead(cases, Extent("file", {}, None))


def of_brokers(settings: Settings) -> CasesRead:
    """The cases on their topic, up to its stable end: for each key the newest record, unless it is a tombstone.

    Raises:
        UnreadableCaseError: A record is no case.
        ReadingError: The brokers do not respond.
        AccessRefusedError: The cluster refuses us.
    """
    topic = settings.topic(CASES)
    spans = reader.kept(settings, [topic])
    newest: dict[bytes, tuple[int, CaseSummary | None]] = {}
    latest = None
    for record in reader.records(settings, spans):
        latest = max(latest or 0, record.timestamp)
        key = record.key or b""
        # A platform may have published a request in two partitions; the newest record counts.
        if key in newest and newest[key][0] > record.timestamp:
            continue
        where = f"{topic}, partition {record.partition}, offset {record.offset}"
        newest[key] = record.timestamp, None if record.value is None else _read(record.value, where)
    cases = {case.request_id: case for _, case in newest.values() if case is not None}
    offsets = {str(partition.partition): span.end for partition, span in sorted(spans.items())}
    return CasesRead(cases, Extent(topic, offsets, instant_of(latest) if latest is not None else None))


def _read(raw: bytes, where: str) -> CaseSummary:
    try:
        return summary(case_of(raw))
    except ValueError:
        raise UnreadableCaseError(
            f"{where} is no case; the figures would be wrong without it, so that none are given"
        ) from None
