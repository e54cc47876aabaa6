"""How long an approval holds: whole calendar months, whatever their lengths."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_core.evaluate.deadline import months_after
from tests.support import naive

DAYS = st.dates(date(1, 1, 1), date(9900, 12, 31))
MONTHS = st.integers(0, 600)
FIRST_OF_A_MONTH = 1


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        ("2024-06-03", 6, "2024-12-03"),
        ("2024-08-31", 6, "2025-02-28"),
        ("2023-08-31", 6, "2024-02-29"),
        ("2024-08-29", 6, "2025-02-28"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2024-02-29", 48, "2028-02-29"),
        ("2024-12-31", 1, "2025-01-31"),
        ("2024-11-30", 1, "2024-12-30"),
        ("9900-12-31", 600, "9950-12-31"),
    ],
)
def test_a_month_later_is_the_same_day_or_the_months_last(day: str, months: int, expected: str) -> None:
    assert months_after(date.fromisoformat(day), months) == date.fromisoformat(expected)


@given(DAYS, MONTHS)
def test_it_is_that_many_months_later(day: date, months: int) -> None:
    later = months_after(day, months)

    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    shortened = later.day < day.day
    assert later.day == day.day or shortened
    assert not shortened or (later + timedelta(days=1)).day == FIRST_OF_A_MONTH


@given(DAYS, MONTHS)
def test_a_later_day_never_ends_earlier(day: date, months: int) -> None:
    assert months_after(day, months) <= months_after(day + timedelta(days=1), months)


@given(DAYS, MONTHS)
def test_the_second_evaluation_counts_months_alike(day: date, months: int) -> None:
    assert months_after(day, months) == naive.later_month(day, months)
