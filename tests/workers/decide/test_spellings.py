"""However a code is written, the answer is the plain code's, or a refusal: no spelling makes evidence vanish."""

import json
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from events.decode import RejectedError, decode
from events.request import AuthorizationRequest
from policy_core.history.library import Library
from tests.support.cases import COVERED
from tests.support.packaged import packaged_library
from workers.decide.handler import decide

Json = dict[str, Any]

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=400)

ASKED: Json = {
    "request_id": "PA-1",
    "certification": "initial",
    "urgency": "standard",
    "submitted_at": "2025-04-21T09:00:00-05:00",
    "member": {"member_id": "M", "line_of_business": "commercial"},
    "provider": {"npi": "1234567893"},
    "service_lines": [{"line": 1, "system": "cpt", "code": "38242", "units": 1, "service_date": "2025-05-06"}],
    "clinical": COVERED,
}
SILENT = {name: value for name, value in COVERED.items() if name not in ("malignancy", "disease_status")}
DIAGNOSES = [
    *[("icd-10-cm", code) for code in ("C92.01", "C92.02", "C92.00", "C92.A2", "C50.911", "C4A.9", "D46.22", "Z94.84")],
    *[("icd-10-cm", code) for code in ("C92.0", "D45", "S72.001A")],
    *[("icd-9-cm", code) for code in ("205.01", "174.9", "238.75", "V42.82", "E850.0", "209")],
]
"""Those that say something, that say nothing, that agree with what is stated and that contradict it; CML and AML."""
PROCEDURES = [
    ("cpt", "38242", "2025-05-06"),
    ("cpt", "86812", "2025-05-06"),
    ("cpt", "36520", "2025-05-06"),
    ("cpt", "99213", "2025-05-06"),
    ("cpt", "0537T", "2025-05-06"),
    ("hcpcs", "S2150", "2025-05-06"),
    ("icd-10-pcs", "30233Q1", "2025-05-06"),
    ("icd-10-pcs", "30253Q1", "2025-05-06"),
    ("icd-9-pcs", "99.09", "2014-05-06"),
    ("icd-9-pcs", "99.72", "2014-05-06"),
]

SPACES = [
    "",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\x0b",
    "\x1c",
    "\x85",
    "\u00a0",
    "\u1680",
    "\u2003",
    "\u2028",
    "\u202f",
    "\u3000",
]
UNSEEN = [
    "\u200b",
    "\u200c",
    "\u200d",
    "\u2060",
    "\ufeff",
    "\u00ad",
    "\u200e",
    "\u202e",
    "\u2066",
    "\u180e",
    "\x00",
    "\x7f",
]
MARKS = ["\u0301", "\u0323", "\u20e3", "\ufe0f"]
DASHES = ["-", "\u2010", "\u2011", "\u2013", "\u2212"]
DOTS = [".", "..", "\u2024", "\u00b7", "\u3002", ","]
LOOKALIKES = {"C": "\u0421\u216d\u24b8", "S": "\u017f", "0": "O\u0660\u2070", "2": "\u00b2\u0662\u2461", "I": "\u0131"}


def alike(character: str) -> list[str]:
    """A character as it may be written: in either case, as a compatibility form, as one that looks like it."""
    wide = chr(ord(character) + 0xFEE0)
    return [character, character.lower(), character.upper(), wide, *LOOKALIKES.get(character, "")]


@st.composite
def written(draw: st.DrawFn, code: str) -> str:
    """A way to write a code: mostly one that people use."""
    odd = draw(st.booleans())
    between = st.sampled_from(["", "", "", *DOTS, *SPACES, *UNSEEN, *MARKS, *DASHES] if odd else ["", "", "."])
    pad = st.text(st.sampled_from("".join(SPACES)), max_size=4)
    characters = [one for one in code if one != "." or draw(st.booleans())]
    made = [draw(st.sampled_from(alike(one) if odd else [one, one.lower()])) + draw(between) for one in characters]
    return draw(pad) + "".join(made) + draw(pad)


@cache
def library() -> Library:
    return packaged_library()


def answered(request: Json) -> Json | None:
    """The decision; None where the request is refused, at a code's path and without a word of it."""
    try:
        received = decode(json.dumps(request).encode(), bare_allowed=True)
    except RejectedError as error:
        refused = error
    else:
        decision: Json = json.loads(decide(received, library()).to_json())
        return decision
    assert (refused.reason, {one.path.rpartition(".")[2] for one in refused.errors}) == ("schema_violation", {"code"})
    return None


