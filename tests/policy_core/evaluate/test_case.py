"""A case has what the policies test, and shows none of it."""

from datetime import date

from policy_core.evaluate.case import ServiceLine
from policy_core.evaluate.plan import Plan
from tests.support.cases import case, in_parts, line, packaged

FULL = ServiceLine(2, "cpt", "38242", date(2024, 6, 10), "donor", 7, "22", ("26", "LT"))


def test_what_is_not_stated_of_a_line_is_none() -> None:
    plain = line()

    assert (plain.units, plain.place_of_service, plain.modifiers, plain.clinical) == (1, None, None, {})


def test_what_is_not_stated_of_a_case_is_none() -> None:
    plain = case()

    assert (plain.birth_date, plain.sex, plain.provider_specialty) == (None, None, None)


def test_a_case_shows_nobody() -> None:
    asked = case(FULL, birth_date=date(1957, 2, 3), sex="female", provider_specialty="207RH0003X")

    assert repr(asked) == "<Case: personal data not shown>"


def test_a_plans_result_has_the_lines_as_they_were_asked_for() -> None:
    asked = case(line(), FULL, birth_date=date(1957, 2, 3), sex="female", provider_specialty="207RH0003X")

    assert [found.line for found in Plan(packaged()).decide(in_parts(asked)).result().lines] == [line(), FULL]


def test_the_packaged_policy_asks_nobody_how_old_they_are() -> None:
    described = case(FULL, birth_date=date(1957, 2, 3), sex="female", provider_specialty="207RH0003X")
    plain = case(FULL._replace(units=1, place_of_service=None, modifiers=None))
    answers = [[found.answer for found in packaged().determine(one).lines] for one in (described, plain)]

    assert answers[0] == answers[1]
