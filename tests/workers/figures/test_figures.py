"""The public figures: equal to a second, naive computation, and what each of them counts."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.support.generated_cases import as_case, generated_cases, listed_services
from tests.support.generated_lives import generated_log
from tests.support.naive_cases import Rules, lives
from tests.support.naive_figures import naive_figures
from tests.support.packaged import packaged_document
from workers.figures.definitions import PARTS
from workers.figures.figures import PublicFigures, public_figures

DOCUMENT = packaged_document()


def figures(*cases: Mapping[str, Any], year: int = 2026) -> PublicFigures:
    return public_figures(map(as_case, cases), DOCUMENT, year)


def case(request_id: str = "R1", state: str = "final", action: str = "A1", **named: Any) -> dict[str, Any]:
    """A case that its reviewer determined after six hours."""
    line_actions = {"A2": ("A1", "A3")}.get(action, (action,))
    made: dict[str, Any] = {
        "request_id": request_id,
        "certification": "initial",
        "urgency": "standard",
        "submitted_at": "2026-03-02T06:00:00-06:00",
        "state": state,
        "action": action,
        "lines": [
            {
                "line": number,
                "system": "cpt",
                "code": "38242",
                "action": each,
                "reasons": ["41"] if each == "A3" else [],
            }
            for number, each in enumerate(line_actions, start=1)
        ],
    }
    if state == "final":
        made |= {"determined_at": "2026-03-02T12:00:00-06:00", "by": "reviewer", "closed_at": 1_772_474_400_000}
    return {**made, **named}


def later(request_id: str, earlier: str, certification: str = "revision", **named: Any) -> dict[str, Any]:
    return case(request_id, certification=certification, supersedes=earlier, link="stands", **named)


def assert_equal_to_naive(count: int, seed: int, year: int) -> None:
    cases = list(generated_cases(seed, count))
    expected = naive_figures(cases, listed_services(DOCUMENT), DOCUMENT.time_zone, year)

    assert figures(*cases, year=year).values == expected


@pytest.mark.parametrize(("year", "count"), [(2025, 2_000), (2026, 20_000), (2027, 2_000)])
def test_every_figure_equals_the_naive_computation(year: int, count: int) -> None:
    assert_equal_to_naive(count, seed=1, year=year)


FIELDS = (
    *("request_id", "certification", "urgency", "channel", "submitted_at", "first_submitted_at", "state", "action"),
    *("lines", "supersedes", "link", "determined_at", "closed_at", "by", "extended"),
)
RULES = Rules(
    {"commercial": "MS"},
    frozenset({"commercial"}),
    {"standard": timedelta(days=7), "expedited": timedelta(hours=48)},
    {"standard": timedelta(hours=24), "expedited": timedelta(hours=8)},
)


def assert_lives_equal_naive(requests: int, seed: int) -> None:
    """The figures of generated requests after their lives, year by year."""
    found = lives(generated_log(seed, requests), RULES)
    cases = [{name: case[name] for name in FIELDS if name in case} for case in found.cases.values()]

    assert {case["state"] for case in cases} == {"recommended", "waiting", "final", "superseded", "cancelled"}
    assert {reason for reason, _ in found.refused} >= {"verdict_refused"}
    for year in (2024, 2025, 2026):
        expected = naive_figures(cases, listed_services(DOCUMENT), DOCUMENT.time_zone, year)
        assert figures(*cases, year=year).values == expected
        assert expected["appeals"]["count"] > 0


def test_figures_of_lives_equal_the_naive_ones() -> None:
    assert_lives_equal_naive(3_000, seed=5)


@pytest.mark.slow
def test_figures_of_200_000_lives_equal_the_naive_ones() -> None:
    assert_lives_equal_naive(200_000, seed=6)


@pytest.mark.slow
def test_figures_of_200_000_cases_equal_the_naive_ones() -> None:
    assert_equal_to_naive(200_000, seed=2, year=2026)


def test_the_generated_cases_fill_every_figure() -> None:
    found = figures(*generated_cases(1, 5_000)).values
    shares = [value for value in found.values() if "percent" in value]

    assert all(value["count"] for value in shares)
    assert len(found["denied services"]["services"]) == len(found["reasons"]["reasons"]) == 10
    assert all(found["left out"].values())


def test_no_case_gives_no_percentage_and_no_time() -> None:
    found = figures().values

    assert found["2"]["percent"] is None
    assert found["8"]["median_seconds"] is None


def test_figures_and_definitions_match() -> None:
    """Every figure is defined and every definition has its figure."""
    defined = [figure.id for part in PARTS for figure in part.figures]

    assert sorted(defined) == sorted(figures().values)


def test_a_request_that_continues_a_pended_one_is_one_with_it() -> None:
    """A request that continues a pended one is one request with it from the first submission."""
    first = case("R1", "superseded", "A4", submitted_at="2026-03-01T12:00:00-06:00", closed_at=1, channel="fax")
    found = figures(first, later("R2", "R1")).values

    assert found["requests"]["count"] == 1
    assert found["8"]["average_seconds"] == 24 * 3600
    assert found["not electronic"]["by_channel"] == {"fax": 1}


def test_a_refused_link_joins_nothing() -> None:
    found = figures(case("R1"), case("R2", supersedes="R1", link="refused", certification="revision")).values

    assert found["requests"]["count"] == 2


def test_a_renewal_of_an_approval_is_a_request_of_its_own() -> None:
    assert figures(case("R1"), later("R2", "R1", "renewal")).values["requests"]["count"] == 2


def test_a_renewal_outlives_the_cancelled_approval() -> None:
    """A renewal stays counted when the approval before it is cancelled."""
    cancelled = case("R1", state="cancelled", determined_at="2026-03-02T12:00:00-06:00", closed_at=1_772_560_800_000)
    found = figures(cancelled, later("R2", "R1", "renewal")).values

    assert (found["requests"]["count"], found["left out"]["cancelled"]) == (1, 1)


def test_an_appeal_counts_in_its_own_figures_alone() -> None:
    """An appeal counts in its own figures alone and the denial stays one."""
    found = figures(case("R1", action="A3"), later("R2", "R1", "reconsideration")).values

    assert (found["2"]["count"], found["3"]["count"], found["3"]["of"]) == (0, 1, 1)
    assert (found["4"]["count"], found["4"]["of"], found["4a"]["of"]) == (1, 1, 0)
    assert (found["appeals"]["count"], found["reversals"]["count"], found["8"]["count"]) == (1, 1, 1)


def test_a_reconsideration_of_what_was_no_denial_is_no_appeal() -> None:
    found = figures(case("R1", action="A2"), later("R2", "R1", "reconsideration")).values

    assert (found["appeals"]["count"], found["2"]["count"], found["2a"]["count"]) == (0, 1, 1)


def test_a_cancellation_is_no_request_and_cancels_no_denial() -> None:
    cancellation = later("R2", "R1", "cancellation", action="C", by="machine")
    found = figures(case("R1", action="A3"), cancellation).values

    assert (found["denials"]["count"], found["left out"]["cancelled"]) == (1, 0)


@pytest.mark.parametrize(
    ("determined_at", "year"),
    [("2027-01-01T05:59:59.999999Z", 2026), ("2027-01-01T06:00:00Z", 2027)],
    ids=["the last moment of the year", "the first of the next"],
)
def test_the_year_is_the_determination_s_in_the_policy_s_zone(determined_at: str, year: int) -> None:
    """The year is that of the determination in the time zone of the policy."""
    found = {of: figures(case(determined_at=determined_at), year=of) for of in (2026, 2027)}

    assert [of for of, one in found.items() if one.values["requests"]["count"]] == [year]


def test_what_the_machine_determined_is_shown_apart() -> None:
    found = figures(case("R1", by="machine"), case("R2", action="A3")).values["2"]

    assert found["machine"] == {"count": 1, "of": 1, "percent": 100.0}
    assert found["reviewer"] == {"count": 0, "of": 1, "percent": 0.0}


def test_an_even_number_s_median_is_midway() -> None:
    """The median of an even number is midway between the middle two."""
    at = (
        "2026-03-02T07:00:00-06:00",
        "2026-03-02T08:00:00-06:00",
        "2026-03-02T09:00:00-06:00",
        "2026-03-22T06:00:00-05:00",
    )
    found = figures(*(case(f"R{number}", determined_at=moment) for number, moment in enumerate(at))).values["8"]

    assert found["median_seconds"] == 2.5 * 3600


def test_a_service_is_listed_if_it_was_for_one_day_of_the_year() -> None:
    listed = {
        year: {service["code"] for service in figures(year=year).values["1"]["services"]} for year in (2018, 2019, 2020)
    }

    assert "30253Q1" in listed[2018] & listed[2019]
    assert "30253Q1" not in listed[2020]
    assert "99.09" not in listed[2018]


def test_of_several_records_of_a_case_the_last_counts() -> None:
    assert figures(case("R1", "recommended", "A4"), case("R1")).values["left out"]["open"] == 0
