"""Data is text on every page: no control, bidirectional mark or markup of it does anything there."""

import ast
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from hypothesis import given, settings
from nicegui import ui

from events.audit import Acted, Actor, Arguments
from events.dead_letter import DeadLetter
from events.topics import DEAD_LETTERS, DECISIONS
from tests.support.browsing import PAGES, dashboard
from tests.support.every_decision import every_decision
from tests.support.hostile_pages import EVERYTHING, HOSTILE, IMAGE, RAW, client, dangerous, tags, texts
from tests.support.hostile_records import write_by_hand
from tests.support.places import ROOT
from tests.support.running import eventually, settings_for
from tests.support.unprintable import DATA, unseen
from workers.audit.read_acts import Done
from workers.configuration.settings import Settings, read
from workers.dashboard.data.consumer import Reader
from workers.dashboard.data.counters import Counters, DecisionPosition
from workers.dashboard.data.poller import Watch
from workers.dashboard.data.readiness import WorkerReadiness
from workers.dashboard.pages import audit, cases, dead_letters, decisions, now, policy, replays, site
from workers.dashboard.pages.site import PageData
from workers.dashboard.sign_in.record_sign_ins import Records
from workers.dashboard.views import decisions as decisions_views
from workers.dashboard.views.cases import CaseRow, CasesPage
from workers.dashboard.views.dead_letters import Becomes
from workers.dashboard.views.now import Now, PartitionRow, Tile, Turn, Verdict, WorkerRow
from workers.dashboard.views.policy import RevisionRow
from workers.dashboard.views.replays import reports
from workers.dashboard.views.trace import Section, TracePage
from workers.dead_letters.read import StoredDeadLetter
from workers.topics import apply_topics
from workers.work_list.columns import COLUMNS
from workers.work_list.filters import Filter
from workers.work_list.read_cases import FollowedCases

DRAWN = {
    "page", "row", "element", "card", "dialog", "button", "spinner", "timer", "input", "toggle", "linear_progress",
    "icon", "timeline",
}  # fmt: skip
"""What pages make with NiceGUI themselves, with words of ours alone; everything else is made by `site.py`."""
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def draw_decisions(text: str) -> None:
    decisions._draw_problems(((text,), 0))  # noqa: SLF001
    counters = hostile_counters(text)
    decisions._draw(decisions_views.decisions(counters))  # noqa: SLF001
    site.choice("Revision", ["all", *decisions_views.revisions(counters)], lambda: None)
    offered = site.choice("Revision", ["all"], lambda: None)
    site.offer(offered, ["all", *decisions_views.revisions(counters)])
    chart = site.chart(decisions._stacked(decisions_views.stack(counters.by_minute)), "Lines")  # noqa: SLF001
    site.redraw(chart, decisions._stacked(decisions_views.stack(counters.by_minute)))  # noqa: SLF001


def hostile_counters(text: str) -> Counters:
    """Counts of a decision that somebody wrote by hand."""
    [one, *_] = (one for one in every_decision() if any(line["missing"] for line in one["lines"]))
    for line in one["lines"]:
        line["determination"] = text
        line["policy"] |= {"number": text, "revision": text}
        for missing in line["missing"]:
            missing["fact"] = text
    made = Counters()
    made.decided(one | {"action": text}, AT, DecisionPosition(text, 0, 1))
    return made


def draw_trace(text: str) -> None:
    rows = ((text, text), (f"clinical.{text}", text))
    table = Section(text, columns=("line", "code"), lines=((text, text),))
    decisions._trace(TracePage(text, (Section(text, rows), table)))  # noqa: SLF001


def draw_now(text: str) -> None:
    now._draw(  # noqa: SLF001
        Now(
            Verdict("bad", text, (text,)),
            text,
            (Tile(text, text, text, "bad"),),
            (PartitionRow(0, text, 1, text, text, "bad", text),),
            (WorkerRow(text, "bad", text, text, text),),
            (Turn(text, 1, 2, 3),),
        )
    )


def draw_policy(text: str) -> None:
    row = RevisionRow(text, text, text, text, text, (text,) * 4, False, *(text,) * 6, 7)
    policy._draw(((text,), text, ((text, (row,), 3),)))  # noqa: SLF001


