"""The threat model: each attack names tests that exist, run and can fail, or is listed as a remaining risk."""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tests.support.places import ROOT

TESTS = ROOT / "tests"
PAGE = (ROOT / "deploy/security.md").read_text("utf-8")
NAMED = re.compile(r"`([^`\s]+::[^`\s]+)`")
TESTED, REMAINING = "tests", "Remaining risks"
WANTED = {
    "On the policy's revisions", "By a document", "By records", "On archives", "Over the web", "Over the gateway",
    "On people who read it", "On what must not be seen", "On Kafka itself", "By what it is built from",
    "By an operator's mistake",
}  # fmt: skip

Row = list[str]


def tables(page: str) -> Iterator[tuple[str, Row, list[Row]]]:
    """Every table of a page: the heading that it stands under, its own head, its rows."""
    heading, rows = "", list[Row]()
    for line in [*page.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
            continue
        if rows:
            yield heading, rows[0], rows[2:]
            rows = []
        if line.startswith("#"):
            heading = line.lstrip("# ")


def attacks(page: str) -> dict[str, list[Row]]:
    """The tables of attacks, by their headings."""
    return {heading: rows for heading, head, rows in tables(page) if head[-1] == TESTED}


@cache
def promises(path: str) -> dict[str, str | None]:
    """The tests that pytest collects from a file, each with why it shows nothing; None where it may show something."""
    file = TESTS / path
    if not (file.name.startswith("test_") and file.suffix == ".py" and file.is_file()):
        return {}
    return promises_of(file.read_text("utf-8"))


def promises_of(source: str) -> dict[str, str | None]:
    """The same of a source. A test stands at the top of its file; what has its name elsewhere is none."""
    found = ast.parse(source).body
    tests = [one for one in found if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {one.name: _idle(one) for one in tests if one.name.startswith("test_")}


def _idle(test: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    marks = {part.attr for one in test.decorator_list for part in ast.walk(one) if isinstance(part, ast.Attribute)}
    if marks & {"skip", "xfail"}:
        return "is not run, or may fail"
    called = (part.func for part in ast.walk(test) if isinstance(part, ast.Call))
    calls = {func.attr for func in called if isinstance(func, ast.Attribute)}
    asserts = any(isinstance(part, ast.Assert) for part in ast.walk(test))
    return None if asserts or calls & {"raises", "fail"} else "asserts nothing"


def problems(page: str, of: Callable[[str], dict[str, str | None]] = promises) -> list[str]:
    """What is wrong with a page's attacks."""
    found = []
    for heading, rows in attacks(page).items():
        for attack, holds, shown in rows:
            names = NAMED.findall(shown)
            if not (attack and holds and names) or NAMED.sub("", shown).strip():
                found.append(f"{heading}: {attack}: names no test, or something else beside one")
            for name in names:
                path, _, test = name.partition("::")
                why = of(path).get(test, "there is no such test")
                if why is not None:
                    found.append(f"{name}: {why}")
    return found


def test_every_attack_names_tests_that_exist_run_and_can_fail() -> None:
    """Every attack names tests that exist, that run and that can fail."""
    assert problems(PAGE) == []
    assert sum(map(len, attacks(PAGE).values())) > 60


def test_every_kind_of_attack_has_its_table() -> None:
    assert attacks(PAGE).keys() == WANTED


def test_an_attack_we_cannot_stop_has_a_reason_and_no_test() -> None:
    """A remaining risk has a reason and no test, and the page says who signs."""
    found = {heading: rows for heading, _, rows in tables(PAGE)}

    assert len(found[REMAINING]) >= 10
    assert [row for row in found[REMAINING] if NAMED.search(" ".join(row)) or not row[0]] == []
    assert [row[0] for row in found["Who signs"]] == ["security officer", "auditor"]


def test_every_link_within_the_page_leads_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}

    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= anchors


SOURCE = '''
"""Of test_told_of, a docstring."""
import pytest
# test_told_of: a comment

def test_sound(): assert held()
def test_raises():
    with pytest.raises(ValueError): attack()
def test_idle(): attack()
@pytest.mark.skip(reason="slow")
def test_skipped(): assert held()
@pytest.mark.parametrize("one", [pytest.param(1, marks=pytest.mark.xfail)])
def test_may_fail(one): assert held()
def helper():
    def test_within(): assert held()
name = "test_told_of"
'''


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ("`a.py::test_sound`", None),
        ("`a.py::test_raises` `a.py::test_sound`", None),
        ("", "a: names no test"),
        ("a good design", "a: names no test"),
        ("`a.py::test_sound`, and a good design", "or something else"),
        ("`a.py::test_away`", "a.py::test_away: there is no such test"),
        ("`a.py::test_told_of`", "there is no such test"),
        ("`a.py::test_within`", "there is no such test"),
        ("`a.py::helper`", "there is no such test"),
        ("`b.py::test_sound`", "there is no such test"),
        ("`a.py::test_idle`", "asserts nothing"),
        ("`a.py::test_skipped`", "is not run"),
        ("`a.py::test_may_fail`", "may fail"),
        ("`a.py::test_sound` `a.py::test_idle`", "asserts nothing"),
    ],
)
def test_a_row_that_nothing_holds_is_found(shown: str, why: str | None) -> None:
    page = f"### On a\n\n| attack | defence | tests |\n| --- | --- | --- |\n| a | b | {shown} |\n"
    found = problems(page, lambda path: promises_of(SOURCE) if path == "a.py" else {})

    assert [why in one for one in found if why is not None] == ([] if why is None else [True]), found


def test_a_missing_or_uncollected_file_has_no_tests() -> None:
    """A file that does not exist, or that pytest does not collect, has no tests."""
    assert promises("deploy/test_nowhere.py") == promises("deploy/runbook.py") == promises("") == {}
    assert "test_a_missing_or_uncollected_file_has_no_tests" in promises("deploy/test_threats.py")
