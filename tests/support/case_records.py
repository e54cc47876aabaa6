"""Cases as records of `authorization.cases`, and the naive way to count the open ones."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from events.case import Case, CaseLine
from events.topics import CASES
from workers.configuration.settings import Settings
from workers.kafka import clients
from workers.work_list.open_cases import OpenCases

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ASKS = {
    "information_needed": "provider",
    "invalid_code": "provider",
    "investigational": "physician_reviewer",
    "not_addressed": "medical_policy_reviewer",
    "no_prior_authorization": "case_management",
}
"""Who acts next on a line with a determination."""


def line(number: int = 1, determination: str = "investigational", action: str = "A4") -> CaseLine:
    """One line of a case."""
    acts_next = ASKS[determination] if action == "A4" else "nobody"
    return CaseLine(number, "cpt", "38242", 1, "2026-04-01", determination, action, acts_next)


def case(request_id: str = "R-1", **changes: Any) -> Case:
    """A case that waits for a physician and is due in an hour."""
    fields: dict[str, Any] = {
        "state": "recommended",
        "request_id": request_id,
        "decision_id": "0" * 32,
        "opened_at": round((NOW - HOUR).timestamp() * 1000),
        "certification": "initial",
        "urgency": "standard",
        "line_of_business": "commercial",
        "requester": "1234567893",
        "submitted_at": (NOW - 24 * HOUR).isoformat(),
        "lines": (line(),),
        "action": "A4",
        "clock_state": "running",
        "due_at": (NOW + HOUR).isoformat(),
    }
    return Case(**(fields | changes))


class Written(NamedTuple):
    """One record."""

    partition: int
    key: bytes
    value: bytes | None


def written(one: Case, partition: int = 0) -> Written:
    """The record of a case."""
    return Written(partition, one.request_id.encode(), one.packed())


def board_of(records: Iterable[Written], most: int = 1000) -> OpenCases:
    """The open cases of records, read in their order."""
    board, offsets = OpenCases(most), Counter[int]()
    for one in records:
        board.take(one.partition, offsets[one.partition], one.key, one.value)
        offsets[one.partition] += 1
    return board


def publish_cases(found: Settings, records: Iterable[Written]) -> None:
    """Write records to the topic of cases, each to its partition."""
    with clients.producer(found) as producer:
        for one in records:
            producer.send(found.topic(CASES), one.value, key=one.key, partition=one.partition)
        producer.flush()


def newest(records: Iterable[Written]) -> Mapping[bytes, bytes]:
    """What a compacted topic has of each key."""
    found: dict[bytes, bytes] = {}
    for one in records:
        if one.value is None:
            found.pop(one.key, None)
        else:
            found[one.key] = one.value
    return found


@st.composite
def cases(draw: st.DrawFn, request_id: str) -> Case:
    """A case in any state."""
    state = draw(st.sampled_from(["recommended", "waiting", "final", "superseded", "cancelled"]))
    kinds = draw(st.lists(st.sampled_from(sorted(ASKS)), min_size=1, max_size=3))
    lines = tuple(
        line(number, kind, draw(st.sampled_from(["A4", "A1"])) if number > 1 else "A4")
        for number, kind in enumerate(kinds, 1)
    )
    clock = draw(st.sampled_from(["running", "waiting_for_information", "no_clock"]))
    due = (NOW + draw(st.integers(-72, 72)) * HOUR).isoformat() if clock == "running" else None
    return case(
        request_id,
        state=state,
        lines=lines,
        clock_state=clock,
        due_at=due,
        urgency=draw(st.sampled_from(["standard", "expedited"])),
        submitted_at=(NOW - draw(st.integers(0, 500)) * HOUR).isoformat(),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Written]:
    """Records of a few cases, each case in one partition, in one order."""
    records = []
    for _ in range(draw(st.integers(0, 25))):
        number = draw(st.integers(0, 7))
        if draw(st.integers(0, 9)) == 0:
            records.append(Written(number % 3, f"R-{number}".encode(), None))
        else:
            records.append(written(draw(cases(f"R-{number}")), number % 3))
    return records