def shown_of(found: Settings, folder: Path, *, allow_redrive: bool) -> PageData:
    watch = Watch(found)
    parts = (watch, Reader(found), WorkerReadiness(watch), FollowedCases(found), UTC, folder)
    return PageData(found, *parts, allow_redrive, Records(found))


def draw_cases(text: str) -> None:
    told = shown_of(read(bootstrap="127.0.0.1:1"), Path("reports"), allow_redrive=True)
    page = cases._Cases(told, Filter(acts_next="provider"))  # noqa: SLF001
    page.draw()
    row = CaseRow(dict.fromkeys(COLUMNS, text), "0" * 32, overdue=True)
    for rows in ((row,), (row, row), ()):
        page.show(CasesPage(text, rows, text))


def draw_audit(text: str) -> None:
    page = audit._Audit(shown_of(read(bootstrap="127.0.0.1:1"), Path("reports"), allow_redrive=True))  # noqa: SLF001
    page.draw()
    who = Actor(user=text, kafka_user=text, key=text)
    told = Acted(
        act="0" * 32,
        what="restore",
        who=who,
        arguments=Arguments(topics=(text, text), group=text, policy_number=text),
        outcome="done",
    )
    page._found = [Done(AT, None, told), Done(AT, AT, told.model_copy(update={"act": "1" * 32}))]  # noqa: SLF001
    page._list()  # noqa: SLF001


def draw_letters(text: str) -> None:
    found = read(bootstrap="127.0.0.1:1")
    page = dead_letters._Letters(shown_of(found, Path("reports"), allow_redrive=True))  # noqa: SLF001
    page.draw()
    many = [letter(text, f"{text}{number}") for number in range(2)]
    page._kept, page._count = many, 3  # noqa: SLF001
    page._list()  # noqa: SLF001
    page._show(many)  # noqa: SLF001
    dead_letters._plans([Becomes(text, text, text, True)])  # noqa: SLF001


def letter(text: str, name: str) -> StoredDeadLetter:
    event = json.dumps({"specversion": "1.0", "type": text, text: text, "data": {text: text, "clinical": {text: text}}})
    value = b64encode(event.encode("utf-8", "replace")).decode()
    content = {
        "reason": "schema_violation",
        "message": text,
        "errors": [{"path": text, "message": text}],
        "original": {"topic": text, "partition": 0, "offset": 1, "value_base64": value},
    }
    return StoredDeadLetter(name, AT, DeadLetter.model_validate_json(json.dumps(content)))


def draw_shared(text: str) -> None:
    site.label(text)
    site.heading(text)
    site.note("bad", text, (text,))
    site.empty(text, text)
    site.details([(text, text)])
    site.block(text)
    site.way_to(text, "replays", text)
    with site.fold(text):
        site.label(text)
    site.entry(text, text)
    site.table((("name", text),), [{"name": text}], "name")


DRAWINGS: dict[str, Callable[[str], None]] = {
    "decisions": draw_decisions,
    "trace": draw_trace,
    "now": draw_now,
    "policy": draw_policy,
    "cases": draw_cases,
    "letters": draw_letters,
    "audit": draw_audit,
    "shared": draw_shared,
}


@pytest.mark.parametrize("part", DRAWINGS)
def test_no_character_of_data_does_anything_to_a_page(part: str) -> None:
    for text in (*HOSTILE, EVERYTHING):
        page = client()
        with page:
            DRAWINGS[part](text)
        assert (dangerous(page), tags(page) & RAW) == (set(), set()), text


@given(DATA)
@settings(max_examples=50)
def test_any_data_is_shown_as_text(text: str) -> None:
    page = client()
    with page:
        draw_trace(text)
        draw_policy(text)
        draw_decisions(text)

    assert (dangerous(page), tags(page) & RAW) == (set(), set())


def test_what_would_do_something_is_found() -> None:
    page = client()
    with page:
        ui.label("a\u202eb")
        ui.html("<b>", sanitize=False)

    assert (dangerous(page), tags(page) & RAW) == ({"\u202e"}, {"nicegui-html"})


def test_a_link_to_a_report_stays_among_the_reports() -> None:
    for text in (*HOSTILE, "../../etc/passwd", "a?b#c", "//evil.example", "%2e%2e"):
        page = client()
        with page:
            made = site.way_to("Open", "replays", text)
        href = str(made.props["href"])
        assert href.startswith("/replays/")
        assert not set(href.removeprefix("/replays/")) & set("/?#<>\"' "), href


