"""The page *Audit*: read on opening or refreshing."""

from datetime import UTC, datetime, timedelta

from nicegui import ui

from workers.audit.read_acts import Done, acts
from workers.console.printable import counted
from workers.dashboard.pages.site import PageData, asked, choice, empty, frame, label, note, offer, table
from workers.dashboard.views import audit as views
from workers.kafka.errors import ClusterError

EVERY = "everything"
BACK = timedelta(days=90)
"""The period of acts shown; `dli audit` has all."""
MOST = 500
"""The number of newest acts shown."""
COLUMNS = (
    *(("when", "When"), ("who", "Who"), ("what", "What"), ("arguments", "With")),
    *(("outcome", "Outcome"), ("took", "Took")),
)


def add_page(data: PageData) -> None:
    """Add the page."""

    @ui.page("/audit")
    async def audit() -> None:
        with frame("/audit"):
            page = _Audit(data)
            page.draw()
        ui.timer(0.1, page.load, once=True)


class _Audit:
    """The acts as last read."""

    def __init__(self, data: PageData) -> None:
        self._data = data
        self._found: list[Done] = []

    def draw(self) -> None:
        """Lay it out."""
        with ui.row().classes("w-full items-center gap-4"):
            self._what = choice("What", [EVERY], self._list)
            ui.button("Read again", icon="refresh", on_click=self.load).props("outline")
        self._content = ui.element("div").classes("w-full flex flex-col gap-4")

    async def load(self) -> None:
        """Read the acts."""
        self._content.clear()
        with self._content:
            ui.spinner(size="lg")
        try:
            self._found = await asked(acts, self._data.settings, datetime.now(UTC) - BACK)
        except ClusterError as error:
            self._content.clear()
            with self._content:
                note("unknown", "Who did what cannot be read", (str(error),))
            return
        offer(self._what, [EVERY, *sorted({act.last.what for act in self._found})])
        self._list()

    def _list(self) -> None:
        what = self._what.value
        rows = views.chosen(self._found, None if what == EVERY else what)
        self._content.clear()
        with self._content:
            if not rows:
                empty(f"Nothing was recorded in {BACK.days} days", "`dli audit` looks further back.")
                return
            left = f"; the newest {MOST} are shown" if len(rows) > MOST else ""
            label(f"{counted(len(rows), 'act')} in {BACK.days} days{left}")
            table(COLUMNS, [row._asdict() for row in rows[:MOST]], "act", pagination=20)
