"""What a document lacks: warned of with its line, and no reason to refuse it."""

import pytest

from policy_core.loading.load import read
from tests.support.cases import OTHER_FILE, PACKAGED_FILE

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
