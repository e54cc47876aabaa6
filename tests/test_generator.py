"""The generator keeps its promises: repeatable, exactly as malformed as asked, and of every kind."""

import json
from collections import Counter
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import pytest

from tests.support import generator, naive

SEED = 20250328


@cache
def ten_thousand() -> list[dict[str, Any]]:
    made = list(generator.requests(SEED, 10_000))
    return [item for item in made if isinstance(item, dict)]


def test_a_seed_always_makes_the_same_items() -> None:
    """A seed makes the same items every time, and another seed makes others."""
    first = [generator.encode(item) for item in generator.requests(1, 500, 0.3)]
    assert first == [generator.encode(item) for item in generator.requests(1, 500, 0.3)]
    assert first != [generator.encode(item) for item in generator.requests(2, 500, 0.3)]


def test_malformed_items_leave_the_others_as_they_were() -> None:
    sound = list(generator.requests(3, 400))
    for was, item in zip(sound, generator.requests(3, 400, 0.25), strict=True):
        same = generator.encode(item) == generator.encode(was)
        assert (generator.kind_of(item) is None) == same


@pytest.mark.parametrize(("count", "share"), [(0, 0.5), (1, 1.0), (99, 0.0), (1000, 0.013), (777, 0.5)])
def test_exactly_the_asked_number_is_malformed(count: int, share: float) -> None:
    kinds = [generator.kind_of(item) for item in generator.requests(4, count, share)]
    assert len(kinds) == count
    assert sum(kind is not None for kind in kinds) == round(count * share)


def test_every_kind_of_malformation_occurs() -> None:
    assert len(generator.malformed_kinds) >= 20
    twice = len(generator.malformed_kinds) * 2
    kinds = Counter(generator.kind_of(item) for item in generator.requests(5, twice, 1.0))
    assert kinds == dict.fromkeys(generator.malformed_kinds, 2)


@pytest.mark.parametrize("kind", generator.malformed_kinds)
def test_a_malformed_item_is_not_the_request_it_replaces(kind: str) -> None:
    for n in range(50):
        item = generator.malformed_request(kind, 6, n)
        assert generator.encode(item) != generator.encode(generator.request(6, n))


def test_ids_are_unique_and_tell_seed_and_position() -> None:
    ids = [made["request_id"] for made in ten_thousand()]
    assert len(set(ids)) == 10_000
    assert ids[42] == f"REQ-{SEED}-0000042"


def test_requests_survive_json() -> None:
    for made in ten_thousand()[:500]:
        assert json.loads(generator.encode(made)) == made


def test_every_determination_reason_and_action_occurs() -> None:
    decisions = [naive.decide_request(made) for made in ten_thousand()]
    lines = [line for decision in decisions for line in decision["lines"]]
    assert {line["determination"] for line in lines} == set(naive.ACTIONS)
    reasons = {reason for line in lines for reason in line["reasons"]}
    assert reasons == {*naive.REASONS, "code_not_listed"}
    assert {decision["action"] for decision in decisions} == {"A1", "A4", "C", "CT"}
    assert {decision["stage"] for decision in decisions} == {"recommendation", "open", "final"}
    assert {line["valid_through"] is None for line in lines} == {True, False}
    assert {decision["clock_state"] for decision in decisions} == {
        "running",
        "waiting_for_information",
        "no_clock",
    }
    assert {fact for line in lines for fact in line["conflicts"]} == {naive.MALIGNANCY, naive.STATUS}
    presumed = set(naive.PRESUMED)
    assert {fact for line in lines for fact in line["missing"]} == set(naive.FACTS) - presumed


def test_no_common_determination_crowds_out_the_others() -> None:
    decisions = [naive.decide_request(made) for made in ten_thousand()]
    counts = Counter(line["determination"] for decision in decisions for line in decision["lines"])
    assert counts["medically_necessary"] == max(counts.values())
    assert min(counts.values()) >= 100


def test_every_boundary_occurs_with_the_days_before_and_after() -> None:
    days = {date.fromisoformat(line["service_date"]) for made in ten_thousand() for line in made["service_lines"]}
    for boundary in generator.BOUNDARIES:
        around = {date.fromordinal(boundary.toordinal() + shift) for shift in (-1, 0, 1)}
        assert around <= days


