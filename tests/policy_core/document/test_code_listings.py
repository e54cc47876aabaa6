"""Codes: which diagnosis codes a selector means, and each row of the policy's code list at its boundaries."""

from datetime import date, timedelta

import pytest

from policy_core.document.code_listings import CodeIndex, CodeStatus, normal_diagnosis, selector
from policy_core.document.models import CodeSelector
from tests.support.cases import other, packaged

LISTED, NOT_LISTED, INVALID = CodeStatus.LISTED, CodeStatus.NOT_LISTED, CodeStatus.INVALID


# --- diagnosis codes -------------------------------------------------------------------------------


def selected(code: str, *codes: str, length: int | None = None, ends_with: str | None = None) -> bool:
    chosen = CodeSelector(system="icd-10-cm", codes=codes, length=length, ends_with=ends_with)
    return selector(chosen)("icd-10-cm", normal_diagnosis(code))


@pytest.mark.parametrize(
    ("code", "codes", "expected"),
    [
        ("C80.9", "C81-C96", False),
        ("C81", "C81-C96", True),
        ("C81.90", "C81-C96", True),
        ("C96.Z", "C81-C96", True),
        ("C97", "C81-C96", False),
        ("D46.9", "D46", True),
        ("D46", "D46", True),
        ("D47", "D46", False),
        ("238.71", "238.72-238.75", False),
        ("238.72", "238.72-238.75", True),
        ("238.75", "238.72-238.75", True),
        ("238.76", "238.72-238.75", False),
        ("C92.3", "C92.4-C92.6", False),
        ("C92.60", "C92.4-C92.6", True),
        ("C92.7", "C92.4-C92.6", False),
        ("C92.A1", "C92.A", True),
    ],
)
def test_a_range_holds_each_code_that_begins_like_one_of_it(code: str, codes: str, *, expected: bool) -> None:
    assert expected == selected(code, codes)


@pytest.mark.parametrize("code", ["C", "C8", "C9", ""])
def test_a_code_too_short_to_tell_is_in_no_range(code: str) -> None:
    assert not selected(code, "C00-C80", "C81-C96", "C92.0-C92.2")


@pytest.mark.parametrize("written", ["C92.01", "C9201", "c92.01", "c9201", " C92.01", "c9201\u00a0\t"])
def test_the_spelling_of_a_diagnosis_code_does_not_matter(written: str) -> None:
    """A diagnosis code means the same trimmed, with or without its dot, and in either case."""
    assert selected(written, "C92.0")
    assert selected(written, "C920")


@pytest.mark.parametrize(
    ("code", "expected"), [("C81", False), ("C82", False), ("C82.4", True), ("C82.5", True), ("C82.51", True)]
)
def test_the_longer_end_of_a_range_says_how_long_a_code_is(code: str, *, expected: bool) -> None:
    """A code too short to be told from the range's longer end is in no range, however short the other end is."""
    assert expected == selected(code, "C81-C82.5")


@pytest.mark.parametrize("code", ["C81", "C81.4", "C90"])
def test_the_longer_end_may_be_the_first_one(code: str) -> None:
    """What is shorter than a range's first end, or before it, is outside; what is as long is told."""
    assert not selected(code, "C81.5-C96")
    assert selected("C81.5", "C81.5-C96")
    assert selected("C90.0", "C81.5-C96")


def test_a_selector_is_of_one_system() -> None:
    chosen = selector(CodeSelector(system="icd-9-cm", codes=("200-208",)))

    assert chosen("icd-9-cm", "20501")
    assert not chosen("icd-10-cm", "20501")


def test_length_and_ending_are_asked_of_the_code_without_its_dot() -> None:
    assert selected("C92.02", "C90-C95", length=5, ends_with="2")
    assert not selected("C92.01", "C90-C95", length=5, ends_with="2")
    assert not selected("C92.2", "C90-C95", length=5, ends_with="2")
    assert not selected("C92.002", "C90-C95", length=5, ends_with="2")


# --- procedure codes: the list, row by row ---------------------------------------------------------

EVER: list[tuple[str, CodeStatus]] = [("0001-01-01", LISTED)]
ROWS: dict[tuple[str, str], list[tuple[str, CodeStatus]]] = {
    ("cpt", "38242"): [("0001-01-01", NOT_LISTED), ("2005-01-10", LISTED)],
    ("cpt", "86812"): [("0001-01-01", NOT_LISTED), ("2004-09-02", LISTED)],
    ("cpt", "86813"): [("0001-01-01", NOT_LISTED), ("2004-09-02", LISTED)],
    ("cpt", "86817"): [("0001-01-01", NOT_LISTED), ("2004-09-02", LISTED)],
    ("cpt", "86950"): EVER,
    ("cpt", "36511"): [("0001-01-01", NOT_LISTED), ("2004-09-02", LISTED), ("2005-01-10", NOT_LISTED)],
    ("cpt", "36520"): [("0001-01-01", LISTED), ("2004-09-02", INVALID), ("2005-01-10", INVALID)],
    ("icd-9-pcs", "99.09"): [("0001-01-01", LISTED), ("2015-10-01", INVALID)],
    ("icd-10-pcs", "30233Q1"): [("0001-01-01", INVALID), ("2015-08-25", INVALID), ("2015-10-01", LISTED)],
    ("icd-10-pcs", "30243Q1"): [("0001-01-01", INVALID), ("2015-08-25", INVALID), ("2015-10-01", LISTED)],
    ("icd-10-pcs", "30253Q1"): [
        ("0001-01-01", INVALID),
        ("2015-10-01", LISTED),
        ("2019-10-01", INVALID),
        ("2021-12-27", INVALID),
    ],
    ("icd-10-pcs", "30263Q1"): [
        ("0001-01-01", INVALID),
        ("2015-10-01", LISTED),
        ("2019-10-01", INVALID),
        ("2021-12-27", INVALID),
    ],
    ("cpt", "99213"): [("0001-01-01", NOT_LISTED)],
    ("hcpcs", "S2150"): [("0001-01-01", NOT_LISTED)],
    ("icd-9-pcs", "99.72"): [("0001-01-01", NOT_LISTED), ("2015-10-01", INVALID)],
    ("icd-10-pcs", "30233Y1"): [("0001-01-01", INVALID), ("2015-10-01", NOT_LISTED)],
}
"""From the first day of each stretch on."""


