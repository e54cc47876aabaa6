"""What a run reports: its sentences always, its progress on a terminal only."""

import io

import pytest

from workers.console import progress
from workers.console.printing import DataConsole
from workers.event_log.progress import Reporter


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_shows_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(progress, "err", DataConsole(file=shown, force_terminal=is_terminal, width=100))
    reporter: Reporter = progress.TerminalReporter()

    reporter.note("in no archive: [t/0]")
    with reporter.counting("kept", 2_000) as counter:
        counter.add(1_500)
        counter.add(500)

    assert shown.getvalue().startswith("in no archive: [t/0]\n")
    assert ("2,000 of 2,000" in shown.getvalue()) == is_terminal