def test_the_date_as_written_matters() -> None:
    matters = 0
    for made in ten_thousand():
        written = made["submitted_at"]
        in_utc = datetime.fromisoformat(written).astimezone(UTC).date().isoformat()
        first = made["service_lines"][0]["service_date"]
        matters += (first < written[:10]) != (first < in_utc)
    assert matters >= 50


def test_no_first_submission_is_after_its_own_request() -> None:
    """A first submission is never after the request's own, is sometimes the same, and often in another offset."""
    stated = [made for made in ten_thousand() if made.get("first_submitted_at")]
    earlier = 0
    for made in stated:
        first, own = map(datetime.fromisoformat, (made["first_submitted_at"], made["submitted_at"]))
        assert first <= own
        earlier += first < own
    assert len(stated) * 0.7 < earlier < len(stated)
    assert len({made["first_submitted_at"][-6:] for made in stated}) > 5


def test_every_field_varies() -> None:
    def seen(*path: str) -> set[Any]:
        values: set[Any] = set()
        for made in ten_thousand():
            at: Any = made
            for step in path:
                at = (at or {}).get(step, "absent")
                if at == "absent":
                    break
            values.add(tuple(at) if isinstance(at, list) else at)
        return values

    assert seen("certification") == set(generator.CERTIFICATIONS)
    assert seen("urgency") == set(generator.URGENCIES)
    assert seen("channel") == {*generator.CHANNELS, None, "absent"}
    assert seen("first_submitted_at") >= {None, "absent"}
    assert seen("member", "line_of_business") == set(generator.LINES_OF_BUSINESS)
    for fact, values in naive.FACTS.items():
        if fact != naive.PURPOSES:
            assert seen(*fact.split(".")) >= {*values, "absent"}
    assert () in seen("clinical", "purposes")
    lines = [line for made in ten_thousand() for line in made["service_lines"]]
    assert {line["system"] for line in lines} == {"cpt", "hcpcs", "icd-9-pcs", "icd-10-pcs"}
    assert {line.get("performed_on") for line in lines} == {None, "member", "donor"}
    assert {len(made["service_lines"]) for made in ten_thousand()} == {1, 2, 3, 4}


def test_a_description_changes_nothing_else() -> None:
    added = {
        "member": ("birth_date", "sex"),
        "provider": ("specialty",),
        "line": ("place_of_service", "modifiers", "clinical"),
    }
    for n in range(500):
        made = generator.request(SEED, n, described=True)
        for part, names in added.items():
            for one in made["service_lines"] if part == "line" else [made[part]]:
                for name in names:
                    one.pop(name, None)
        assert made == generator.request(SEED, n)


def test_every_field_of_a_description_varies() -> None:
    made = [generator.request(SEED, n, described=True) for n in range(2_000)]
    lines = [line for one in made for line in one["service_lines"]]

    assert {one["member"].get("sex", "absent") for one in made} == {*generator.SEXES, None, "absent"}
    assert {one["provider"].get("specialty", "absent") for one in made} == {*generator.SPECIALTIES, None, "absent"}
    assert len({one["member"].get("birth_date", "absent") for one in made}) > 1_000
    places = {line.get("place_of_service", "absent") for line in lines}
    assert places == {*generator.PLACES_OF_SERVICE, None, "absent"}
    assert {len(line["modifiers"]) for line in lines if line.get("modifiers") is not None} == {0, 1, 2, 3, 4}
    facts = {json.dumps(line["clinical"]) for line in lines if "clinical" in line}
    assert facts == {json.dumps(one) for one in generator.LINE_FACTS}


@pytest.mark.parametrize("kind", generator.malformed_descriptions)
def test_a_malformed_description_is_not_the_request_it_replaces(kind: str) -> None:
    for n in range(50):
        assert generator.malformed_request(kind, 6, n) != generator.request(6, n)


def test_npis_carry_a_valid_check_digit() -> None:
    # The published worked example: 123456789 has the check digit 3.
    assert generator.luhn_check_digit("80840123456789") == "3"
    for seed in range(200):
        number = generator.npi(seed)
        assert len(number) == 10
        assert number.isdecimal()
        assert number[-1] == generator.luhn_check_digit("80840" + number[:-1])
    assert generator.npi(1) == generator.npi(1)
