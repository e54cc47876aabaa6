"""A new document passes the check as it is written, whatever its number and title."""

import string
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_core.authoring.coverage import coverage
from policy_core.authoring.examples import run
from policy_core.authoring.new_document import new_document
from policy_core.document.models import PolicyDocument
from policy_core.evaluate.determine import Policy
from policy_core.loading.load import parse, read

DAY = date(2026, 1, 1)
NUMBERS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
TITLES = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"), exclude_characters="\xa0"), min_size=1
).filter(lambda text: text.isprintable() and text.strip() != "")


def test_a_new_document_is_right_as_it_is_written() -> None:
    policy = Policy(parse(new_document("EX-2", "Devices", DAY).encode(), "EX-2.yaml"))
    trial = run(policy)

    assert trial.problems == ()
    assert coverage(policy, trial.tried).complete
    assert (policy.number, policy.document.title) == ("EX-2", "Devices")


def test_a_new_document_lacks_its_citations_only() -> None:
    warnings = read(new_document("EX-2", "Devices", DAY).encode(), "EX-2.yaml").warnings

    assert [one.message for one in warnings if "cites no sentence" not in one.message] == []
    assert warnings != ()


def test_a_new_document_explains_every_part_that_it_has() -> None:
    """Each top-level part stands below a comment, but for the three words at its head."""
    lines = new_document("EX-2", "Devices", DAY).splitlines()
    parts = {
        name: lines[at - 1]
        for at, line in enumerate(lines)
        for name in PolicyDocument.model_fields
        if line.startswith(f"{name}:") and name not in ("format", "number", "title", "clock_for")
    }

    assert len(parts) >= 11
    assert [name for name, above in parts.items() if not above.startswith("#")] == []


@given(NUMBERS, TITLES)
def test_any_number_and_title_are_read_as_they_are_given(number: str, title: str) -> None:
    document = parse(new_document(number, title, DAY).encode(), "new.yaml")

    assert (document.number, document.title, document.revisions[0].number) == (number, title, number)


@pytest.mark.parametrize("number", ["", "a b", "-x", "X\n", "x" * 129, "{day}", string.punctuation])
def test_what_is_no_number_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="is no number of a policy"):
        new_document(number, "Devices", DAY)


@pytest.mark.parametrize("title", ["", " ", "a\nb", "\x00", "x" * 501])
def test_what_is_no_title_is_refused(title: str) -> None:
    with pytest.raises(ValueError, match="the title is no text of one line"):
        new_document("EX-2", title, DAY)
