"""What the tests of verify share: a log verified, and what is found."""

import json
from pathlib import Path
from typing import Any

from events.topics import DECISIONS
from tests.support.event_logs import MemorySource
from workers.configuration.settings import read
from workers.decide.writers import WRITERS
from workers.event_log.source import Source
from workers.kafka.records import Record
from workers.replay import runs, verify
from workers.replay.partition_replay import Plan
from workers.replay.runs import Done
from workers.replay.verify_report import Report, report_of


def replayed(source: Source, folder: Path, processes: int = 1, **flags: Any) -> Done:
    earlier = flags.pop("earlier", ())
    writers = flags.pop("writers", WRITERS)
    found = read(**{"topic_prefix": "t.", **flags})
    plan = Plan(source, found, earlier, folder, request_ids=True, writers=writers)
    return runs.over(plan, verify.verify, processes)


def report(source: Source, folder: Path, **flags: Any) -> Report:
    return report_of(replayed(source, folder, **flags))


def findings(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.findings()]


def decisions(source: MemorySource, partition: int = 0) -> list[Record]:
    return list(source.records[source.topic(DECISIONS), partition])


def found_in(source: Source, folder: Path, **flags: Any) -> tuple[dict[str, int], list[dict[str, Any]]]:
    done = replayed(source, folder, **flags)
    return {kind: count for kind, count in report_of(done).found.items() if count}, findings(done)
