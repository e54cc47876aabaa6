"""Nothing in data does anything to a terminal or a page: neither a character nor what Rich would take for markup."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tests.support.commands import dli
from tests.support.places import ROOT
from tests.support.requests import request
from tests.support.unprintable import DATA, EVIL, UNSEEN, unseen
from workers.console.printable import counted, printable, printable_json
from workers.console.printing import OURS, DataConsole
from workers.process.logs import configure


def printed(*renderables: object) -> str:
    stream = io.StringIO()
    DataConsole(file=stream, width=4_000, soft_wrap=True).print(*renderables)
    return stream.getvalue()


@pytest.mark.parametrize("one", UNSEEN, ids=ascii)
def test_each_character_that_is_not_seen_is_escaped(one: str) -> None:
    assert unseen(one + "a") in ({one}, set() if one in OURS else {one})
    assert printable(f"a{one}b").isprintable()
    assert json.loads(printable_json(json.dumps(one, ensure_ascii=False))) == one


def test_an_escape_is_written_as_python_writes_it() -> None:
    assert printable("a\x1b\x9b\u202e\U000e0041\u00e9\u00a0z") == "a\\x1b\\x9b\\u202e\\U000e0041\u00e9\u00a0z"


@given(DATA)
def test_whatever_is_escaped_stays_as_it_is(text: str) -> None:
    once = printable(text)

    assert unseen(once) == set()
    assert printable(once) == once


@given(st.recursive(DATA, lambda below: st.lists(below, max_size=3) | st.dictionaries(DATA, below, max_size=3)))
def test_json_has_the_same_value(data: object) -> None:
    shown = printable_json(json.dumps(data, ensure_ascii=False))

    assert unseen(shown) == set()
    assert json.loads(shown) == data


@given(DATA)
def test_no_console_prints_anything_else(text: str) -> None:
    table = Table("a column", "another", text)
    table.add_row(text, Text(text), text)

    for one in (text, Text(text), Text.assemble((text, "bold")), Panel(text), table):
        assert unseen(printed(one)) == set()


@pytest.mark.parametrize("text", EVIL)
def test_data_is_shown_whole(text: str) -> None:
    table = Table("a column")
    table.add_row(text)

    assert printable(text) in printed(text)
    assert printable(text) in printed(table)


def test_a_log_for_people_has_no_controls(capsys: pytest.CaptureFixture[str]) -> None:
    import structlog  # noqa: PLC0415 (configured here)

    stream = io.StringIO()
    configure(level="WARNING", form="console", stream=stream)
    structlog.get_logger("any").warning("\x9b31m", detail="\u202e\x1b[2J")

    assert "\\x9b31m" in stream.getvalue()
    assert unseen(stream.getvalue()) == set()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("text", EVIL)
@pytest.mark.parametrize("command", [("-o", "table"), ("-o", "jsonl")])
def test_decide_shows_no_control(command: tuple[str, ...], text: str) -> None:
    ran = dli("decide", "-", *command, given=request(request_id=text, supersedes=f"{text}-0"))

    assert ran.code in {0, 3}, ran.err
    assert unseen(ran.out + ran.err) == set()


@pytest.mark.parametrize("text", [one for one in EVIL if one.isprintable()])
def test_explain_shows_an_id_whole(text: str) -> None:
    ran = dli("explain", "-", "--request", text, given=request(request_id=text))

    assert (ran.code, text in ran.out) == (0, True), ran.err


@pytest.mark.parametrize("text", EVIL)
def test_an_error_shows_what_it_is_about(text: str) -> None:
    ran = dli("decide", text)

    assert (ran.code, unseen(ran.out + ran.err)) == (1, set())
    assert printable(text) in ran.err


def test_pages_and_commands_print_by_these_alone() -> None:
    """No console of Rich's own, no label of NiceGUI's own, nothing printed around them."""
    ways = (
        "Console(",
        "rich.print",
        "ui.label(",
        "ui.markdown(",
        "ui.html(",
        "print_json(",
        "typer.echo(",
        "click.echo(",
    )
    known = {
        "workers/console/printing.py": {"Console(", "print_json("},
        "workers/dashboard/pages/site.py": {"ui.label("},
        "workers/dead_letters/commands.py": {"print_json("},
    }
    found = {
        (name, way)
        for file in sorted((ROOT / "workers").rglob("*.py"))
        for name in [file.relative_to(ROOT).as_posix()]
        for way in ways
        if way in file.read_text("utf-8").replace("DataConsole(", "") and way not in known.get(name, set())
    }

    assert found == set()


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "dead letter", "0 dead letters"),
        (1, "dead letter", "1 dead letter"),
        (2, "dead letter", "2 dead letters"),
        (1_200, "partition", "1,200 partitions"),
    ],
)
def test_a_count_has_its_noun_in_the_right_number(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text


@given(st.integers(min_value=2, max_value=10**12))
def test_many_are_never_one(number: int) -> None:
    assert counted(number, "record").replace(",", "") == f"{number} records"