def test_pages_show_data_through_what_they_share_alone() -> None:
    def made(file: Path) -> set[str]:
        tree = ast.walk(ast.parse(file.read_text("utf-8")))
        found = (one for one in tree if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name))
        return {one.attr for one in found if one.value.id == "ui"}  # type: ignore[attr-defined]  # a name, as asked above

    folder = ROOT / "workers/dashboard/pages"
    others = {file.name: made(file) - DRAWN for file in folder.glob("*.py") if file.name != "site.py"}

    assert {name: found for name, found in others.items() if found} == {}


def test_two_letters_that_look_alike_are_told_apart() -> None:
    found = read(bootstrap="127.0.0.1:1")
    page = client()
    with page:
        shown = dead_letters._Letters(shown_of(found, Path("reports"), allow_redrive=True))  # noqa: SLF001
        shown.draw()
        shown._kept = [letter("x", "a\u202e"), letter("x", "a\\u202e"), letter("x", "a\\u202e")]  # noqa: SLF001
        shown._list()  # noqa: SLF001
        rows = shown._table.rows  # noqa: SLF001
        shown._table.selected = rows[1:2]  # noqa: SLF001
        chosen = shown._chosen({str(number): one for number, one in enumerate(shown._kept)})  # noqa: SLF001

    assert len({row["number"] for row in rows}) == 3
    assert chosen == [shown._kept[1]]  # noqa: SLF001


def test_reports_are_data_too(tmp_path: Path) -> None:
    for number, text in enumerate(HOSTILE):
        name = text.replace("/", "_").replace("\x00", "_").encode("utf-8", "replace").decode()[:100]
        summary = {"identical": {"all": 1}, "requests": 1, "complete": True, text: 3, "lines": {text: 1}}
        (tmp_path / f"{number}{name}.jsonl").write_text(json.dumps({"summary": summary}) + "\n", "utf-8")
        (tmp_path / f"{number}{name}.html").write_text(IMAGE, "utf-8")
    found = read(bootstrap="127.0.0.1:1")
    page = client()
    with page:
        replays._draw(shown_of(found, tmp_path, allow_redrive=False), reports(tmp_path))  # noqa: SLF001

    assert sum("were identical" in one or "are identical" in one for one in texts(page)) == len(HOSTILE)
    assert (dangerous(page), tags(page) & RAW) == (set(), set())


# --- over HTTP ---


ADDRESSES = ("/{}", "/replays/{}", "/replays/{}.html", "/decisions?request={}", "/dead-letters?{}=1", "/{}/decisions")


def answers(url: str) -> Iterator[tuple[int, str, str]]:
    for form in ADDRESSES:
        for text in HOSTILE[:-1]:
            address = url + form.format(quote(text.encode("utf-8", "replace")[:2_000], safe=""))
            try:
                with urlopen(address, timeout=20) as answer:  # noqa: S310 (on loopback)
                    yield answer.status, str(answer.headers["content-type"]), answer.read().decode()
            except HTTPError as error:
                yield error.code, str(error.headers["content-type"]), error.read().decode()


@pytest.mark.broker
def test_no_address_and_no_record_brings_markup_into_a_page(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    found = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(found)
    write_by_hand(found.bootstrap, found.topic(DECISIONS), found.topic(DEAD_LETTERS))
    with dashboard(found, tmp_path) as url:

        def page(path: str) -> str:
            with urlopen(url + path, timeout=20) as answer:  # noqa: S310 (on loopback)
                return str(answer.read().decode())

        assert eventually(lambda: f"{len(HOSTILE)} decisions" in page("/decisions"))
        pages = {path: page(path) for path in PAGES}
        asked = list(answers(url))

    for told in pages.values():
        assert "<img" not in told
        assert "pwned='script'</script>" not in told
        assert unseen(told.replace("\n", "")) == set()
    assert {status for status, _, _ in asked} <= {200, 404, 405}
    for _, kind, told in asked:
        assert not kind.startswith("text/html") or ("<img" not in told and "<svg/" not in told)
        assert not kind.startswith("text/html") or unseen(told.replace("\n", "")) == set()
