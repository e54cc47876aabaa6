"""A short what-if: how an unpublished document would change recorded decisions."""

import tempfile
from pathlib import Path

from policy_core.document.models import PolicyDocument
from workers.configuration.settings import Settings
from workers.console.printing import out
from workers.event_log.source import Source
from workers.process import private_files
from workers.replay import runs
from workers.replay.documents import Draft, documents_of
from workers.replay.partition_replay import Plan
from workers.replay.what_if import draft_of, what_if
from workers.replay.what_if_report import examples, report_of, show, words


def print_effect(document: PolicyDocument, source: Source, found: Settings, processes: int) -> bool:
    """Print how many recorded decisions the document would change, and which lines; return whether any.

    Raises:
        ReplayError: The log cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="dli-effect-") as folder:
        draft = Path(folder) / "document.json"
        private_files.write(draft, document.canonical().decode())
        plan = Plan(source, found, (), Path(folder) / "work", request_ids=False, draft=Draft(file=draft))
        done = runs.over(plan, what_if, processes)
        policies = documents_of(plan.source, plan.settings, plan.earlier).current()
        report = report_of(done, list(policies.values()), draft_of(plan))
        show(report, done)
        for (_, before, after), places in sorted(examples(done).items()):
            out.print(f"{words(before)} → {words(after)}, such as {', '.join(places)}")
        return report.differs
