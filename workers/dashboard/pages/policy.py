"""The page *Policy*."""

from nicegui import ui

from workers.dashboard.pages.site import PageData, empty, entry, fold, frame, label, live, note
from workers.dashboard.views import policy as views
from workers.dashboard.views.now import of_reading
from workers.dashboard.views.policy import RevisionRow
from workers.dashboard.views.times import moment

FEW = 3
"""The number of changes shown initially."""

Found = tuple[tuple[str, ...], str, tuple[tuple[str, tuple[RevisionRow, ...], int], ...]]


def add_page(data: PageData) -> None:
    """Add the page."""

    @ui.page("/policy")
    def policy() -> None:
        with frame("/policy"):
            live(lambda: _view(data), _draw)


def _view(data: PageData) -> Found:
    reader = data.reader
    with reader.lock:
        under, published = reader.counters.under, reader.publications
        policies = tuple(
            (number, views.revisions(published.revisions(number), under), views.before_any(number, under))
            for number in published.policies()
        )
        return of_reading(reader.progress), moment(reader.counters.first), policies


def _draw(found: Found) -> None:
    problems, since, policies = found
    if problems:
        note("unknown", "What is below is not how things are now", problems)
    if not policies:
        empty("No policy was published yet", "The first worker that starts publishes what its documents know.")
    for number, rows, before in policies:
        label(f"{number}: {len(rows)} revisions, newest first").props("role=heading aria-level=2").classes(
            "text-lg font-bold"
        )
        label(f"Decisions counted are those made since {since}.").classes("text-sm")
        with ui.timeline(side="right").classes("w-full"):
            for row in rows:
                _entry(row)
        if before:
            label(f"{before:,} decisions are on services of days before the first revision.")


def _entry(row: RevisionRow) -> None:
    under = f" · number {row.number}" if row.number else ""
    decided = f" · {row.decisions:,} decisions" if row.decisions else " · no decision"
    with entry(row.date, f"{row.kinds}{under}{decided}"):
        label(row.says)
        if row.corrected:
            label(row.corrected).classes("font-bold")
        label(row.changed).classes("font-bold")
        if len(row.changes) > FEW:
            with fold(f"In {len(row.changes)} ways"):
                _changes(row.changes)
        else:
            _changes(row.changes)
        if not row.on_record:
            label("The statements then in force are not on record: services of these days are forwarded.")
        with fold("Version"):
            label(f"{row.author}, {row.signed}; known since {row.published}")
            label(f"publication sha256 {row.digest}").classes("dli-mono text-sm")
            label(f"document sha256 {row.document}").classes("dli-mono text-sm")


def _changes(changes: tuple[str, ...]) -> None:
    for change in changes:
        label(change).classes("ml-4")
