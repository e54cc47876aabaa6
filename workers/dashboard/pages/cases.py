"""The page *Cases*: the work list, with its filters in the address."""

from datetime import UTC, datetime
from functools import partial

from nicegui import context, ui
from nicegui.elements.label import Label
from nicegui.elements.table import Table

from workers.console.printable import printable
from workers.dashboard.pages.site import (
    PageData,
    asked,
    cases_address,
    empty,
    frame,
    go_to,
    label,
    linked_table,
    note,
    save,
    say,
    selection,
    way_to,
)
from workers.dashboard.views import cases as views
from workers.dashboard.views.cases import CaseRow, CasesPage
from workers.work_list.columns import COLUMNS, as_csv
from workers.work_list.filters import Filter, FilterError, chosen, filter_of
from workers.work_list.open_cases import OpenCase

EVERY_SECONDS = 10.0
"""How often the list is made again."""
FILE = "open-cases.csv"
ANY = ""
"""The choice that lets everything through."""


def add_page(data: PageData) -> None:
    """Add the page."""

    @ui.page("/cases")
    def cases() -> None:
        parameters = dict(context.client.request.query_params)
        with frame("/cases"):
            try:
                wanted = filter_of(parameters)
            except FilterError as error:
                note("unknown", "There is no such view", (str(error),))
                way_to("All open cases", "cases")
                return
            _Cases(data, wanted).draw()


class _Cases:
    """The cases that a filter lets through."""

    def __init__(self, data: PageData, wanted: Filter) -> None:
        self._data = data
        self._wanted = wanted
        self._table: Table | None = None
        self._headline: Label | None = None

    def draw(self) -> None:
        """Lay it out."""
        parts = self._wanted.as_parameters()
        with ui.row().classes("w-full items-center gap-3"):
            for name, title in views.NAMES.items():
                chosen_now = parts.get(name, ANY)
                options = {ANY: "any", **views.options(name, chosen_now)}
                selection(title, options, chosen_now, partial(self._go, name))
            before = ui.input("Due before", value=parts.get("due_before", "")[:10]).props("type=date stack-label dense")
            before.on("change", lambda: self._go("due_before", before.value or ""))
        with ui.row().classes("w-full items-center gap-4"):
            ui.button("Export CSV", icon="download", on_click=self._export).props("outline")
            if parts:
                way_to("All open cases", "cases")
            label("A day begins at 00:00 UTC; today ends where the policy is.").classes("text-sm")
        self._content = ui.element("div").classes("w-full flex flex-col gap-4").props("aria-live=polite")
        ui.timer(0.1, self.look, once=True)
        ui.timer(EVERY_SECONDS, self.look)

    def _go(self, name: str, value: str) -> None:
        parts = {**self._wanted.as_parameters(), name: value}
        go_to(cases_address({name: value for name, value in parts.items() if value}))

    def _known(self) -> tuple[list[OpenCase], tuple[str, ...]]:
        followed = self._data.cases
        with followed.lock:
            return list(followed.cases), views.problems(followed.reading)

    async def look(self) -> None:
        """Make the list again."""
        found, problems = self._known()
        if problems:
            self._table = None
            self._content.clear()
            with self._content:
                note("unknown", "The open cases are not known now", problems)
            return
        self.show(await asked(views.cases_page, found, self._wanted, datetime.now(UTC), self._data.zone))

    def show(self, page: CasesPage) -> None:
        """Show the list; a page of it that somebody looks at stays."""
        rows = [_row(one) for one in page.rows]
        if self._table is not None and self._headline is not None and rows:
            self._headline.set_text(printable(f"{page.headline}. {page.left}"))
            self._table.rows[:] = rows
            self._table.update()
            return
        self._content.clear()
        with self._content:
            self._headline = label(f"{page.headline}. {page.left}")
            if not rows:
                self._table = None
                empty("No such case is open", "Nobody has to act on one.")
                return
            self._table = linked_table(tuple(COLUMNS.items()), rows, "address", pagination=50)

    async def _export(self) -> None:
        found, problems = self._known()
        if problems:
            say("The open cases are not known now", type="warning")
            return
        now = datetime.now(UTC)
        listed = await asked(chosen, found, self._wanted, now, self._data.zone)
        save(as_csv(listed, now), FILE, "text/csv")


def _row(case: CaseRow) -> dict[str, str]:
    cells = {name: printable(text) for name, text in case.cells.items()}
    return cells | {"address": f"/decisions?case={case.reference}"}
