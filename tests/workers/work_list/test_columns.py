"""A case as a row: for people, for programs, and for spreadsheets."""

import csv
import io
from datetime import timedelta

import pytest
from hypothesis import given

from tests.support.case_records import HOUR, NOW, Written, board_of, case, histories, line, written
from workers.work_list.columns import COLUMNS, FIELDS, as_csv, as_json, lasting, row


def test_a_row_says_who_acts_next_and_by_when() -> None:
    [late] = board_of(
        [written(case(due_at=(NOW - 3 * HOUR).isoformat(), lines=(line(), line(2, "information_needed"))))]
    )

    assert row(late, NOW) == {
        "request_id": "R-1",
        "acts_next": "a physician, the provider",
        "due": "2026-03-02 09:00 UTC, overdue by 3 hours",
        "age": "1 day",
        "urgency": "standard",
        "line_of_business": "commercial",
        "determinations": "investigational, information needed",
        "state": "recommended",
    }
    assert list(row(late, NOW)) == list(COLUMNS)


def test_what_has_no_deadline_says_why() -> None:
    [asks] = board_of([written(case(clock_state="waiting_for_information", due_at=None))])

    assert row(asks, NOW)["due"] == "waiting for information"
    assert as_json(asks, NOW)["due_at"] is None


@pytest.mark.parametrize(
    ("passed", "says"),
    [(-5, "0 min"), (0, "0 min"), (59, "59 min"), (60, "1 hour"), (119, "1 hour"), (1440, "1 day"), (4320, "3 days")],
)
def test_durations(passed: int, says: str) -> None:
    assert lasting(timedelta(minutes=passed)) == says


@given(histories())
def test_csv_has_every_case_and_field(records: list[Written]) -> None:
    board = board_of(records)
    names, *rows = csv.reader(io.StringIO(as_csv(board, NOW)))

    assert names == list(FIELDS)
    assert [one[0] for one in rows] == [one.request_id for one in board]


@pytest.mark.parametrize("request_id", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_no_cell_is_a_formula(request_id: str) -> None:
    """A cell that a spreadsheet would compute begins with an apostrophe."""
    _, [first, *_] = csv.reader(io.StringIO(as_csv(board_of([written(case(request_id))]), NOW)))

    assert first == f"'{request_id}"
