"""What a change of determination is: the order is that of who acts next, and nothing falls between its kinds."""

from itertools import product

import pytest

from policy_core.compare.strictness import UNDECIDED, Comparer, Kind, distance, kind_of
from policy_core.determinations import CONSEQUENCES, Determination
from policy_core.document.models import Validity
from policy_core.evaluate.determine import Policy
from policy_core.evaluate.plan import Plan
from tests.support.cases import case, in_parts, line, packaged, with_fact

OPPOSITE = {
    Kind.STRICTER: Kind.LOOSER,
    Kind.LOOSER: Kind.STRICTER,
    Kind.RECLASSIFIED: Kind.RECLASSIFIED,
    Kind.UNCHANGED: Kind.UNCHANGED,
}
ALL = [*map(str, Determination), UNDECIDED]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("medically_necessary", "information_needed", Kind.STRICTER),
        ("information_needed", "criteria_not_met", Kind.STRICTER),
        ("not_addressed", "investigational", Kind.STRICTER),
        ("no_prior_authorization", "not_addressed", Kind.STRICTER),
        ("invalid_code", "no_prior_authorization", Kind.STRICTER),
        ("criteria_not_met", "medically_necessary", Kind.LOOSER),
        ("investigational", "criteria_not_met", Kind.RECLASSIFIED),
        ("not_addressed", "policy_not_on_record", Kind.RECLASSIFIED),
        ("information_needed", "invalid_code", Kind.RECLASSIFIED),
        ("medically_necessary", "redirected", Kind.RECLASSIFIED),
        ("cancelled", "criteria_not_met", Kind.RECLASSIFIED),
        ("dead_letter", "medically_necessary", Kind.RECLASSIFIED),
    ],
)
def test_a_change_is_stricter_looser_or_reclassified(before: str, after: str, kind: Kind) -> None:
    assert kind_of(before, after) is kind


def test_every_pair_and_its_opposite_have_opposite_kinds() -> None:
    """Every pair of answers has a kind, and the reversed pair has the opposite kind."""
    for before, after in product(ALL, repeat=2):
        assert kind_of(after, before) is OPPOSITE[kind_of(before, after)]
        assert (kind_of(before, after) is Kind.UNCHANGED) == (before == after)


def test_only_a_certification_is_at_no_distance_from_one() -> None:
    assert [one for one in ALL if distance(one) == 0] == ["medically_necessary"]
    assert {CONSEQUENCES[Determination(one)].acts_next for one in ALL[:-1] if distance(one) == 4} == {
        "physician_reviewer"
    }


@pytest.mark.parametrize(("months", "kind"), [(3, Kind.EVIDENCE), (7, Kind.EVIDENCE), (6, Kind.UNCHANGED)])
def test_an_approval_that_ends_otherwise_is_other_evidence(months: int, kind: Kind) -> None:
    """An approval with another last day is other evidence; what is no approval is unchanged."""
    validity = (Validity(line_of_business="commercial", months=months, rule="Another", says="Otherwise."),)
    other = Policy(packaged().document.model_copy(update={"validity": validity}))
    comparer, plans = Comparer(), (Plan(packaged()), Plan(other))
    pended = case(line(), clinical=with_fact("transplant.type", "none"))

    for _ in range(2):
        before, after = (plan.decide(in_parts(case(line(), line()))) for plan in plans)
        assert [one.kind for one in comparer.lines(before, after)] == [kind, kind]
        before, after = (plan.decide(in_parts(pended)) for plan in plans)
        assert [one.kind for one in comparer.lines(before, after)] == [Kind.UNCHANGED]


def test_not_medically_necessary_is_as_adverse_as_the_others() -> None:
    """An answer that care is not medically necessary is as far from an approval as the other adverse ones."""
    assert kind_of("medically_necessary", "not_medically_necessary") is Kind.STRICTER
    assert kind_of("not_medically_necessary", "investigational") is Kind.RECLASSIFIED
