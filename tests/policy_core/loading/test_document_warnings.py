"""What a document lacks: warned of with its line, and no reason to refuse it."""

from datetime import date

import pytest

from policy_core.loading.document_at_revision import as_of
from policy_core.loading.document_warnings import lacks
from policy_core.loading.load import read
from tests.support.cases import OTHER_FILE, PACKAGED_FILE, other

OTHER = OTHER_FILE.read_text("utf-8")


def warnings(text: str) -> list[str]:
    return [one.sentence("policy.yaml") for one in read(text.encode(), "policy.yaml").warnings]


def test_the_packaged_policy_lacks_nothing() -> None:
    """It cites every sentence, every outcome rests on a statement, and its clocks run."""
    assert warnings(PACKAGED_FILE.read_text("utf-8")) == []


def test_parts_without_a_citation_are_named_with_their_lines() -> None:
    """The invented policy's guidance is in nobody's text."""
    line = OTHER[: OTHER.index("- id: own-code")].count("\n") + 1

    assert warnings(OTHER)[0].startswith(
        f"policy.yaml:{line}: guidance.0: `own-code` cites no sentence of the published"
    )
    assert [one.split("`")[1] for one in warnings(OTHER)] == [
        "own-code",
        "pregnancy",
        "unlisted",
        "professional-monitor",
    ]


CITED = OTHER[OTHER.index("    cites:\n      - {section: coverage, ordinal: 4") : OTHER.index("  - id: training")]
CLOCKS = OTHER[OTHER.index("clocks:") : OTHER.index("description:")]
REVISION = OTHER[OTHER.index(",\n     cites: [{section: history, ordinal: 1") : OTHER.index("\n  - {date: 2020-07-01")]
LISTED = OTHER[
    OTHER.index(",\n       cites: [{section: codes, ordinal: 2") : OTHER.index("\n    - {system: hcpcs, code: A9276")
]


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (CITED, "", "statements.1: `gestational` cites no sentence"),
        (CLOCKS, "", "no line of business has a clock, so no decision is ever due; write `clocks` and `clock_for`"),
        (REVISION, "}", "revisions.0: the revision of 2018-01-01 cites no sentence"),
        (LISTED, "}", "codes.listed.0: hcpcs E2103 cites no sentence"),
        (
            ", rests_on: [gestational]",
            "",
            "rules.1.outcomes.0: `gestational-diabetes` rests on no part of the document",
        ),
        (
            "determination: medically_necessary, rests_on: [covered]",
            "determination: not_addressed, reason: other, rests_on: [covered]",
            "rules: no rule finds anything medically necessary: nothing is ever certified",
        ),
    ],
    ids=["statement", "clock", "revision", "code", "outcome", "coverage"],
)
def test_what_is_taken_out_of_a_document_is_missed(old: str, new: str, warning: str) -> None:
    """Each is told once more than of the whole document."""
    assert old in OTHER

    told = [one for one in warnings(OTHER.replace(old, new, 1)) if warning in one]

    assert len(told) == 1
    assert not any(warning in one for one in warnings(OTHER))


# --- parts without effect ------------------------------------------------------------------------------------------

DERIVED = "      - {value: type_1, system: icd-10-cm, codes: [E10]}\n"
NEVER = "no code of icd-10-cm can match it, so it never derives anything; correct `codes`, `length` or `ends_with`"
ALREADY = "every code of it derives the same value before it; remove it, or correct its codes"
FIRST_CONDITION = "conditions:\n"
TRAINED = "  - path: clinical.trained\n"


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (DERIVED, DERIVED + DERIVED.replace("E10", "E10.2-E10.4"), f"facts.0.derived.1: {ALREADY}"),
        (DERIVED, DERIVED.replace("[E10]", "[E10], length: 8"), f"facts.0.derived.0: {NEVER}"),
        (DERIVED, DERIVED.replace("[E10]", "[E10], ends_with: x"), f"facts.0.derived.0: {NEVER}"),
        (DERIVED, DERIVED.replace("[E10]", '["250"]'), f"facts.0.derived.0: {NEVER}"),
        (
            TRAINED,
            f"  - {{path: clinical.age, kind: choice, values: [old], question: Old?}}\n{TRAINED}",
            "facts.5: no condition tests `clinical.age`: it is recorded, and never decides or is asked for; remove it",
        ),
        (
            "applies_when: {fact: clinical.trained, is: false}",
            "applies_when: {any: [{fact: clinical.trained, is: false}, {fact: clinical.old, is: true}]}",
            "facts.6: `clinical.old` changes no determination in any edition, so it is never asked for; see the rules",
        ),
        (
            FIRST_CONDITION,
            FIRST_CONDITION + "  - {id: lone, says: Alone., when: {fact: clinical.trained, is: true}}\n",
            "conditions.0: nothing uses the condition `lone`; remove it, or refer to it",
        ),
    ],
    ids=["covered", "too long", "ending", "other system", "untested", "idle", "unused"],
)
def test_a_part_without_effect_is_named(old: str, new: str, warning: str) -> None:
    base = OTHER.replace("\nconditions:", OLD + "\nconditions:", 1) if "clinical.old" in new else OTHER
    assert old in base

    told = [one for one in warnings(base.replace(old, new, 1)) if f": {warning}" in one]

    assert len(told) == 1
    assert not any(f": {warning}" in one for one in warnings(OTHER))


OLD = "\n  - {path: clinical.old, kind: boolean, question: Old?}\n"


def test_a_date_may_be_recorded_only() -> None:
    """Both policies have a date that no condition tests."""
    assert "kind: date" in OTHER
    assert not any("clinical.diabetes.since" in one for one in warnings(OTHER))


def test_nothing_is_idle_of_which_nothing_is_on_record() -> None:
    """Before its first edition on record, no determination depends on any fact."""
    document = as_of(other().document, date(2018, 1, 1))

    assert not any(edition.on_record for edition in document.editions)
    assert [one.message for one in lacks(document) if "changes no determination" in one.message] == []
