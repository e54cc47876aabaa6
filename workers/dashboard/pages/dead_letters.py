"""The page *Dead letters*."""

import heapq
from collections.abc import Sequence

from nicegui import ui

from workers.configuration.settings import Settings
from workers.console.printable import printable_json
from workers.dashboard.data import actions
from workers.dashboard.pages.site import (
    EVERY_SECONDS,
    PageData,
    asked,
    block,
    choice,
    empty,
    frame,
    label,
    note,
    offer,
    say,
    table,
    visitor,
)
from workers.dashboard.views import dead_letters as views
from workers.dashboard.views.dead_letters import SHORT, Becomes
from workers.dead_letters import redrive as post
from workers.dead_letters.read import StoredDeadLetter, letters
from workers.kafka.errors import ClusterError
from workers.process.logs import Hasher

MOST = 500
"""The number of newest letters shown."""
EVERY = "every reason"


def add_page(data: PageData) -> None:
    """Add the page."""

    @ui.page("/dead-letters")
    async def dead_letters() -> None:
        with frame("/dead-letters"):
            page = _Letters(data)
            page.draw()
        ui.timer(0.1, page.load, once=True)


def newest(settings: Settings) -> tuple[int, list[StoredDeadLetter]]:
    """The number of stored letters, and the newest ones.

    Raises:
        ReadingError: The brokers do not respond.
        AccessRefusedError: The cluster refuses us.
    """
    count = 0
    found: list[tuple[float, int, StoredDeadLetter]] = []
    for count, letter in enumerate(letters(settings), start=1):
        entry = letter.written.timestamp(), count, letter
        heapq.heappush(found, entry) if len(found) < MOST else heapq.heappushpop(found, entry)
    return count, [letter for _, _, letter in sorted(found, reverse=True)]


class _Letters:
    """The letters as read on opening or refreshing the page."""

    def __init__(self, data: PageData) -> None:
        self._data = data
        self._visitor = visitor()
        self._hashed = Hasher(data.settings.log_key)
        self._kept: list[StoredDeadLetter] = []
        self._count = 0
        self._counted = 0

    def draw(self) -> None:
        """Lay it out."""
        with ui.row().classes("w-full items-center gap-4"):
            self._reason = choice("Reason", [EVERY], self._list)
            ui.button("Read again", icon="refresh", on_click=self.load).props("outline")
            self._news = label("").props("role=status")
        refusal = actions.refusal(self._visitor, self._data.allow_redrive)
        if refusal is not None:
            label(refusal).classes("text-sm")
        self._content = ui.element("div").classes("w-full flex flex-col gap-4")
        ui.timer(EVERY_SECONDS, self._look)

    async def load(self) -> None:
        """Read the stored letters."""
        self._content.clear()
        with self._content:
            ui.spinner(size="lg")
        try:
            self._counted = self._now()
            self._count, self._kept = await asked(newest, self._data.settings)
        except ClusterError as error:
            self._content.clear()
            with self._content:
                note("unknown", "The dead letters cannot be read", (str(error),))
            return
        reasons = [EVERY, *sorted({letter.content.reason for letter in self._kept})]
        offer(self._reason, reasons)
        self._list()

    def _now(self) -> int:
        with self._data.reader.lock:
            return self._data.reader.counters.letters.total()

    def _look(self) -> None:
        new = self._now() - self._counted
        self._news.set_text(f"{new:,} more came since: read again" if new > 0 else "")

    def _list(self) -> None:
        chosen = [letter for letter in self._kept if self._reason.value in {EVERY, letter.content.reason}]
        self._content.clear()
        with self._content:
            if not chosen:
                empty("There are no dead letters", "Events that cannot be decided are kept here, each with its reason.")
                return
            if self._count > len(self._kept):
                label(f"The newest {len(self._kept):,} of {self._count:,} that are kept.")
            # By number: shortened ids may be equal.
            numbered = {str(number): letter for number, letter in enumerate(chosen)}
            rows = [
                row._asdict() | {"short": row.letter[:SHORT], "number": number}
                for number, row in ((number, views.row(letter, self._hashed)) for number, letter in numbered.items())
            ]
            columns = (
                ("short", "StoredDeadLetter"),
                ("written", "Written"),
                ("reason", "Reason"),
                ("fields", "Fields at fault"),
                ("request", "Request (hashed)"),
                ("came_from", "From"),
                ("tries", "Sent again"),
            )
            with ui.row().classes("gap-2"):
                ui.button("Show", icon="visibility", on_click=lambda: self._show(self._chosen(numbered)))
                if actions.refusal(self._visitor, self._data.allow_redrive) is None:
                    ui.button("Send again …", icon="replay", on_click=lambda: self._plan(self._chosen(numbered))).props(
                        "outline"
                    )
            self._opened = ui.element("div").classes("w-full flex flex-col gap-4")
            self._table = table(columns, rows, "number", selection="multiple", pagination=20)

    def _chosen(self, numbered: dict[str, StoredDeadLetter]) -> list[StoredDeadLetter]:
        found = [numbered[row["number"]] for row in self._table.selected if row["number"] in numbered]
        if not found:
            say("Choose letters in the table first")
        return found

    def _show(self, chosen: Sequence[StoredDeadLetter]) -> None:
        self._opened.clear()
        with self._opened:
            for letter in chosen:
                opened = views.opened(letter, self._hashed)
                with ui.card().classes("w-full"):
                    label(f"{opened.row.letter[:SHORT]}: {opened.message}").classes("font-bold")
                    for path, message in opened.errors:
                        label(f"{path}: {message}").classes("ml-4")
                    label("The event as it came; what may be personal is masked").classes("text-sm")
                    block(printable_json(opened.event) if opened.is_json else opened.event)

    async def _plan(self, chosen: Sequence[StoredDeadLetter]) -> None:
        if not chosen:
            return
        try:
            plans = await asked(post.planned, self._data.settings, chosen)
        except ClusterError as error:
            say(str(error), type="negative", multi_line=True)
            return
        would = views.becomes(plans, sent=False)
        count = sum(plan.sent for plan in would)
        with ui.dialog() as dialog, ui.card().classes("w-full max-w-2xl"):
            label(f"Send {count} of {len(would)} events again?").classes("text-lg font-bold")
            label("Each goes where it came from, as it came, and is decided as any other request.")
            _plans(would)
            with ui.row().classes("w-full justify-end"):
                ui.button("Cancel", on_click=lambda: dialog.submit(False)).props("flat autofocus")
                if count:
                    ui.button(f"Send {count} again", on_click=lambda: dialog.submit(True)).props("color=negative")
        if await dialog:
            await self._send(chosen)

    async def _send(self, chosen: Sequence[StoredDeadLetter]) -> None:
        try:
            data = self._data
            plans = await asked(actions.redrive, self._visitor, data.allow_redrive, data.settings, chosen, data.records)
        except (ClusterError, actions.ForbiddenError) as error:
            say(str(error), type="negative", multi_line=True)
            return
        became = views.becomes(plans, sent=True)
        self._opened.clear()
        with self._opened:
            note("good", f"{sum(plan.sent for plan in became)} of {len(became)} were sent again")
            _plans(became)


def _plans(rows: Sequence[Becomes]) -> None:
    columns = (("letter", "StoredDeadLetter"), ("reason", "Reason"), ("what", "What becomes of it"))
    table(columns, [row._asdict() for row in rows], "letter")
