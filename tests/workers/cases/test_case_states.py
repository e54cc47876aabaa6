"""The store of cases: whoever takes over knows what was committed, and finds what is due, in order."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from events.case import Case
from events.field_types import instant
from events.topics import CASE_EVENTS, CASES
from tests.support.case_lives import case_for, stored
from tests.support.reviews import pended_request
from workers.cases import lifecycle
from workers.cases.case_states import CaseStates
from workers.kafka.records import OutgoingRecord, Record
from workers.state.changelog import Change

NOW = 1_749_200_000_000
DAY = 86_400_000


class Log:
    """The changelog's one partition."""

    topic = CASES

    def __init__(self) -> None:
        self.changes: list[Change] = []

    async def end(self, partition: int) -> int:  # noqa: ARG002 (one partition)
        return len(self.changes)

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Change]]:  # noqa: ARG002 (as above)
        for change in self.changes[start:end]:
            yield [change]


class Kept:
    """The cases of one partition, through takeovers and losses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = Log()
        self.now = NOW
        self.states = CaseStates(folder, self.log, 100 * DAY, clock=lambda: self.now / 1000)

    def take_over(self) -> None:
        asyncio.run(self.states.assigned(0, 0))

    def commit(self, *cases: Case) -> None:
        """One batch: its records are committed, its entries are final after the next."""
        sent = [OutgoingRecord(CASES, case.request_id.encode(), case.packed()) for case in cases]
        for one in sent:
            self.log.changes.append(Change(len(self.log.changes), one.key, one.value, self.now))
        record = Record(CASE_EVENTS, 0, 0, self.now, b"", b"")
        self.states.after_commit(0, [record], sent, {CASES: len(self.log.changes)})

    def due(self, until: int) -> list[str]:
        return [request.decode() for request in self.states.due(0, until)]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    made = Kept(tmp_path / "cases")
    made.take_over()
    return made


def case(name: str, day: int = 2) -> Case:
    """A case that is due seven days after a day of June 2025, and announced a day before."""
    return case_for(pended_request(name, submitted_at=f"2025-06-{day:02d}T09:30:00-05:00"))


def moment(made: Case) -> int:
    found = lifecycle.next_moment(made)
    assert found is not None
    return round(found.timestamp() * 1000)


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_a_case_is_found_as_it_was_last_committed(kept: Kept, batches: int) -> None:
    made = case("PA-1")
    for _ in range(batches):
        kept.commit(made)
        made = stored(lifecycle.passed(made, made.due or instant("2025-06-09T00:00:00Z")))
    kept.commit(made)
    assert kept.states.find(0, b"PA-1") == made
    assert kept.states.find(0, b"PA-2") is None


@pytest.mark.parametrize("lost", [False, True])
def test_a_new_owner_knows_what_was_committed(kept: Kept, *, lost: bool) -> None:
    first, second = case("PA-1"), case("PA-2", 3)
    kept.commit(first, second)
    kept.commit(stored(lifecycle.passed(second, second.due or instant("2025-06-10T00:00:00Z"))))
    kept.states.revoked(0)
    if lost:
        shutil.rmtree(kept.folder)
    kept.take_over()
    assert kept.states.find(0, b"PA-1") == first
    found = kept.states.find(0, b"PA-2")
    assert found is not None
    assert found.announced == ("due_soon", "overdue")
    assert kept.due(moment(first)) == ["PA-1"]
    assert kept.states.next_due(0) == moment(first)


def test_what_is_due_comes_in_order_of_time_and_not_before(kept: Kept) -> None:
    early, late = case("PA-9", 2), case("PA-1", 4)
    kept.commit(late)
    kept.commit(early)
    assert kept.states.next_due(0) == moment(early)
    assert kept.due(moment(early) - 1) == []
    assert kept.due(moment(early)) == ["PA-9"]
    assert kept.due(moment(late)) == ["PA-9", "PA-1"]


@pytest.mark.parametrize("batches_between", [0, 1])
def test_a_moment_that_has_passed_is_not_due_again(kept: Kept, batches_between: int) -> None:
    made = case("PA-1")
    kept.commit(made)
    for number in range(batches_between):
        kept.commit(case(f"PA-{number + 2}", 20))
    soon = stored(lifecycle.passed(made, instant("2025-06-08T14:30:00Z")))
    kept.commit(soon)
    assert kept.due(moment(made)) == []
    assert kept.states.next_due(0) == moment(soon)
    kept.commit(stored(lifecycle.passed(soon, instant("2025-06-09T14:30:00Z"))))
    assert "PA-1" not in kept.due(NOW + 900 * DAY)


def test_several_states_of_a_case_in_a_batch_leave_one_moment(kept: Kept) -> None:
    made = case("PA-1")
    over = stored(lifecycle.passed(made, instant("2025-06-09T14:30:00Z")))
    kept.commit(made, over)
    kept.commit()
    kept.states.revoked(0)
    kept.take_over()
    assert kept.due(NOW + 900 * DAY) == []
    assert kept.states.next_due(0) is None


def test_a_record_that_is_no_case_changes_nothing(kept: Kept) -> None:
    kept.log.changes.append(Change(0, b"PA-1", b"nonsense", NOW))
    kept.states.revoked(0)
    with capture_logs() as logs:
        kept.take_over()
    assert kept.states.find(0, b"PA-1") is None
    assert [one["event"] for one in logs if one["log_level"] == "error"] == ["case_unreadable"]


def test_a_deleted_case_is_gone(kept: Kept) -> None:
    made = case("PA-1")
    kept.commit(made)
    kept.log.changes.append(Change(1, b"PA-1", None, NOW))
    kept.states.revoked(0)
    kept.take_over()
    assert kept.states.find(0, b"PA-1") is None
    assert kept.states.next_due(0) is None


def test_a_deadline_of_long_ago_is_still_due_after_a_sweep(kept: Kept) -> None:
    """What expires is a case that was opened long ago, not a deadline that passed long ago."""
    kept.commit(case_for(pended_request("PA-OLD", submitted_at="2016-06-02T09:30:00-05:00"), at=NOW))
    for number in range(6):
        kept.now += DAY // 2
        kept.commit(*(case_for(pended_request(f"PB-{number}-{n}"), at=kept.now) for n in range(200)))
    assert kept.due(NOW)[:1] == ["PA-OLD"]


def test_expired_cases_leave_the_disk(kept: Kept) -> None:
    kept.commit(*(case(f"PA-{number}") for number in range(300)))
    kept.now += 200 * DAY
    for number in range(4):
        kept.now += DAY
        kept.commit(*(case_for(pended_request(f"PB-{number}-{n}"), at=kept.now) for n in range(200)))
    assert kept.states.find(0, b"PA-7") is None
    assert kept.states.find(0, b"PB-0-7") is not None
