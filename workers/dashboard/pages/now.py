"""The page *Now*."""

from datetime import UTC, datetime
from typing import Any

from nicegui import ui

from workers.dashboard.pages.site import (
    EVERY_SECONDS,
    GREY,
    LOOKS,
    PageData,
    axes,
    cases_link,
    chart,
    empty,
    frame,
    heading,
    label,
    live,
    note,
    redraw,
    table,
)
from workers.dashboard.views import now as views
from workers.dashboard.views.now import Now, Series, Told, Turn, Work
from workers.work_list.columns import named

WORKER = (
    ("worker", "Worker"),
    ("level", "State"),
    ("ready", "Ready"),
    ("host", "Host"),
    ("partitions", "Partitions of requests"),
)
PARTITION = (
    ("partition", "Partition"),
    ("level", "State"),
    ("worker", "Worker"),
    ("waiting", "Waiting"),
    ("oldest", "Oldest waits"),
    ("committed", "Done up to"),
    ("problem", "Problem"),
)


def add_page(data: PageData) -> None:
    """Add the page."""

    @ui.page("/")
    def now() -> None:
        with frame("/"):
            live(lambda: _view(data), _draw)
            heading("The last quarter of an hour")
            nothing = Series((), (), (), ())
            speed = chart(_speed(nothing), "Requests each second, coming in and done").classes("w-full h-56")
            waiting = chart(_waiting(nothing), "Requests waiting").classes("w-full h-56")
            drawn: list[float] = []

            def look() -> None:
                points = data.watch.watched.points
                if points and drawn != [points[-1].at]:
                    drawn[:] = [points[-1].at]
                    found = views.series(points)
                    redraw(speed, _speed(found))
                    redraw(waiting, _waiting(found))

            look()
            ui.timer(EVERY_SECONDS, look)


def _view(data: PageData) -> Now:
    at = datetime.now(UTC)
    watched, reader = data.watch.watched, data.reader
    counts = data.cases.counts(at, data.zone)
    with data.cases.lock:
        work = Work(counts, data.cases.reading, data.cases.cases.left_out)
    with reader.lock:
        told = Told(reader.progress, reader.counters.latencies, work, data.readiness.known)
        return views.now(watched, told, data.settings.stalled_seconds, at)


def _draw(found: Now) -> None:
    note(found.verdict.level, found.verdict.headline, found.verdict.reasons)
    label(f"As the brokers said at {found.asked_at}").classes("text-sm")
    if not found.tiles:
        empty("No numbers are shown", "What the brokers said before is not how things are now.")
        return
    with ui.element("div").classes("grid grid-cols-2 md:grid-cols-4 gap-3 w-full"):
        for tile in found.tiles:
            icon, colours, says = LOOKS[tile.level]
            with ui.element("div").classes(
                f"rounded p-3 {'' if tile.level == 'good' else colours} border border-gray-400"
            ):
                with ui.row().classes("items-center justify-between no-wrap"):
                    label(tile.name)
                    if tile.level != "good":
                        ui.icon(icon).props(f'role=img aria-label="{says}"')
                if tile.filters is None:
                    label(tile.value).classes("text-xl font-bold")
                else:
                    means = f"{tile.name}: {tile.value}, show them"
                    # In the tile's own colour: a link's blue is not legible on every tile's.
                    link = cases_link(tile.value, dict(tile.filters), means)
                    link.classes("text-xl font-bold underline").style("color: inherit")
                label(tile.means).classes("text-sm")
    _draw_turns(found.turns)
    heading("Workers and their partitions")
    if found.workers:
        rows = [worker._asdict() | {"level": LOOKS[worker.level][2]} for worker in found.workers]
        table(WORKER, rows, "worker")
    else:
        empty("No worker is a member of the group", "`dli worker` starts one.")
    heading("Partitions of requests")
    rows = [partition._asdict() | {"level": LOOKS[partition.level][2]} for partition in found.partitions]
    table(PARTITION, rows, "partition")


def _draw_turns(turns: tuple[Turn, ...]) -> None:
    if not turns:
        return
    heading("Whose turn it is")
    columns = ("Who acts next", "Open", "Overdue", "Due today")
    with ui.element("table").classes("w-full text-left"):
        with ui.element("thead"), ui.element("tr"):
            for column in columns:
                with ui.element("th").props("scope=col").classes("p-2"):
                    label(column)
        with ui.element("tbody"):
            for turn in turns:
                _draw_turn(turn)


def _draw_turn(turn: Turn) -> None:
    who = named(turn.actor)
    with ui.element("tr").classes("border-t border-gray-400"):
        with ui.element("th").props("scope=row").classes("p-2 font-normal"):
            label(who)
        for name, count, due in (
            ("open", turn.open, {}),
            ("overdue", turn.overdue, {"due": "overdue"}),
            ("due today", turn.due_today, {"due": "today"}),
        ):
            with ui.element("td").classes("p-2"):
                if count:
                    means = f"{count:,} {name}, {who}: show them"
                    cases_link(f"{count:,}", {"acts_next": turn.actor, **due}, means)
                else:
                    label("0")


def _chart(title: str, at: tuple[float, ...], lines: list[tuple[str, str, tuple[Any, ...]]]) -> dict[str, Any]:
    return {
        "animation": False,
        "title": {"text": title, "left": 0, "top": 0, "textStyle": {"color": GREY, "fontSize": 13}},
        "legend": {"textStyle": {"color": GREY}, "right": 0, "top": 0, "show": len(lines) > 1},
        "tooltip": {"trigger": "axis"},
        "grid": {"left": 50, "right": 15, "top": 45, "bottom": 25},
        **axes(type="time"),
        "series": [
            {
                "name": name,
                "type": "line",
                "step": "end",
                "showSymbol": False,
                "color": colour,
                "data": [[round(when * 1000), value] for when, value in zip(at, values, strict=True)],
            }
            for name, colour, values in lines
        ],
    }


def _speed(found: Series) -> dict[str, Any]:
    lines = [("coming in", "#5b8def", found.come_in), ("done", "#2e9e6b", found.done)]
    return _chart("Requests each second", found.at, lines)


def _waiting(found: Series) -> dict[str, Any]:
    return _chart("Requests waiting", found.at, [("waiting", "#d99a17", found.waiting)])
