"""Selectors against every code that there is: which match none, and which match none that another does not."""

from itertools import product

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from events.code_spelling import DIAGNOSES, PAST, diagnosis, past_procedure
from policy_core.document.code_forms import FORMS, covers, matches_some
from policy_core.document.code_listings import bounds, selector
from policy_core.document.models import CodeSelector

EVERY = ["".join(digits) for length in (2, 3, 4) for digits in product("0123456789", repeat=length)]
"""All codes of the past procedures of ICD-9, of which there are few."""


def selected(
    *codes: str, system: str = "icd-9-pcs", length: int | None = None, ends: str | None = None
) -> CodeSelector:
    return CodeSelector(system=system, codes=codes, length=length, ends_with=ends)


@st.composite
def ranges(draw: st.DrawFn) -> str:
    part = st.text("01239A", min_size=1, max_size=5)
    low = draw(part)
    high = draw(st.none() | part)
    written = low if high is None else f"{low}-{high}"
    first, last = bounds(written)
    assume(first <= last)
    return written


SELECTORS = st.builds(
    lambda codes, length, ends: selected(*codes, length=length, ends=ends),
    st.lists(ranges(), min_size=1, max_size=3),
    st.none() | st.integers(1, 6),
    st.none() | st.text("0129A", min_size=1, max_size=3),
)


@given(SELECTORS)
def test_a_selector_matches_some_code_if_any_code_fits(one: CodeSelector) -> None:
    matches = selector(one)
    found = any(matches(one.system, code) for code in EVERY)
    event(f"matches some: {found}")

    assert matches_some(one) is found


@given(SELECTORS, SELECTORS)
def test_a_selector_that_covers_another_matches_all_of_its_codes(wide: CodeSelector, narrow: CodeSelector) -> None:
    covered = covers(wide, narrow)
    event(f"covers: {covered}")
    outer, inner = selector(wide), selector(narrow)

    assert not covered or not any(inner(narrow.system, code) and not outer(wide.system, code) for code in EVERY)


@given(SELECTORS)
def test_a_selector_covers_itself(one: CodeSelector) -> None:
    assert covers(one, one)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        (selected("C81-C96"), selected("C90"), True),
        (selected("C81-C96"), selected("C90.1-C90.3"), True),
        (selected("C81-C96", "D46"), selected("D46.2", "C85"), True),
        (selected("C81-C96"), selected("C80-C90"), False),
        (selected("C81-C96"), selected("C"), False),
        (selected("C810"), selected("C81"), False),
        (selected("C810-C81Z"), selected("C81", length=5), True),
        (selected("C81", length=5), selected("C81"), False),
        (selected("C81", ends="2"), selected("C81", ends="12"), True),
        (selected("C81", ends="2"), selected("C81"), False),
        (selected("C81"), selected("C81", system="icd-9-cm"), False),
    ],
)
def test_a_range_is_covered_by_a_wider_one(wide: CodeSelector, narrow: CodeSelector, *, expected: bool) -> None:
    assert covers(wide, narrow) is expected


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (selected("C81-C96", system="icd-10-cm"), True),
        (selected("C81", system="icd-10-cm", length=8), False),
        (selected("81", system="icd-10-cm"), False),
        (selected("CA", system="icd-10-cm"), False),
        (selected("C90-C95", system="icd-10-cm", length=5, ends="."), False),
        (selected("C81", system="icd-9-cm"), False),
        (selected("V10", system="icd-9-cm"), True),
        (selected("38240", system="cpt"), True),
        (selected("382401", system="cpt"), False),
        (selected("A1234", system="cpt"), False),
        (selected("whatever".upper(), system="own"), True),
    ],
)
def test_a_selector_of_no_code_of_its_system_is_found(one: CodeSelector, *, expected: bool) -> None:
    assert matches_some(one) is expected


def test_the_forms_are_those_that_requests_must_have() -> None:
    """Of each system and each length, the first and the last code are taken from a request as they stand here."""
    assert set(FORMS) == set(DIAGNOSES) | set(PAST)
    for system, shapes in FORMS.items():
        spelt = diagnosis if system in DIAGNOSES else past_procedure
        for shape in shapes:
            for code in ("".join(one[0] for one in shape), "".join(one[-1] for one in shape)):
                assert spelt(system, code).replace(".", "") == code
