"""The board of open cases has the same numbers as a naive count of the topic, however it is read."""

from collections import Counter
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.case import case_of
from tests.support.case_records import HOUR, NOW, Written, board_of, case, histories, line, newest, written

MISSISSIPPI = ZoneInfo("America/Chicago")


@given(histories())
def test_the_counts_are_those_of_the_topic(records: list[Written]) -> None:
    """The counts are those of a naive count over the newest record of each key."""
    counts = board_of(records).counts(NOW)

    still = [found for found in map(case_of, newest(records).values()) if found.state in {"recommended", "waiting"}]
    waiting_for = {found.request_id: {line.acts_next for line in found.lines if line.action == "A4"} for found in still}
    late = {found.request_id for found in still if found.due is not None and found.due < NOW}
    assert counts.total == len(still)
    assert Counter(counts.by_clock_state) == Counter(found.clock_state for found in still)
    assert Counter(counts.by_actor) == Counter(who for each in waiting_for.values() for who in each)
    assert counts.overdue == len(late)
    assert Counter(counts.overdue_by_actor) == Counter(who for found in late for who in waiting_for[found])


@given(histories(), st.randoms(use_true_random=False))
def test_partitions_may_be_read_in_any_order(records: list[Written], random: object) -> None:
    """Partitions may be read in any order, and parts of them again: the cases at the same offsets are the same."""
    by_partition = [[one for one in records if one.partition == number] for number in range(3)]
    random.shuffle(by_partition)  # type: ignore[attr-defined]  # hypothesis' own Random
    board = board_of(one for partition in by_partition for one in partition)
    for partition in by_partition:
        for offset, one in enumerate(partition):
            board.take(one.partition, offset, one.key, one.value)

    once = board_of(records)
    assert sorted(board) == sorted(once)
    assert board.offsets == once.offsets


def test_a_case_is_overdue_after_its_due_date_and_not_at_it() -> None:
    board = board_of([written(case())])

    assert [board.counts(NOW + passed).overdue for passed in (HOUR, HOUR + timedelta(seconds=1))] == [0, 1]


def test_today_ends_where_the_policy_is() -> None:
    """22:00 in Mississippi is the next day in UTC."""
    late_evening = case(due_at="2026-03-03T04:00:00Z")
    counts = board_of([written(late_evening), written(case("R-2", due_at="2026-03-03T06:00:00Z"))])

    assert counts.counts(NOW, MISSISSIPPI).due_today == 1
    assert counts.counts(NOW).due_today == 0


def test_a_case_that_waits_for_two_counts_for_each() -> None:
    lines = (line(1, "information_needed"), line(2, "investigational"), line(3, "investigational"))
    counts = board_of([written(case(lines=lines, state="waiting"))]).counts(NOW)

    assert counts.total == 1
    assert {who: count for who, count in counts.by_actor.items() if count} == {"provider": 1, "physician_reviewer": 1}


def test_beyond_its_room_cases_are_left_out_and_it_says_so() -> None:
    board = board_of([written(case(f"R-{number}")) for number in range(5)], most=3)

    assert (len(board), board.left_out) == (3, 2)


def test_a_case_is_found_by_a_reference_without_its_id() -> None:
    board = board_of([written(case())])
    [found] = board

    assert board.find(found.reference) == found
    assert found.request_id not in found.reference
    assert [board.find(reference) for reference in ("", "00", "R-1")] == [None, None, None]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"R-1", b"{}"),
        (b"R-1", b"\xff"),
        (b"R-2", case("R-1").packed()),
        (None, case("R-1").packed()),
        (b"R-1", case("R-1", due_at="tomorrow").packed()),
    ],
)
def test_a_record_that_is_no_case_is_refused_and_passed(key: bytes | None, value: bytes) -> None:
    board = board_of([])
    with pytest.raises(ValueError, match=r"^(is no case|has |should be )"):
        board.take(0, 7, key, value)

    assert (len(board), board.offsets) == (0, {0: 8})
