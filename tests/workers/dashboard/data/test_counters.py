"""What is kept of decisions: the right counts, and never more than was allowed."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from policy_core.history.chain import chain_of
from tests.support.cases import packaged
from tests.support.every_decision import EXAMPLES, every_decision
from workers.dashboard.data import counters as kept
from workers.dashboard.data.counters import Counters, DecisionPosition, Mix
from workers.dashboard.data.revisions import Publications
from workers.dashboard.views.decisions import decisions, stack
from workers.dashboard.views.policy import before_any, changed, revisions
from workers.state.request_digests import digest

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = "L.2.03.402"


def example(kind: str, name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((EXAMPLES / kind / "valid" / f"{name}.json").read_bytes())["data"]
    return data


def counted(some: list[dict[str, Any]]) -> Counters:
    made = Counters()
    for number, one in enumerate(some):
        made.decided(one, AT + timedelta(minutes=number), DecisionPosition("decisions", 0, number))
    return made


def test_every_decision_and_line_is_counted_once() -> None:
    some = every_decision()
    found = decisions(counted(some))

    lines = Counter(line["determination"].replace("_", " ") for one in some for line in one["lines"])
    shown: Counter[str] = Counter()
    for row in found.mix:
        shown.update(dict(row.shares))
        assert row.lines == sum(count for _, count in row.shares)
    assert (found.count, shown) == (len(some), lines)
    asked = Counter(fact for one in some for fact in {m["fact"] for line in one["lines"] for m in line["missing"]})
    assert {row.fact: row.decisions for row in found.asked} == dict(asked)
    assert "MBR" not in repr(found)


def test_the_chart_has_every_line_under_one_revision_or_all() -> None:
    made = counted(every_decision())
    every = stack(made.by_minute)
    one = stack(made.by_minute, f"{POLICY} 2025-03-28")

    assert sum(sum(band) for _, band in every.bands) == made.lines.total()
    of_one = sum(count for (revision, _), count in made.lines.items() if revision == (POLICY, "2025-03-28"))
    assert 0 < sum(sum(band) for _, band in one.bands) == of_one < made.lines.total()
    assert {len(band) for _, band in every.bands} == {len(every.starts)}
    assert stack(made.by_minute, "no such").bands == ()


def test_buckets_without_lines_are_there_and_old_ones_go() -> None:
    mix = Mix(timedelta(minutes=1), most=3)
    for minute in (0, 4, 5, 6, 1):
        mix.take(AT + timedelta(minutes=minute, seconds=59), (POLICY, "2025-03-28"), "cancelled")

    assert [start.minute for start in mix.buckets()] == [4, 5, 6]
    gap = Mix(timedelta(minutes=1), most=10)
    for minute in (0, 3):
        gap.take(AT + timedelta(minutes=minute), (POLICY, "2025-03-28"), "cancelled")
    assert stack(gap).bands == (("cancelled", (1, 0, 0, 1)),)


def test_nothing_grows_with_the_number_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POINTERS", "WAITING"):
        monkeypatch.setattr(kept, name, 5)
    one = example("authorization.decided.v1", "minimal")
    made = Counters()
    for number in range(50):
        made.decided(one | {"request_id": f"PA-{number}"}, AT, DecisionPosition("decisions", 0, number))
        made.latencies.asked(f"asked-{number}".encode(), 0)
        made.latencies.answered(f"answered-{number}".encode(), 0)

    assert (made.decisions, len(made.places)) == (50, 5)
    assert (len(made.latencies._requests), len(made.latencies._answers)) == (5, 5)  # noqa: SLF001 (what must not grow)
    assert made.place_of(digest(b"PA-49").hex()) == ("decisions", 0, 49)
    assert [made.place_of(reference) for reference in (digest(b"PA-1").hex(), "", "PA-49")] == [None] * 3


def test_a_dead_letter_is_found_unless_there_is_a_decision() -> None:
    """A dead letter is found by its request's id; a decision on the request is found first."""
    made, [decided, refused] = Counters(), [DecisionPosition("decisions", 0, 1), DecisionPosition("dead-letters", 0, 2)]
    made.put_aside({"reason": "schema_violation", "request_id": "PA-1"}, refused)
    made.put_aside({"reason": "undecodable"}, refused)
    found = made.place_of(digest(b"PA-1").hex())
    made.decided(example("authorization.decided.v1", "minimal") | {"request_id": "PA-1"}, AT, decided)
    made.put_aside({"reason": "conflicting_duplicate", "request_id": "PA-1"}, refused)

    assert (found, made.place_of(digest(b"PA-1").hex())) == (refused, decided)
    assert made.letters.total() == 3