def boundaries() -> list[tuple[str, str, date, CodeStatus]]:
    """The day before, the day and the day after each boundary of each row, and a day long after the last."""
    found = []
    for (system, code), stretches in ROWS.items():
        for at, (first, standing) in enumerate(stretches):
            day = date.fromisoformat(first)
            if at:
                found.append((system, code, day - timedelta(days=1), stretches[at - 1][1]))
            found += [(system, code, day, standing), (system, code, day + timedelta(days=1), standing)]
        found.append((system, code, date(2030, 1, 1), stretches[-1][1]))
    return found


@pytest.mark.parametrize(("system", "code", "day", "expected"), boundaries())
def test_a_code_has_its_listed_standing_around_a_boundary(
    system: str, code: str, day: date, expected: CodeStatus
) -> None:
    """A code has the standing that the list gives it on each side of a boundary."""
    assert expected == packaged().codes.standing(system, code, day)


def test_the_rows_are_the_whole_list() -> None:
    listed = {(one.system, one.code) for one in packaged().document.codes.listed}

    assert {row for row, stretches in ROWS.items() if LISTED in dict(stretches).values()} == listed


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("38242", LISTED),
        ("0537T", NOT_LISTED),
        ("0537t", NOT_LISTED),
        ("3824", INVALID),
        ("382420", INVALID),
        ("382.42", INVALID),
        ("3824.", INVALID),
        ("38-42", INVALID),
        ("3824 ", INVALID),
        ("3824²", INVALID),
        ("", INVALID),
    ],
)
def test_a_cpt_code_is_five_letters_or_digits(code: str, expected: CodeStatus) -> None:
    assert expected == packaged().codes.standing("cpt", code, date(2024, 6, 10))


@pytest.mark.parametrize(
    ("system", "code", "day"),
    [
        ("icd-9-pcs", "99.09", date(2014, 1, 1)),
        ("icd-9-pcs", "9909", date(2014, 1, 1)),
        ("icd-10-pcs", "30233q1", date(2024, 1, 1)),
        ("icd-10-pcs", "302.33Q1", date(2024, 1, 1)),
        ("icd-10-pcs", " 30233q1\u00a0", date(2024, 1, 1)),
        ("cpt", "38242   ", date(2024, 1, 1)),
    ],
)
def test_spaces_case_and_ignorable_dots_do_not_matter(system: str, code: str, day: date) -> None:
    """White space and case never matter, and dots do not matter where the system ignores them."""
    assert packaged().codes.standing(system, code, day) == LISTED


def test_a_letter_with_a_capital_among_ours_is_another_letter() -> None:
    index = CodeIndex(other().document.codes)

    assert "\u0131".upper() == "I"
    assert [index.normal("ev-local", code) for code in ("i10", "\u013110")] == ["I10", "\u013110"]


def test_an_unknown_system_is_not_listed_rather_than_invalid() -> None:
    assert packaged().codes.standing("ndc", "38242", date(2024, 6, 10)) is NOT_LISTED


def test_a_code_is_found_in_the_list_whatever_the_day() -> None:
    index: CodeIndex = other().codes

    entry = index.entry("ev-local", "l10")
    assert entry is not None
    assert entry.code == "L.10"
    assert index.entry("hcpcs", "L.10") is None


@pytest.mark.parametrize("code", ["", "S", "S2150", "S2150-00", "0" * 40])
def test_a_system_without_a_length_takes_codes_of_any(code: str) -> None:
    """Where the document says no length of a system, as where it knows no such system, no code is of a wrong form."""
    [hcpcs] = [one for one in packaged().document.codes.systems if one.system == "hcpcs"]
    assert hcpcs.length is None

    for system in ("hcpcs", "no-such-system"):
        assert packaged().codes.well_formed(system, code)
        assert packaged().codes.standing(system, code, date(2024, 6, 10)) is NOT_LISTED


@pytest.mark.parametrize(("code", "expected"), [("38242", True), (" 0537t", True), ("3824", False), ("3824-", False)])
def test_a_system_with_a_length_takes_codes_of_that_alone(code: str, *, expected: bool) -> None:
    """Whether a code looks like its system's is a matter of its length and its characters, and of no day."""
    assert packaged().codes.well_formed("cpt", code) is expected
