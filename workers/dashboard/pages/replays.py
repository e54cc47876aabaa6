"""The page *Replays*."""

from fastapi import Response
from nicegui import app, ui

from workers.dashboard.pages.site import Shown, details, empty, frame, label, live, note, way_to
from workers.dashboard.views.replays import ReportRow, page_of, reports

SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""A report is a file that somebody put there: it runs nothing and asks for nothing."""


def install(shown: Shown) -> None:
    """Add the page, and the reports that are pages themselves."""

    @ui.page("/replays")
    def replays() -> None:
        with frame("/replays"):
            live(lambda: reports(shown.reports), lambda found: _draw(shown, found))

    @app.get("/replays/{name}")
    def page(name: str) -> Response:
        content = page_of(shown.reports, name)
        if content is None:
            return Response("no such report", 404, media_type="text/plain")
        return Response(content, media_type="text/html", headers={"content-security-policy": SANDBOX})


def _draw(shown: Shown, found: list[ReportRow]) -> None:
    if not found:
        empty(
            f"There are no reports in {shown.reports}",
            "`dli replay verify … -o jsonl > FILE.jsonl` and `dli replay what-if … --html FILE.html` write some there.",
        )
    for one in found:
        with ui.card().classes("w-full gap-1"):
            label(one.name).classes("font-bold dli-mono")
            label(f"{one.kind}, written {one.written}").classes("text-sm")
            if one.is_page:
                label(one.headline)
                way_to("Open the report", "replays", one.name).props('target=_blank rel="noopener"')
            else:
                note(one.level, one.headline)
            details(one.figures)
