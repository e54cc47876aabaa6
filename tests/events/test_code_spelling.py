"""Codes are read as people write them: each has one spelling, and a diagnosis code that is none is refused."""

import re
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from events import code_spelling
from events.code_spelling import ANY_CODE, DIAGNOSIS_PATTERNS, LONGEST, WHITE_SPACE
from events.decode import field_errors
from events.request import Diagnosis, ServiceLine

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=500)
LINE = {"line": 1, "units": 1, "service_date": "2025-05-06"}
SPACES = [chr(point) for point in range(sys.maxunicode + 1) if chr(point).isspace()]


def diagnosis(system: str, code: str) -> str | None:
    """The code as it is read; None where it is refused."""
    try:
        return Diagnosis.model_validate({"system": system, "code": code}).code
    except ValidationError:
        return None


def procedure(system: str, code: str) -> str | None:
    try:
        return ServiceLine.model_validate({**LINE, "system": system, "code": code}).code
    except ValidationError:
        return None


def test_the_white_space_of_the_schemas_is_what_python_trims() -> None:
    assert re.findall(f"[{WHITE_SPACE}]", "".join(map(chr, range(sys.maxunicode + 1)))) == SPACES
    assert "".join(SPACES).strip() == ""


@pytest.mark.parametrize(
    ("system", "written", "spelled"),
    [
        ("icd-10-cm", "C92.02", "C92.02"),
        ("icd-10-cm", "C9202", "C92.02"),
        ("icd-10-cm", "c92.02", "C92.02"),
        ("icd-10-cm", "C92.02 ", "C92.02"),
        ("icd-10-cm", "\u00a0\tC92.02\u3000\n", "C92.02"),
        ("icd-10-cm", ".C9.2..02.", "C92.02"),
        ("icd-10-cm", "d45", "D45"),
        ("icd-10-cm", "D45.", "D45"),
        ("icd-10-cm", "c4a.9", "C4A.9"),
        ("icd-10-cm", "S72001A", "S72.001A"),
        ("icd-9-cm", "205", "205"),
        ("icd-9-cm", "20501", "205.01"),
        ("icd-9-cm", "v4282", "V42.82"),
        ("icd-9-cm", "V42", "V42"),
        ("icd-9-cm", "e850", "E850"),
        ("icd-9-cm", "E8500", "E850.0"),
    ],
)
def test_a_diagnosis_code_has_one_spelling(system: str, written: str, spelled: str) -> None:
    assert diagnosis(system, written) == spelled


@pytest.mark.parametrize(
    ("system", "written"),
    [
        ("icd-10-cm", ""),
        ("icd-10-cm", " \u00a0"),
        ("icd-10-cm", "..."),
        ("icd-10-cm", "D4"),
        ("icd-10-cm", "C92-02"),
        ("icd-10-cm", "C92 .02"),
        ("icd-10-cm", "C92.02345"),
        ("icd-10-cm", "CC2.02"),
        ("icd-10-cm", "92.02"),
        ("icd-10-cm", "205.01"),
        ("icd-10-cm", "\uff2392.02"),
        ("icd-10-cm", "C92.0\u0662"),
        ("icd-10-cm", "C92.02\u200b"),
        ("icd-10-cm", "\ufeffC92.02"),
        ("icd-10-cm", "C92.02\u202e"),
        ("icd-10-cm", "C92.02\u0301"),
        ("icd-10-cm", "\u017f72.001A"),
        ("icd-10-cm", "C92.0\x002"),
        ("icd-10-cm", "C92.03"),
        ("icd-10-cm", "c90.0x"),
        ("icd-10-cm", "C959A"),
        ("icd-10-cm", "C92.02" + "." * LONGEST),
        ("icd-9-cm", "20"),
        ("icd-9-cm", "205.011"),
        ("icd-9-cm", "C92.02"),
        ("icd-9-cm", "V4"),
        ("icd-9-cm", "E85"),
        ("icd-9-cm", "205-01"),
    ],
)
def test_a_malformed_diagnosis_code_is_refused_at_its_path(system: str, written: str) -> None:
    """A diagnosis code that does not have the form of its system is refused at its path."""
    with pytest.raises(ValidationError) as caught:
        Diagnosis.model_validate({"system": system, "code": written})

    (error,) = field_errors(caught.value, Diagnosis)
    assert error.path == "code"
    assert error.message.startswith("should ")
    assert not [part for part in written.split() if part.strip(".") and part in error.message]


