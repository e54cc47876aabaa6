"""The page *Replays*."""

from fastapi import Response
from nicegui import app, ui

from workers.dashboard.pages.site import PageData, details, empty, frame, label, live, note, way_to
from workers.dashboard.views.replays import ReportRow, page_of, reports

SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""Reports are untrusted files: no scripts, no requests."""


def add_page(data: PageData) -> None:
    """Add the page and the HTML reports."""

    @ui.page("/replays")
    def replays() -> None:
        with frame("/replays"):
            live(lambda: reports(data.reports), lambda found: _draw(data, found))

    @app.get("/replays/{name}")
    def page(name: str) -> Response:
        content = page_of(data.reports, name)
        if content is None:
            return Response("no such report", 404, media_type="text/plain")
        return Response(content, media_type="text/html", headers={"content-security-policy": SANDBOX})


def _draw(data: PageData, found: list[ReportRow]) -> None:
    if not found:
        empty(
            f"There are no reports in {data.reports}",
            "`dli replay verify … -o jsonl > FILE.jsonl` and `dli replay what-if … --html FILE.html` write some there.",
        )
    for path in found:
        with ui.card().classes("w-full gap-1"):
            label(path.name).classes("font-bold dli-mono")
            label(f"{path.kind}, written {path.written}").classes("text-sm")
            if path.is_page:
                label(path.headline)
                way_to("Open the report", "replays", path.name).props('target=_blank rel="noopener"')
            else:
                note(path.level, path.headline)
            details(path.figures)
