"""Shared page elements: the frame, and displays of status, empty results and failures.

Pages show data only through these functions: each renders it as text without active characters
(`workers/console/printable.py`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote, urlencode

from nicegui import context, run, ui

from workers.configuration.settings import Settings
from workers.console.printable import printable
from workers.dashboard.data.consumer import Reader
from workers.dashboard.data.poller import Watch
from workers.dashboard.data.readiness import WorkerReadiness
from workers.dashboard.sign_in.record_sign_ins import Records
from workers.dashboard.sign_in.roles import VISITOR, Role, Visitor
from workers.dashboard.views.times import Level
from workers.kafka.errors import ReadingError
from workers.work_list.read_cases import FollowedCases

P = ParamSpec("P")
T = TypeVar("T")

EVERY_SECONDS = 2.0
"""The update interval of pages."""
PAGES = (
    ("/", "Now"),
    ("/cases", "Cases"),
    ("/decisions", "Decisions"),
    ("/policy", "Policy"),
    ("/dead-letters", "Dead letters"),
    ("/replays", "Replays"),
    ("/audit", "Audit"),
)
NAVIGATION = "flex flex-wrap gap-x-1 order-last w-full md:order-none md:w-auto md:grow"
THEME = "dli_theme"
"""The cookie for dark or light mode."""
LONGEST = 40
"""Maximum length of a name in a chart or selection."""
PRIMARY = "#2563a8"
"""The colour of buttons, with readable white text."""
GREY = "#7a7f87"
"""The colour of axes, readable on light and dark."""
COLOURS = ("#2e9e6b", "#d99a17", "#c7563f", "#8d5fc4", "#5b8def", "#8a8f98", "#3fb0b8", "#b0658f", "#9a7b4f", "#5f6b7a")
"""The fixed colours of determinations."""
LOOKS: dict[Level, tuple[str, str, str]] = {
    "good": ("check_circle", "bg-green-100 text-green-900 dark:bg-green-900 dark:text-green-50", "in order"),
    "waiting": ("schedule", "bg-amber-100 text-amber-900 dark:bg-amber-900 dark:text-amber-50", "to be watched"),
    "bad": ("error", "bg-red-100 text-red-900 dark:bg-red-900 dark:text-red-50", "wrong"),
    "unknown": ("help", "bg-gray-200 text-gray-900 dark:bg-gray-700 dark:text-gray-50", "not known"),
}
STYLE = """
:focus-visible { outline: 3px solid #5b8def !important; outline-offset: 2px; }
.q-table td, .q-table th { white-space: normal; }
.q-table td:first-child { white-space: nowrap; }
/* A table's rows as cards, where the screen is narrow: a name and its value beside each other. */
.q-table__grid-item-row { display: flex; justify-content: space-between; gap: 1rem; padding: 2px 0; }
.q-table__grid-item-value { text-align: right; overflow-wrap: anywhere; }
.q-table__grid-item-title { white-space: nowrap; opacity: 0.75; }
/* What is pressed is white on it; what is only outlined stands on the page's own ground. */
body.body--dark :is(.q-btn--outline, .q-btn--flat).text-primary { --q-primary: #93c0f5; }
/* However long a word of data is, it stays within its page. */
main { min-width: 0; overflow-wrap: anywhere; }
.q-table td, .q-item__label { overflow-wrap: anywhere; }
.dli-mono { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; animation: none !important; } }
"""


@dataclass(frozen=True)
class PageData:
    """The data of the pages."""

    settings: Settings
    watch: Watch
    reader: Reader
    readiness: WorkerReadiness
    cases: FollowedCases
    zone: tzinfo
    """Where the days of the default policy begin and end."""
    reports: Path
    allow_redrive: bool
    records: Records


def visitor() -> Visitor:
    """The page's visitor, as set by the guard; without one, nothing is allowed."""
    found = context.client.request.scope.get(VISITOR)
    return found if isinstance(found, Visitor) else Visitor(Role.NONE)


@contextmanager
def frame(path: str) -> Iterator[None]:
    """A page's frame with navigation; elements created inside are its content."""
    title = dict(PAGES)[path]
    ui.page_title(f"{title} · dli dashboard")
    ui.add_css(STYLE)
    ui.colors(primary=PRIMARY)
    request = context.client.request
    chosen = request.cookies.get(THEME) if request is not None else None
    dark = ui.dark_mode({"dark": True, "light": False}.get(chosen or ""))
    with ui.header().classes("items-center gap-x-4 gap-y-0 py-1 bg-slate-800 text-white"):
        label("dli").classes("text-lg font-bold grow md:grow-0")
        with ui.element("nav").props('aria-label="Pages"').classes(NAVIGATION):
            for target, name in PAGES:
                link = ui.link(name, target).classes("px-2 py-2 text-white no-underline rounded hover:bg-slate-600")
                if target == path:
                    link.props('aria-current="page"').classes("bg-slate-600 font-bold")
        if visitor().session is not None:
            with ui.element("form").props("method=post action=/logout"):
                ui.button("Log out").props("type=submit flat dense no-caps color=white")
        ui.button(icon="contrast", on_click=lambda: _turn(dark)).props(
            'flat round dense color=white aria-label="Dark or light"'
        )
    # No wrapping: as wide as the page, not as its widest part.
    with ui.element("main").classes("w-full max-w-6xl mx-auto flex flex-col flex-nowrap gap-4"):
        label(title).props("role=heading aria-level=1").classes("text-2xl font-bold")
        yield


async def _turn(dark: ui.dark_mode) -> None:
    # The mode may be the system's, which only the browser knows.
    is_dark = await ui.run_javascript("document.body.classList.contains('body--dark')", timeout=10)
    dark.set_value(not is_dark)
    chosen = "light" if is_dark else "dark"
    ui.run_javascript(f"document.cookie = '{THEME}={chosen}; path=/; max-age=31536000; samesite=strict'")


def axes(**across: Any) -> dict[str, Any]:
    """The axes of a chart, readable on light and dark."""
    faint = {"lineStyle": {"color": GREY, "opacity": 0.3}}
    return {
        "xAxis": {"axisLabel": {"color": GREY, "hideOverlap": True}, **across},
        "yAxis": {"type": "value", "min": 0, "minInterval": 1, "axisLabel": {"color": GREY}, "splitLine": faint},
    }


def label(text: str) -> ui.label:
    """A text label for data."""
    return ui.label(printable(text))


def heading(text: str) -> None:
    """The heading of a part."""
    label(text).props("role=heading aria-level=2").classes("text-lg font-bold mt-2")


def note(level: Level, headline: str, reasons: Sequence[str] = ()) -> None:
    """A status by colour, icon and words."""
    icon, colours, says = LOOKS[level]
    with ui.element("div").classes(f"w-full rounded p-3 {colours}").props(f"role=status data-level={level}"):
        with ui.row().classes("items-center gap-2 no-wrap"):
            ui.icon(icon).classes("text-2xl").props(f'role=img aria-label="{says}"')
            label(headline).classes("text-lg font-bold")
        for reason in reasons:
            label(reason).classes("ml-8")


def empty(headline: str, how: str) -> None:
    """An empty result, with a hint."""
    with ui.element("div").classes("w-full rounded border border-dashed border-gray-400 p-6 text-center"):
        label(headline).classes("font-bold")
        label(how)


def details(rows: Sequence[tuple[str, str]]) -> None:
    """Names with values."""
    with ui.element("dl").classes("grid grid-cols-1 md:grid-cols-[minmax(12rem,auto)_1fr] gap-x-4 gap-y-1 w-full"):
        for left, right in rows:
            with ui.element("dt").classes("dli-mono text-sm"):
                label(left)
            with ui.element("dd").classes("mb-2 md:mb-0"):
                label(right).classes("break-words")


def block(text: str) -> None:
    """A preformatted text."""
    with ui.element("pre").classes("w-full dli-mono text-sm whitespace-pre-wrap"):
        ui.label(printable(text, "\n"))


def say(text: str, **options: Any) -> None:
    """Show a notification."""
    ui.notify(printable(text), **options)


def way_to(text: str, *path: str) -> ui.link:
    """A link to one of our own paths."""
    return ui.link(printable(text), "/" + "/".join(quote(part, safe="") for part in path))


def cases_address(filters: Mapping[str, str]) -> str:
    """The address of the page *Cases* with filters."""
    return f"/cases?{urlencode(filters)}" if filters else "/cases"


def cases_link(text: str, filters: Mapping[str, str], means: str) -> ui.link:
    """A link to the cases that a number counts."""
    made = ui.link(printable(text), cases_address(filters))
    made.props["aria-label"] = printable(means)
    return made


def fold(text: str) -> ui.expansion:
    """A collapsed section."""
    return ui.expansion(printable(text)).classes("w-full").props("dense")


def entry(title: str, subtitle: str) -> ui.timeline_entry:
    """A toggle between time ranges."""
    return ui.timeline_entry(title=printable(title), subtitle=printable(subtitle))


def choice(name: str, options: Sequence[str], on_change: Callable[[], Any]) -> ui.select:
    """A selection, initially the first option; its value is the original one."""
    made = ui.select(_named(options), value=options[0], label=printable(name), on_change=on_change)
    return made.classes("min-w-48 max-w-full")


def selection(name: str, options: Mapping[str, str], value: str, on_change: Callable[[str], Any]) -> ui.select:
    """A selection among named values."""
    named = {key: printable(text) for key, text in options.items()}
    made = ui.select(named, value=value, label=printable(name), on_change=lambda event: on_change(event.value))
    return made.classes("min-w-36 max-w-full").props("dense")


def offer(made: ui.select, options: Sequence[str]) -> None:
    """Replace the options, keeping the selection if possible."""
    named = _named(options)
    if named != made.options:
        made.set_options(named, value=made.value if made.value in named else options[0])


def _named(options: Sequence[str]) -> dict[str, str]:
    return {option: brief(option) for option in options}


def brief(text: str) -> str:
    """Data truncated to one line."""
    found = printable(text)
    return found if len(found) <= LONGEST else f"{found[: LONGEST - 1]}…"


def chart(options: dict[str, Any], means: str) -> ui.echart:
    """A chart with a text alternative."""
    made = ui.echart(escaped_in_chart(options))
    # Not as a parsed string, in which a quote would end the text.
    made.props["role"], made.props["aria-label"] = "img", printable(means)
    return made


def redraw(made: ui.echart, options: dict[str, Any]) -> None:
    """Replace all options of a chart."""
    # Merging options would keep removed series.
    made.options.clear()
    made.options.update(escaped_in_chart(options))
    made.update()


def escaped_in_chart(value: Any) -> Any:
    """A chart's options with all texts escaped."""
    if isinstance(value, dict):
        return {name: escaped_in_chart(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [escaped_in_chart(item) for item in value]
    return brief(value) if isinstance(value, str) else value


def _cell(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


CHECKBOX = '<q-checkbox v-model="props.selected" dense aria-label="{}" />'


def table(columns: Sequence[tuple[str, str]], rows: Sequence[dict[str, Any]], key: str, **options: Any) -> ui.table:
    """A table, shown as cards on narrow screens."""
    made = ui.table(
        columns=[{"name": name, "label": printable(title), "field": name, "align": "left"} for name, title in columns],
        rows=[{name: _cell(value) for name, value in row.items()} for row in rows],
        row_key=key,
        **options,
    )
    if "selection" in options:
        made.add_slot("header-selection", CHECKBOX.format("Choose all"))
        made.add_slot("body-selection", CHECKBOX.format("Choose this row"))
    return made.classes("w-full").props(":grid=Quasar.Screen.lt.sm flat bordered dense wrap-cells")


LINKED_CELL = """
<q-td :props="props"><a :href="props.row.address" class="underline">{{ props.value }}</a></q-td>
"""
LINKED_CARD = """
<div class="q-pa-xs col-12"><div class="q-table__grid-item-card q-table__card--bordered q-pa-sm">
<div v-for="(col, index) in props.cols" :key="col.name" class="q-table__grid-item-row">
<div class="q-table__grid-item-title">{{ col.label }}</div>
<div class="q-table__grid-item-value"><a v-if="index === 0" :href="props.row.address" class="underline">{{
col.value }}</a><span v-else>{{ col.value }}</span></div></div></div></div>
"""
"""A row where the screen is narrow. Data is text in both, and an address is one of ours."""


def linked_table(
    columns: Sequence[tuple[str, str]], rows: Sequence[dict[str, Any]], key: str, **options: Any
) -> ui.table:
    """A table whose first column links to the `address` of each row, which never contains data."""
    made = table(columns, rows, key, **options)
    made.add_slot(f"body-cell-{columns[0][0]}", LINKED_CELL)
    made.add_slot("item", LINKED_CARD)
    return made


def go_to(address: str) -> None:
    """Open one of our own addresses."""
    ui.navigate.to(address)


def save(text: str, name: str, media_type: str) -> None:
    """Offer a text as a file."""
    ui.download.content(text.encode(), name, media_type)


async def asked(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function without blocking other pages.

    Raises:
        ReadingError: The dashboard is stopping; also whatever the function raises.
    """
    found = await run.io_bound(lambda: (function(*args, **kwargs),))
    if found is None:
        raise ReadingError("the dashboard is ending")
    return found[0]


def live(view: Callable[[], Any], draw: Callable[[Any], None]) -> None:
    """Draw a view, and redraw it when it changes."""
    drawn: list[Any] = []

    @ui.refreshable
    def content() -> None:
        draw(drawn[-1])

    def look() -> None:
        found = view()
        if found != drawn[-1]:
            drawn[:] = [found]
            content.refresh()

    drawn.append(view())
    content()
    ui.timer(EVERY_SECONDS, look)
