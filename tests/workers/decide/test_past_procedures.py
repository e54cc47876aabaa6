"""Past procedures are evidence as diagnoses are: the policy's document says which facts follow from them."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.decision import Decision
from events.decode import RejectedError, decode
from events.typed_reader import read_typed
from policy_core.evaluate.plan import Plan
from policy_core.history.library import Library, load_library
from tests.support import generator
from tests.support.case_of_request import case_of
from tests.support.edits import edited
from tests.support.packaged import packaged_library
from workers.decide.decision_text import sections
from workers.decide.handler import decide

TYPE = "clinical.transplant.type"
QUESTION = "    question: Was the earlier stem-cell transplant allogeneic or autologous, or has there been none?\n"
DERIVED = """    derived:
      - {value: allogeneic, system: cpt, codes: ["38240"]}
      - {value: autologous, system: cpt, codes: ["38241"]}
      - {value: allogeneic, system: icd-10-pcs, codes: [30233G2-30233G4, 30243G2-30243G4]}
"""
DERIVING = (QUESTION, QUESTION + DERIVED)
"""The packaged policy, if it took the transplant from its codes."""


@cache
def library() -> Library:
    with TemporaryDirectory() as folder:
        edited(Path(folder), DERIVING)
        return load_library([Path(folder)], "L.2.03.402")


def asked(*procedures: tuple[str, str], **changes: Any) -> dict[str, Any]:
    """A request that states everything but the kind of the transplant."""
    stated = {
        "malignancy": "hematologic",
        "transplant": {"original_determination": "medically_necessary"},
        "disease_status": "relapsed",
        "infusion": {"leukocyte_modification": "none"},
    }
    return {
        "request_id": "PA-1",
        "certification": "initial",
        "urgency": "standard",
        "submitted_at": "2025-04-21T09:00:00-05:00",
        "member": {"member_id": "M", "line_of_business": "commercial"},
        "provider": {"npi": "1234567893"},
        "procedures": [{"system": system, "code": code, "date": "2024-11-20"} for system, code in procedures],
        "service_lines": [{"line": 1, "system": "cpt", "code": "38242", "units": 1, "service_date": "2025-05-06"}],
        "clinical": stated,
    } | changes


def decided(request: dict[str, Any]) -> Decision:
    return decide(decode(generator.encode(request), bare_allowed=True), library())


def fact(decision: Decision, path: str = TYPE) -> Any:
    assert decision.trace is not None
    return next(one for one in decision.trace.facts if one.fact == path)


@pytest.mark.parametrize("code", [("cpt", "38240"), ("icd-10-pcs", " 30233g3 "), ("icd-10-pcs", "302.43G4")])
def test_a_fact_is_derived_from_a_past_procedure(code: tuple[str, str]) -> None:
    decision = decided(asked(code))

    assert decision.action == "A1"
    found = fact(decision)
    assert (found.origin, found.value, found.diagnoses) == ("derived", "allogeneic", None)
    assert [one.system for one in found.procedures] == [code[0]]


def test_without_one_the_fact_is_asked_for() -> None:
    decision = decided(asked())

    assert [one.fact for one in decision.lines[0].missing] == [TYPE]


def test_past_procedures_that_contradict_each_other_are_shown() -> None:
    decision = decided(asked(("cpt", "38240"), ("cpt", "38241")))

    [missing] = decision.lines[0].missing
    assert missing.conflict is not None
    assert {(one.value, one.procedures[0].code) for one in missing.conflict} == {
        ("allogeneic", "38240"),
        ("autologous", "38241"),
    }
    shown = dict(next(rows for title, rows in sections(decision, None) if title == "What is missing"))
    assert "cpt 38240 says allogeneic, but cpt 38241 says autologous" in shown[TYPE]


def test_a_stated_fact_that_a_procedure_contradicts_is_asked_for() -> None:
    request = asked(("cpt", "38240"))
    request["clinical"]["transplant"]["type"] = "autologous"

    assert fact(decided(request)).origin == "conflicting"


def test_the_packaged_policy_derives_nothing_from_them() -> None:
    stated = decide(decode(generator.encode(asked(("cpt", "38240"))), bare_allowed=True), packaged_library())

    assert fact(stated).origin == "not_stated"


@pytest.mark.parametrize(
    "code",
    [
        ("cpt", "3824"),
        ("cpt", "38240-59"),
        ("hcpcs", "38240"),
        ("icd-10-pcs", "30233G"),
        ("icd-9-pcs", "4"),
        ("cpt", ""),
    ],
)
def test_a_code_without_its_systems_form_is_refused(code: tuple[str, str]) -> None:
    with pytest.raises(RejectedError) as refused:
        decode(generator.encode(asked(code)), bare_allowed=True)

    assert [error.path for error in refused.value.errors] == ["procedures.0.code"]


CODES = st.sampled_from(
    [("cpt", "38240"), ("cpt", "38241"), ("icd-10-pcs", "30233G3"), ("cpt", "99213"), ("hcpcs", "S2150")]
)
DIAGNOSES = st.lists(st.sampled_from(["C92.02", "C50.911", "Z94.84"]), max_size=2)


@given(st.lists(CODES, max_size=3), DIAGNOSES, st.sampled_from([None, "allogeneic", "autologous", "none"]))
def test_the_plan_agrees_with_the_policy(
    codes: list[tuple[str, str]], diagnoses: list[str], stated: str | None
) -> None:
    request = asked(*codes, diagnoses=[{"system": "icd-10-cm", "code": code} for code in diagnoses])
    request["clinical"]["transplant"]["type"] = stated
    wire = generator.encode({"specversion": "1.0", "id": "e", "source": "/s", "data": request} | TYPED)
    received, typed = decode(wire), read_typed(wire)
    assert typed is not None
    policy = library()["L.2.03.402"]

    assert PLAN(policy).decide(typed.request).result() == policy.determine(case_of(received.request))
    assert typed.request.content == received.request.content()


TYPED = {"type": "authorization.requested.v1"}
PLAN = cache(Plan)
"""One for all examples, so that what it remembers of one is held against the others."""


def test_the_content_of_a_request_without_them_is_as_it_was() -> None:
    without = decode(generator.encode(asked()), bare_allowed=True).request
    none = asked()
    del none["procedures"]

    assert without.content() == decode(generator.encode(none), bare_allowed=True).request.content()
    assert b"procedures" not in without.content()


def test_a_line_with_a_service_type_only_is_not_addressed() -> None:
    request = asked()
    request["service_lines"][0] |= {"system": "service-type", "code": "3"}
    [line] = decided(request).lines

    assert (line.determination, line.reasons, line.action) == ("not_addressed", ("code_not_listed",), "A4")
