"""A short what-if: how an unpublished document would change recorded decisions."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from policy_core.document.models import PolicyDocument
from workers.configuration.settings import Settings
from workers.event_log.progress import SILENT, Reporter
from workers.event_log.source import Source
from workers.process import private_files
from workers.replay import runs
from workers.replay.documents import Draft, documents_of
from workers.replay.partition_replay import Plan
from workers.replay.what_if import draft_of, what_if
from workers.replay.what_if_report import Report, examples, report_of


class Effect(NamedTuple):
    """How a document would change recorded decisions."""

    report: Report
    examples: Mapping[tuple[str, str, str], Sequence[str]]
    """Some lines of each changed pair."""
    statistics: str
    """On the run itself."""


def effect_of(
    document: PolicyDocument, source: Source, found: Settings, processes: int, reporter: Reporter = SILENT
) -> Effect:
    """Decide a log again under a document.

    Raises:
        ReplayError: The log cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="dli-effect-") as folder:
        draft = Path(folder) / "document.json"
        private_files.write(draft, document.canonical().decode())
        plan = Plan(source, found, (), Path(folder) / "work", request_ids=False, draft=Draft(file=draft))
        done = runs.over(plan, what_if, processes, reporter)
        policies = documents_of(plan.source, plan.settings, plan.earlier).current()
        report = report_of(done, list(policies.values()), draft_of(plan))
        return Effect(report, examples(done), done.statistics())
