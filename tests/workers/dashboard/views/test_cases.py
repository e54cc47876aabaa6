"""The page *Cases*: the most urgent first, with what its filters may be."""

from datetime import UTC

import pytest

from tests.support.case_records import HOUR, NOW, board_of, case, line, written
from workers.dashboard.views.cases import MOST, NAMES, cases_page, options, problems
from workers.work_list.filters import CHOICES, Filter, filter_of
from workers.work_list.read_cases import Reading

LATE = case("R-late", due_at=(NOW - HOUR).isoformat())
SOON = case("R-soon")
ASKS = case("R-asks", lines=(line(1, "information_needed"),), clock_state="waiting_for_information", due_at=None)


def test_overdue_cases_come_first_with_links_to_their_traces() -> None:
    board = board_of(map(written, (ASKS, SOON, LATE)))
    page = cases_page(list(board), Filter(), NOW, UTC)

    assert page.headline == "3 open cases; 1 overdue"
    assert [(one.cells["request_id"], one.overdue) for one in page.rows] == [
        ("R-late", True),
        ("R-soon", False),
        ("R-asks", False),
    ]
    linked = [board.find(one.reference) for one in page.rows]
    assert [one and one.request_id for one in linked] == ["R-late", "R-soon", "R-asks"]


def test_a_filter_says_how_many_there_are_in_all() -> None:
    board = board_of(map(written, (ASKS, SOON, LATE)))

    assert cases_page(list(board), Filter(due="overdue"), NOW, UTC).headline == "1 open case of 3; 1 overdue"


def test_a_long_list_says_that_it_is_cut() -> None:
    board = board_of(written(case(f"R-{number}")) for number in range(MOST + 1))
    page = cases_page(list(board), Filter(), NOW, UTC)

    assert (len(page.rows), page.left) == (MOST, "The first 500 are shown; the file has all.")


@pytest.mark.parametrize("name", NAMES)
def test_every_choice_is_a_filter(name: str) -> None:
    """Every choice of the page is a filter, and so is every other value that an address may have."""
    for value in options(name, ""):
        assert filter_of({name: value}).as_parameters() == {name: value}
    assert all(value in options(name, value) for value in CHOICES[name])


def test_cases_that_are_not_read_are_said_to_be_unknown() -> None:
    assert problems(Reading()) == ("the cases are not read yet",)
    assert problems(Reading(None)) == ()