@pytest.mark.parametrize("code", ["C92.0", "C92", "C92.002", "C96.3", "C89.03", "C92.A0"])
def test_only_five_characters_of_c90_to_c95_tell_the_remission(code: str) -> None:
    assert diagnosis("icd-10-cm", code) == code


@pytest.mark.parametrize(
    ("system", "written", "spelled"),
    [
        ("cpt", "38242", "38242"),
        ("cpt", " 38242\u00a0", "38242"),
        ("cpt", "0537t", "0537T"),
        ("cpt", "382.42", "382.42"),
        ("cpt", "3824", "3824"),
        ("cpt", "38-42", "38-42"),
        ("hcpcs", "s2150 ", "S2150"),
        ("hcpcs", "\u017f2150", "\u017f2150"),
        ("icd-10-pcs", "30233q1\n", "30233Q1"),
        ("icd-10-pcs", "302.33Q1", "30233Q1"),
        ("icd-10-pcs", "302.33q", "302.33Q"),
        ("icd-9-pcs", "9909", "99.09"),
        ("icd-9-pcs", "99.09", "99.09"),
        ("icd-9-pcs", "99", "99"),
        ("icd-9-pcs", "99-09", "99-09"),
    ],
)
def test_a_procedure_code_has_one_spelling(system: str, written: str, spelled: str) -> None:
    """A procedure code has one spelling, and a code without its system's form stays as it is."""
    assert procedure(system, written) == spelled


@pytest.mark.parametrize("written", ["", "\u2003", "382\x0042", "3" * (LONGEST + 1), "3\n2"])
def test_what_is_no_line_of_text_is_no_code(written: str) -> None:
    assert procedure("cpt", written) is None


def test_a_pad_of_any_length_is_no_part_of_the_code() -> None:
    assert procedure("cpt", f"{' ' * 100_000}38242{' ' * 100_000}") == "38242"
    assert diagnosis("icd-10-cm", f"{' ' * 100_000}C92.02{' ' * 100_000}") == "C92.02"


@pytest.mark.parametrize(
    ("read", "remembered", "system", "code"),
    [
        (code_spelling.procedure, code_spelling._procedure, "cpt", "38242"),  # noqa: SLF001 (its memory)
        (code_spelling.diagnosis, code_spelling._diagnosis, "icd-10-cm", "C92.02"),  # noqa: SLF001
    ],
)
def test_a_long_pad_is_not_kept_in_memory(read: Any, remembered: Any, system: str, code: str) -> None:
    remembered.cache_clear()
    for length in range(LONGEST, LONGEST + 5):
        assert read(system, " " * length + code) == code

    assert remembered.cache_info().currsize == 1


def test_of_a_diagnosis_of_no_system_the_system_alone_is_told() -> None:
    with pytest.raises(ValidationError) as caught:
        Diagnosis.model_validate({"system": "icd-11", "code": "2B33"})

    assert [error.path for error in field_errors(caught.value, Diagnosis)] == ["system"]


LIKE_CODES = st.text(st.sampled_from("Cc9025EeVvDA.- \t\u00a0\u200b\uff23\x00\x85"), max_size=9)


@repeatable
@given(system=st.sampled_from(["icd-10-cm", "icd-9-cm"]), code=LIKE_CODES)
def test_the_schema_patterns_match_the_diagnoses_taken(system: str, code: str) -> None:
    """The schema's patterns accept exactly the diagnosis codes that are taken."""
    fits = [Draft202012Validator({"pattern": one}).is_valid(code) for one in (ANY_CODE, DIAGNOSIS_PATTERNS[system])]
    assert all(fits) == (diagnosis(system, code) is not None)


@repeatable
@given(code=LIKE_CODES | st.text(st.sampled_from("3 \x1f"), min_size=LONGEST - 1, max_size=LONGEST + 2))
def test_the_schema_pattern_matches_the_procedures_taken(code: str) -> None:
    """The schema's pattern accepts exactly the procedure codes that are taken."""
    assert Draft202012Validator({"pattern": ANY_CODE}).is_valid(code) == (procedure("cpt", code) is not None)


@repeatable
@given(code=LIKE_CODES, system=st.sampled_from(["icd-10-cm", "icd-9-cm", "cpt", "hcpcs", "icd-10-pcs", "icd-9-pcs"]))
def test_a_spelling_is_read_as_itself(code: str, system: str) -> None:
    read: Any = code_spelling.diagnosis if system.endswith("-cm") else code_spelling.procedure
    try:
        spelled = read(system, code)
    except ValueError:
        return
    assert read(system, spelled) == spelled
