"""The packaged policy's grounds: what each determination rests on carries it, case by case."""

from collections.abc import Iterator
from datetime import date

import pytest

from policy_core.determinations import Determination
from policy_core.diagrams.diagram import answers
from policy_core.diagrams.editions import DrawnEdition, EditionCompiler, Row
from policy_core.diagrams.variables import leaves
from policy_core.document.conditions import Condition, FactIn, FactIs
from policy_core.document.models import Citation, PolicyDocument
from policy_core.loading.check import cited_parts
from tests.support.cases import packaged

DOCUMENT = packaged().document
DRAWING = EditionCompiler(DOCUMENT)
EDITIONS = DRAWING.editions()
STATEMENTS = {one.id: one for one in DOCUMENT.statements}
CITED = {part.id: part for _, part in cited_parts(DOCUMENT)}
BY_STATEMENT = (Determination.MEDICALLY_NECESSARY, Determination.INVESTIGATIONAL)


def rows(*determinations: Determination, reason: str | None = None) -> list[tuple[DrawnEdition, Row]]:
    """Every rule with such an outcome, in each edition."""
    found = [(edition, row) for edition in EDITIONS for row in edition.rows]
    wanted = [one for one in found if one[1].outcome.determination in determinations]
    return [one for one in wanted if reason is None or one[1].outcome.reason == reason]


def speaks(edition: DrawnEdition, row: Row, statement: str) -> set[bool]:
    """Whether a statement applies in the cases that a rule decides: in all, in none, or in some of them."""
    at = edition.rows.index(row)
    both = DRAWING.diagrams.apply(
        lambda rule, applies: bool(applies) if rule == at else None, edition.by_rule, edition.spoken[statement]
    )
    return {bool(one) for one in answers(both) if one is not None}


def facts_of(condition: Condition, document: PolicyDocument = DOCUMENT) -> Iterator[str]:
    """The facts that a condition tests, by itself or by the named conditions in it."""
    named = {one.id: one.when for one in document.conditions}
    for leaf in leaves(condition):
        name = getattr(leaf, "condition", None)
        if name is not None:
            yield from facts_of(named[name])
        elif isinstance(leaf, FactIs | FactIn):
            yield leaf.fact


def shown(one: tuple[DrawnEdition, Row]) -> str:
    return f"{one[1].rule.id} {one[0].since}"


@pytest.mark.parametrize("one", rows(*BY_STATEMENT), ids=shown)
def test_a_determination_rests_on_what_applies_in_each_case(one: tuple[DrawnEdition, Row]) -> None:
    """What is certified or held investigational rests on statements that speak of every case decided so."""
    edition, row = one

    assert row.outcome.rests_on, f"{row.rule.id} rests on nothing"
    for name in row.outcome.rests_on:
        assert name in STATEMENTS, f"{row.rule.id} rests on {name}, which is no statement"
        assert speaks(edition, row, name) == {True}, f"{row.rule.id} rests on {name}, which does not speak of its cases"


def test_each_statement_carries_one_determination() -> None:
    """No statement is the ground of a certification in one rule and of an investigational infusion in another."""
    carried = {
        name: {row.outcome.determination for _, row in rows(*BY_STATEMENT) if name in row.outcome.rests_on}
        for name in STATEMENTS
    }

    assert {name: len(found) for name, found in carried.items()} == dict.fromkeys(STATEMENTS, 1)


@pytest.mark.parametrize("one", rows(Determination.CRITERIA_NOT_MET), ids=shown)
def test_criteria_that_are_not_met_are_those_of_the_coverage(one: tuple[DrawnEdition, Row]) -> None:
    """Criteria not met rest on the statements that certify, none of which applies in any case decided so."""
    edition, row = one
    certifying = [row for at, row in rows(Determination.MEDICALLY_NECESSARY) if at is edition]
    covering = {name for row in certifying for name in row.outcome.rests_on}

    assert set(row.outcome.rests_on) == covering, f"{row.rule.id} rests on what certifies nothing"
    assert [speaks(edition, row, name) for name in row.outcome.rests_on] == [{False}] * len(covering)


@pytest.mark.parametrize("one", rows(Determination.NOT_ADDRESSED, reason="not_a_malignancy"), ids=shown)
def test_that_it_speaks_of_malignancies_rests_on_all_that_do(one: tuple[DrawnEdition, Row]) -> None:
    """Without a malignancy nothing is addressed, by each statement of the edition that asks for one."""
    edition, row = one
    asking = [
        name
        for name, statement in STATEMENTS.items()
        if statement.on(edition.since) and "clinical.malignancy" in set(facts_of(statement.applies_when))
    ]

    assert list(row.outcome.rests_on) == asking
    assert [speaks(edition, row, name) for name in asking] == [{False}] * len(asking)


@pytest.mark.parametrize("one", rows(Determination.NOT_ADDRESSED, reason="not_dli_by_definition"), ids=shown)
def test_another_donor_rests_on_what_the_presumption_cites(one: tuple[DrawnEdition, Row]) -> None:
    """That the donor is the transplant's is presumed and demanded by the same sentence of the description."""
    [fact] = [one for one in DOCUMENT.facts if one.path == "clinical.infusion.donor_is_transplant_donor"]
    assert fact.presumed is not None

    for name in one[1].outcome.rests_on:
        assert set(map(place, fact.presumed.cites)) & set(map(place, CITED[name].cites)), f"{name} does not say it"
    assert one[1].outcome.rests_on


@pytest.mark.parametrize("one", rows(Determination.NOT_ADDRESSED, reason="unlisted_high_risk_setting"), ids=shown)
def test_an_unlisted_setting_rests_on_the_list_of_settings(one: tuple[DrawnEdition, Row]) -> None:
    """A setting that the guideline does not name rests on that guideline, which is also what is said beside it."""
    guidance = [one.id for one in DOCUMENT.guidance if "unlisted_high_risk_setting" in one.applies_to.reasons]
    indication = next(one for one in DOCUMENT.indications if one.id == "S1-prevent-relapse")

    assert list(one[1].outcome.rests_on) == guidance
    for name in guidance:
        assert set(map(place, CITED[name].cites)) <= set(map(place, indication.cites)), "the indication names others"


def test_what_is_not_on_record_rests_on_nothing() -> None:
    """Where the statements of a time are not on record, no sentence of today's text is named for them."""
    unknown = rows(Determination.POLICY_NOT_ON_RECORD)

    assert {edition.since for edition, _ in unknown} == {date(2011, 8, 11)}
    assert {row.outcome.rests_on for _, row in unknown} == {()}


def place(citation: Citation) -> tuple[str, int]:
    return citation.section, citation.ordinal
