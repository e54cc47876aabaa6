"""The naive reckoning of cases says what the state table of the contract says, row by row."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.naive_cases import Lives, Rules, lives
from tests.support.naive_figures import naive_figures

Json = dict[str, Any]
RULES = Rules(
    {"commercial": "MS"},
    frozenset({"commercial"}),
    {"standard": timedelta(days=7), "expedited": timedelta(hours=48)},
    {"standard": timedelta(hours=24), "expedited": timedelta(hours=8)},
)
SUBMITTED, DECIDED, REVIEWED = "2026-03-02T09:00:00-06:00", "2026-03-02T09:00:01-06:00", "2026-03-03T09:00:00-06:00"
DUE = "2026-03-09T09:00:00-06:00"


def request(request_id: str = "R1", certification: str = "initial", npi: str = "1234567893", lines: int = 1) -> Json:
    service = {"system": "cpt", "code": "38242", "units": 2, "service_date": "2026-04-01"}
    return {
        "request_id": request_id,
        "certification": certification,
        "urgency": "standard",
        "submitted_at": SUBMITTED,
        "member": {"line_of_business": "commercial"},
        "provider": {"npi": npi},
        "service_lines": [{"line": number, **service} for number in range(1, lines + 1)],
    }


def decided(*determinations: str, of: Json | None = None) -> Json:
    of = of or request(lines=len(determinations))
    actions = {"medically_necessary": "A1", "cancelled": "C"}
    lines = [
        {"line": number, "system": "cpt", "code": "38242", "determination": each, "action": actions.get(each, "A4")}
        for number, each in enumerate(determinations, start=1)
    ]
    due = DUE if "information_needed" not in determinations and any(line["action"] == "A4" for line in lines) else None
    decision = {"decision_id": f"{of['request_id']}-0", "due_at": due, "lines": lines}
    return {"kind": "decided", "at": DECIDED, "request": of, "decision": decision}


def verdict(
    action: str = "A1", lines: tuple[int, ...] = (1,), id_: str = "V1", sees: str = "R1-0", **named: Any
) -> Json:
    adverse = {"reasons": ["41"], "text": "Not met."} if action != "A1" else {}
    less = {"authorized": {"code": "38242", "units": 1}} if action == "A6" else {}
    data = {
        "verdict_id": id_,
        "request_id": "R1",
        "decision_id": sees,
        "reviewer": {"role": "physician", "license_state": "MS"},
        "evaluated": True,
        "concurrence": True,
        "lines": [{"line": line, "action": action, **adverse, **less} for line in lines],
        "decided_at": REVIEWED,
        **named,
    }
    return {"kind": "reviewed", "at": REVIEWED, "verdict": data, "gives": f"R1-{id_}"}


def extension(until: str = "2026-03-12T09:00:00-06:00", id_: str = "E1") -> Json:
    data = {"extension_id": id_, "request_id": "R1", "until": until, "reason": "Records are awaited."}
    return {"kind": "extended", "at": REVIEWED, "extension": data, "gives": f"R1-{id_}"}


def superseding(certification: str = "revision", npi: str = "1234567893") -> tuple[Json, Json]:
    later = request("R2", certification, npi) | {"supersedes": "R1"}
    determination = "cancelled" if certification == "cancellation" else "medically_necessary"
    return (
        decided(determination, of=later),
        {"kind": "superseding", "at": REVIEWED, "request_id": "R1", "by": later},
    )


def after(*log: Json) -> Lives:
    return lives(log, RULES)


def state(*log: Json) -> str:
    return str(after(*log).cases["R1"]["state"])


REVIEW = decided("criteria_not_met")
DENIED = (REVIEW, verdict("A3"))


@pytest.mark.parametrize(
    ("business", "due"), [("commercial", "2026-03-10T09:00:00-06:00"), ("fep", None), ("state_and_school", None)]
)
def test_a_verdict_starts_a_clock_only_where_there_is_one(business: str, due: str | None) -> None:
    asked = request(lines=2)
    asked["member"]["line_of_business"] = business
    found = after(decided("information_needed", "criteria_not_met", of=asked), verdict("A1", (1,)))

    assert found.cases["R1"]["due_at"] == due


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ((decided("medically_necessary"),), "final"),
        ((REVIEW,), "recommended"),
        ((decided("criteria_not_met", "information_needed"),), "waiting"),
        ((decided("invalid_code"),), "waiting"),
        (DENIED, "final"),
        ((decided("information_needed"), verdict("A1")), "final"),
        ((decided("criteria_not_met", "information_needed"), verdict("A1", (2,))), "recommended"),
        ((decided("criteria_not_met", "information_needed"), verdict("A1", (1,))), "waiting"),
        ((REVIEW, *superseding()), "superseded"),
        ((REVIEW, *superseding("cancellation", "1999999984")), "cancelled"),
        ((decided("medically_necessary"), *superseding("cancellation")), "cancelled"),
        ((decided("medically_necessary"), *superseding("cancellation", "1999999984")), "final"),
        ((*DENIED, *superseding("cancellation")), "final"),
        ((decided("medically_necessary"), *superseding("renewal")), "final"),
        ((*DENIED, *superseding("reconsideration")), "final"),
    ],
)
def test_each_row_of_the_state_table(log: tuple[Json, ...], expected: str) -> None:
    assert state(*log) == expected


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ((verdict(),), [("unknown_request", "V1")]),
        ((extension(),), [("unknown_request", "E1")]),
        ((*DENIED, *superseding("revision")), [("link", "R2")]),
        ((*DENIED, *superseding("reconsideration")), []),
        ((REVIEW, *superseding(), verdict()), [("verdict_refused", "V1")]),
        ((REVIEW, *superseding("cancellation"), extension()), [("verdict_refused", "E1")]),
        ((*DENIED, verdict(id_="V2")), [("verdict_refused", "V2")]),
        ((*DENIED, verdict(id_="V2", sees="R1-V1", amends="V1")), []),
        ((REVIEW, verdict(), verdict("A3", id_="V2", sees="R1-V1", amends="V1")), [("verdict_refused", "V2")]),
        ((REVIEW, verdict(), verdict()), []),
        ((REVIEW, verdict(), verdict("A3")), [("conflicting_duplicate", "V1")]),
        ((REVIEW, verdict("A3", concurrence=False)), [("verdict_refused", "V1")]),
        ((REVIEW, verdict("A3", reviewer={"role": "physician", "license_state": "TX"})), [("verdict_refused", "V1")]),
        ((REVIEW, verdict(reviewer={"role": "medical_policy"})), [("verdict_refused", "V1")]),
        ((decided("not_addressed"), verdict(reviewer={"role": "medical_policy"})), []),
        ((REVIEW, verdict("A6")), []),
        ((decided("invalid_code"), verdict()), [("verdict_refused", "V1")]),
        ((REVIEW, extension("2026-03-08T09:00:00-06:00")), [("verdict_refused", "E1")]),
        ((decided("information_needed"), extension()), [("verdict_refused", "E1")]),
    ],
)
def test_what_is_refused_is_named_and_changes_nothing(log: tuple[Json, ...], expected: list[Any]) -> None:
    assert after(*log).refused == expected


def test_each_deadline_is_announced_once() -> None:
    """Each deadline is announced once and an extension arms it again."""
    soon, past = (
        {"kind": "time", "at": "2026-03-08T09:00:00-06:00"},
        {"kind": "time", "at": "2026-03-09T09:00:01-06:00"},
    )

    assert after(REVIEW, soon).cases["R1"]["announced"] == ["due_soon"]
    assert after(REVIEW, past, past).cases["R1"]["announced"] == ["due_soon", "overdue"]
    assert after(REVIEW, past, extension(), past).cases["R1"]["announced"] == []
    assert after(*DENIED, past).cases["R1"]["announced"] == []


def test_the_clock_starts_when_nothing_is_missing_any_more() -> None:
    """The clock starts when no line needs information any more."""
    log = decided("criteria_not_met", "information_needed"), verdict("A1", (2,))

    assert after(log[0]).cases["R1"]["due_at"] is None
    assert after(*log).cases["R1"]["due_at"] == "2026-03-10T09:00:00-06:00"


def test_the_lives_give_the_figures_of_their_year() -> None:
    cases = list(after(*DENIED, *superseding("reconsideration")).cases.values())
    found = naive_figures(cases, (), "America/Chicago", 2026)

    assert (found["denials"], found["appeals"], found["4"]["percent"]) == ({"count": 1}, {"count": 1}, 100.0)
    assert found["8"]["average_seconds"] == 24 * 3600
