"""The page *Decisions*."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from threading import Event
from typing import Any

import structlog
from nicegui import context, ui

from policy_core.document.problems import PolicyDocumentError
from workers.console.printable import words
from workers.dashboard.data import find_trace
from workers.dashboard.pages.site import (
    COLOURS,
    EVERY_SECONDS,
    GREY,
    PageData,
    asked,
    axes,
    chart,
    choice,
    details,
    empty,
    frame,
    heading,
    label,
    live,
    note,
    offer,
    redraw,
    table,
)
from workers.dashboard.views import decisions as views
from workers.dashboard.views.decisions import DETERMINATIONS, Decisions, Stack
from workers.dashboard.views.now import of_reading
from workers.dashboard.views.trace import Standing, TracePage, trace_page
from workers.kafka.errors import ClusterError
from workers.ledger.trace import Trace
from workers.state.request_digests import digest

log = structlog.get_logger(__name__)

EVERY = "all revisions"
NOWHERE = "It was not sent, is not answered or not read yet, or its answer is no longer kept."
WIDTHS = {"hours": "by the hour", "minutes": "by the minute"}


def add_page(data: PageData) -> None:
    """Add the page."""

    @ui.page("/decisions")
    def decisions() -> None:
        with frame("/decisions"):
            _Search(data).draw(context.client.request.query_params.get("case", ""))
            live(lambda: _problems(data), _draw_problems)
            heading("What was decided, over time")
            _Mix(data).draw()
            live(lambda: _view(data), _draw)


def _problems(data: PageData) -> tuple[tuple[str, ...], int]:
    with data.reader.lock:
        progress = data.reader.progress
        return of_reading(progress), progress.behind


def _draw_problems(found: tuple[tuple[str, ...], int]) -> None:
    problems, behind = found
    if problems:
        note("unknown", "The counts below are not how things are now", problems)
    elif behind:
        note("waiting", f"Reading: about {behind:,} records are still to be counted")


def _view(data: PageData) -> Decisions:
    with data.reader.lock:
        return views.decisions(data.reader.counters)


def _draw(found: Decisions) -> None:
    if not found.count:
        empty("No decision was read yet", "Requests that are published are decided here: `dli publish FILE`.")
        return
    label(f"{found.count:,} decisions, made from {found.since} to {found.last}").classes("text-sm")
    heading("By revision in force on the day of the service")
    rows = [
        {
            "revision": row.revision,
            "lines": f"{row.lines:,}",
            "shares": "; ".join(f"{count:,} {name}" for name, count in row.shares),
        }
        for row in found.mix
    ]
    table((("revision", "Revision"), ("lines", "Service lines"), ("shares", "Determinations")), rows, "revision")
    heading("What providers are asked for")
    if found.asked:
        columns = (("fact", "Fact"), ("decisions", "Decisions that ask for it"), ("share", "Of all"))
        table(columns, [asked._asdict() for asked in found.asked], "fact")
    else:
        empty("Nobody was asked for anything", "Decisions that pend for information show here.")


class _Mix:
    """The chart of determinations over time."""

    def __init__(self, data: PageData) -> None:
        self._data = data
        self._seen: Stack | None = None

    def draw(self) -> None:
        """Lay it out."""
        with ui.row().classes("items-center gap-4"):
            self._revision = choice("Revision", [EVERY], self._look)
            self._width = ui.toggle(WIDTHS, value="minutes", on_change=self._look).props("aria-label=Buckets")
        means = "Service lines by determination over time; the table below has the sums"
        self._chart = chart(_stacked(Stack((), ())), means).classes("w-full h-72")
        self._look()
        ui.timer(EVERY_SECONDS, self._look)

    def _look(self) -> None:
        counters = self._data.reader.counters
        revision = None if self._revision.value == EVERY else self._revision.value
        with self._data.reader.lock:
            names = [EVERY, *views.revisions(counters)]
            mix = counters.by_hour if self._width.value == "hours" else counters.by_minute
            found = views.stack(mix, revision)
        offer(self._revision, names)
        if found != self._seen:
            self._seen = found
            self._chart.set_visibility(bool(found.starts))
            redraw(self._chart, _stacked(found))


def _stacked(found: Stack) -> dict[str, Any]:
    return {
        "animation": False,
        "legend": {"type": "scroll", "textStyle": {"color": GREY}, "top": 0},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "confine": True},
        "grid": {"left": 50, "right": 45, "top": 40, "bottom": 25},
        # Days and hours in UTC; a time axis would use the browser's time zone.
        **axes(type="category", data=[start.strftime("%d %b %H:%M") for start in found.starts], name="UTC"),
        "series": [
            {
                "name": words(name),
                "type": "bar",
                "stack": "lines",
                "barMaxWidth": 40,
                "color": COLOURS[DETERMINATIONS.index(name) if name in DETERMINATIONS else -1],
                "data": list(band),
            }
            for name, band in found.bands
        ],
    }


class _Search:
    """A request's trace by its id, which stays out of URLs, because those are kept in histories and logs."""

    def __init__(self, data: PageData) -> None:
        self._data = data
        self._stop = Event()
        self._done = 0.0

    def draw(self, reference: str) -> None:
        """Lay it out, with the trace of the request whose id has a digest, if one is given."""
        with ui.row().classes("w-full items-center gap-2"):
            self._input = ui.input("Request id").props("outlined dense clearable").classes("grow max-w-md")
            self._input.on("keydown.enter", self._find)
            self._button = ui.button("Find its trace", icon="search", on_click=self._find)
        self._result = ui.element("section").classes("w-full").props('aria-label="Trace" aria-live=polite')
        context.client.on_disconnect(self._stop.set)
        if reference:
            ui.timer(0.1, partial(self._follow, reference), once=True)

    async def _find(self) -> None:
        request_id = (self._input.value or "").strip()
        if request_id:
            await self._show(lambda: self._look(request_id), lambda: _unknown(self._deeper))

    async def _follow(self, reference: str) -> None:
        def nowhere() -> None:
            empty("No request of this link is open or was decided lately", "Search for it by its id.")

        await self._show(lambda: self._referred(reference), nowhere)

    async def _show(self, find: Callable[[], Trace | None], unknown: Callable[[], None]) -> None:
        self._result.clear()
        with self._result:
            ui.spinner(size="lg")
        try:
            found = await asked(find)
        except (ClusterError, PolicyDocumentError) as error:
            self._show_error(str(error))
            return
        self._result.clear()
        with self._result:
            if found is not None:
                _trace(self._page(found))
            else:
                unknown()

    def _page(self, found: Trace) -> TracePage:
        followed, now = self._data.cases, datetime.now(UTC)
        with followed.lock:
            known = followed.reading.error is None
            case = followed.cases.find(digest(found.request_id.encode()).hex()) if known else None
        return trace_page(found, self._data.reader.document, Standing(known, case), now)

    # In threads, which wait for brokers and workers.

    def _look(self, request_id: str) -> Trace | None:
        settings, reference = self._data.settings, digest(request_id.encode()).hex()
        found = find_trace.by_workers(settings, self._workers(), request_id)
        return found if found is not None else self._at_place(reference)

    def _referred(self, reference: str) -> Trace | None:
        followed = self._data.cases
        with followed.lock:
            case = followed.cases.find(reference)
        if case is not None:
            return self._look(case.request_id)
        found = self._at_place(reference)
        return self._look(found.request_id) or found if found is not None else None

    def _at_place(self, reference: str) -> Trace | None:
        with self._data.reader.lock:
            place = self._data.reader.counters.place_of(reference)
        return find_trace.at_place(self._data.settings, place, reference) if place is not None else None

    def _workers(self) -> list[str]:
        """The addresses of workers that answer, the ready ones first."""
        known = self._data.readiness.known
        told = [
            (known[worker.id].ready, worker.url) for worker in self._data.watch.watched.workers if worker.id in known
        ]
        return [url for ready, url in sorted(told, key=lambda one: one[0] is not True) if url and ready is not None]

    async def _deeper(self) -> None:
        request_id = (self._input.value or "").strip()
        self._stop.clear()
        self._done = 0.0
        self._result.clear()
        with self._result:
            label("Reading every decision and dead letter that is kept …")
            bar = ui.linear_progress(0.0, show_value=False).props("aria-label=Progress")
            timer = ui.timer(0.5, lambda: bar.set_value(self._done))
            ui.button("Stop", on_click=self._stop.set).props("outline")
        try:
            settings = self._data.settings
            found = await asked(find_trace.anywhere, settings, request_id, self._set_progress, self._stop.is_set)
        except ClusterError as error:
            self._show_error(str(error))
            return
        finally:
            timer.cancel()
        self._result.clear()
        with self._result:
            if found is not None:
                _trace(self._page(found))
            elif self._stop.is_set():
                empty("The search was stopped", "Nothing was found so far.")
            else:
                empty("No answer to this request is kept", NOWHERE)

    def _set_progress(self, share: float) -> None:
        self._done = share

    def _show_error(self, error: str) -> None:
        self._result.clear()
        with self._result:
            note("unknown", "It cannot be looked for now", (error,))


def _unknown(deeper: Any) -> None:
    with ui.element("div").classes("w-full rounded border border-dashed border-gray-400 p-6 text-center"):
        label("It is not among the decisions and dead letters read lately").classes("font-bold")
        label("It may be older, or not yet answered, or never have come.")
        ui.button("Search all that is kept", on_click=deeper).props("outline").classes("mt-2")


def _trace(found: TracePage) -> None:
    with ui.card().classes("w-full gap-2").props(f"data-found={len(found.sections)}"):
        label(found.headline).props("role=heading aria-level=2").classes("text-lg font-bold")
        for part in found.sections:
            label(part.title).props("role=heading aria-level=3").classes("font-bold mt-2")
            if part.lines:
                rows = [dict(zip(part.columns, line, strict=True)) for line in part.lines]
                numbered = [row | {"row": number} for number, row in enumerate(rows)]
                table([(name, name.capitalize()) for name in part.columns], numbered, "row")
            if part.rows:
                details(part.rows)