def with_diagnosis(system: str, code: str, clinical: Mapping[str, Any]) -> Json:
    return {**ASKED, "diagnoses": [{"system": system, "code": code}], "clinical": clinical}


def with_procedure(system: str, code: str, day: str) -> Json:
    asked = deepcopy(ASKED) | {"prior_authorization_number": "A1"}
    asked["service_lines"][0] |= {"system": system, "code": code, "service_date": day}
    return asked


@st.composite
def a_diagnosis(draw: st.DrawFn) -> tuple[str, str, str]:
    system, code = draw(st.sampled_from(DIAGNOSES))
    return system, code, draw(written(code))


@st.composite
def a_procedure(draw: st.DrawFn) -> tuple[str, str, str, str]:
    system, code, day = draw(st.sampled_from(PROCEDURES))
    return system, code, day, draw(written(code))


@example(("icd-10-cm", "C92.01", "C92.01 "), COVERED)
@example(("icd-10-cm", "C92.01", "C92.01\u00a0"), COVERED)
@example(("icd-10-cm", "C92.01", "C92-01"), COVERED)
@example(("icd-10-cm", "C50.911", " C50.911"), COVERED)
@example(("icd-10-cm", "C50.911", "\u00a0C50.911"), COVERED)
@example(("icd-10-cm", "C50.911", "\uff2350.911"), COVERED)
@repeatable
@given(diagnosis=a_diagnosis(), clinical=st.sampled_from([COVERED, SILENT]))
def test_a_diagnosis_is_answered_as_if_plain_or_refused(
    diagnosis: tuple[str, str, str], clinical: Mapping[str, Any]
) -> None:
    """A diagnosis is answered as if it were written plainly, or it is refused."""
    system, plain, spelling = diagnosis
    found = answered(with_diagnosis(system, spelling, clinical))

    assert found in (None, answered(with_diagnosis(system, plain, clinical)))


@example(("icd-10-cm", "C92.01", "\t c9201 \u3000"))
@repeatable
@given(diagnosis=a_diagnosis())
def test_white_space_case_and_dots_refuse_no_diagnosis(diagnosis: tuple[str, str, str]) -> None:
    system, plain, spelling = diagnosis
    same = spelling.strip().upper().replace(".", "") == plain.replace(".", "") and spelling.isprintable()

    assert not (same and spelling.isascii() and answered(with_diagnosis(system, spelling, COVERED)) is None)


@repeatable
@given(procedure=a_procedure())
def test_no_spelling_of_a_procedure_gets_it_certified(
    procedure: tuple[str, str, str, str],
) -> None:
    """A procedure is answered as if written plainly, or refused, and no spelling gets it certified."""
    system, plain, day, spelling = procedure
    found, expected = answered(with_procedure(system, spelling, day)), answered(with_procedure(system, plain, day))
    assert expected is not None
    if found is None or found == expected:
        return
    (line,) = found["lines"]
    assert line["determination"] in ("not_addressed", "invalid_code")
    assert (found["action"], line["action"]) == ("A4", "A4")


@pytest.mark.parametrize(("system", "code", "day"), PROCEDURES)
@pytest.mark.parametrize("pad", SPACES[1:])
def test_white_space_around_a_procedure_changes_no_byte(system: str, code: str, day: str, pad: str) -> None:
    expected = answered(with_procedure(system, code, day))

    assert answered(with_procedure(system, f"{pad}{code}{pad}", day)) == expected
    assert answered(with_procedure(system, f"{pad}{code.lower()}", day)) == expected


@repeatable
@given(diagnosis=a_diagnosis(), procedure=a_procedure())
def test_requests_that_say_the_same_get_the_same_bytes(
    diagnosis: tuple[str, str, str], procedure: tuple[str, str, str, str]
) -> None:
    """Requests that say the same are answered with the same bytes."""
    plain = with_procedure(procedure[0], procedure[1], procedure[2])
    plain["diagnoses"] = [{"system": diagnosis[0], "code": diagnosis[1]}]
    other = with_procedure(procedure[0], procedure[3], procedure[2])
    other["diagnoses"] = [{"system": diagnosis[0], "code": diagnosis[2]}]
    if answered(other) is None:
        return
    same = AuthorizationRequest.model_validate(other).content() == AuthorizationRequest.model_validate(plain).content()

    assert (answered(other) == answered(plain)) == same
