"""Filters of the work list: what each lets through, in which order, and as an address."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.case_records import HOUR, NOW, Written, board_of, case, histories, line, written
from workers.work_list.filters import CHOICES, Filter, FilterError, chosen, filter_of

BEFORE = st.integers(-72, 72).map(lambda hours: NOW + hours * HOUR)
FILTERS = st.builds(
    Filter,
    **{name: st.none() | st.sampled_from(values) for name, values in CHOICES.items()},
    due_before=st.none() | BEFORE,
)


@given(FILTERS)
def test_a_filter_comes_back_from_its_address(wanted: Filter) -> None:
    assert filter_of(wanted.as_parameters()) == wanted


@given(histories(), FILTERS)
def test_overdue_cases_come_first_and_nothing_is_lost(records: list[Written], wanted: Filter) -> None:
    """A filter and its opposite have every case once; the overdue come first, then those due next."""
    board = board_of(records)
    found = chosen(board, wanted, NOW)

    assert sorted(found) == sorted(one for one in board if wanted.matches(one, NOW))
    overdue = [one.is_overdue(NOW) for one in found]
    assert overdue == sorted(overdue, reverse=True)
    dues = [one.due for one in found if one.due is not None]
    assert dues == sorted(dues)
    assert [one.due for one in found[len(dues) :]] == [None] * (len(found) - len(dues))


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ["late", "soon", "asks", "today"]),
        ({"due": "overdue"}, ["late"]),
        ({"due": "today"}, ["soon"]),
        ({"due": "unknown"}, ["asks"]),
        ({"due_before": "2026-03-03"}, ["late", "soon"]),
        ({"due_before": "2026-03-02T12:30:00Z"}, ["late"]),
        ({"acts_next": "provider"}, ["asks"]),
        ({"determination": "no_prior_authorization"}, ["today"]),
        ({"urgency": "expedited", "due": "overdue"}, ["late"]),
        ({"urgency": "", "line_of_business": "fep"}, []),
        ({"state": "waiting"}, ["asks"]),
    ],
)
def test_what_a_filter_lets_through(parameters: Mapping[str, str], expected: list[str]) -> None:
    board = board_of(
        written(one)
        for one in (
            case("late", due_at=(NOW - HOUR).isoformat(), urgency="expedited"),
            case("soon"),
            case("today", due_at=(NOW + timedelta(days=2)).isoformat(), lines=(line(1, "no_prior_authorization"),)),
            case(
                "asks",
                state="waiting",
                lines=(line(1, "information_needed"),),
                clock_state="waiting_for_information",
                due_at=None,
            ),
        )
    )

    assert {one.request_id for one in chosen(board, filter_of(parameters), NOW)} == set(expected)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"urgency": "urgent"}, "urgency is never urgent; it is one of standard, expedited"),
        ({"colour": "red"}, "there is no filter colour; there is acts_next, due"),
        ({"due_before": "soon"}, "due_before: neither a day nor an instant; write it as 2026-01-01"),
    ],
)
def test_a_filter_that_cannot_be_says_what_it_may_be(parameters: Mapping[str, str], says: str) -> None:
    with pytest.raises(FilterError) as raised:
        filter_of(parameters)

    assert str(raised.value).startswith(says)