# --- revisions -----------------------------------------------------------------------------------------------------


def test_revisions_are_shown_with_their_proofs_and_decisions() -> None:
    """Revisions are shown with what was proved about them and what was decided under them."""
    known, chain = Publications(), chain_of(packaged().document)
    for one in chain:
        known.accepted(one)
    for name in ("2016-03-08", "2025-03-28"):
        known.attested(example("policy.revision.attested.v1", name))
    rows = revisions(known.revisions(POLICY), {(POLICY, "2025-03-28"): 7, (POLICY, "none"): 2})
    by_date = {row.date: row for row in rows}

    assert [row.date for row in rows] == [one.revision.isoformat() for one in reversed(chain.links)]
    assert {row.date: row.decisions for row in rows if row.decisions} == {"2025-03-28": 7}
    assert [by_date[day].on_record for day in ("2025-03-28", "2016-03-08", "1998-08-01")] == [True, True, False]
    assert "Equivalent: all 46,656" in rows[0].changed
    assert by_date["2016-03-08"].changed == "32,400 of 46,656 cases are decided otherwise."
    assert by_date["2016-03-08"].changes
    assert "not proved" in by_date["2024-04-29"].changed
    assert rows[-1].changed == "The first on record."
    assert {row.signed for row in rows} == {"signed by nobody"}
    assert before_any(POLICY, {(POLICY, "none"): 2}) == 2


def lines(*codes: str, members: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"days": [{"since": "2019-10-01"}], "codes": list(codes), "lines_of_business": list(members)}


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ([[lines("icd-10-pcs 30253Q1", "icd-10-pcs 30263Q1")]], "Only 30253Q1 and 30263Q1 change."),
        ([[lines("cpt 86950")], [lines("cpt 86950")]], "Only 86950 changes."),
        ([[lines("cpt 1")], [lines("cpt 2", "cpt 3", members=("commercial", "any other"))]], "Only 1, 2 and 3 change."),
        (
            [[lines(members=("fep",))], [lines(members=("state_and_school",))]],
            "for members of fep and state and school",
        ),
        ([[lines("cpt 1", members=("fep",))]], "Only 1 changes for members of fep."),
        ([[lines("cpt 1")], [lines()]], "Every case is decided otherwise."),
        ([[lines(*(f"cpt {number}" for number in range(5)))]], "Every case is decided otherwise."),
        ([[lines("cpt 1"), lines()]], "Every case is decided otherwise."),
        ([], "Every case is decided otherwise."),
    ],
)
def test_the_time_line_says_what_alone_changes(where: list[list[dict[str, Any]]], says: str) -> None:
    """The time line names the codes and members that alone are concerned, rather than every case."""
    known, newest = Publications(), chain_of(packaged().document).links[-1]
    known.accepted(newest)
    answers = {"before": {"determination": "invalid_code"}, "after": {"determination": "not_addressed"}}
    changes = [{"aspect": "codes", **answers, "where": one, "cases": 46_656} for one in where]
    event = {"equivalent": False, "cases": 46_656, "cases_that_change": 46_656, "changes": changes}
    known.attested({"policy_number": POLICY, "after": {"digest": newest.digest}, **event})
    [revision] = known.revisions(POLICY)

    assert says in changed(revision.proof)
