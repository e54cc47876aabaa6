"""The tables say what is so: the page is made from them, and what they ignore makes no difference."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from events.adapters.pas import coverage
from events.adapters.pas.adapter import PAS
from events.adapters.pas.table import FIELDS, LINE_FIELDS, NOT_STATED, ROWS
from events.request import AuthorizationRequest, Diagnosis, Member, PastProcedure, Provider, ServiceLine
from tests.support.pas_bundles import PARTNER, PAS_URL, RECEIVED, Json, bundle
from workers.main.generated_files import stale

SEED = 7
CONFIGURED = {"policy_number", "channel"}
EXTENSIONS = {
    "encounter", "conditionCode", "homeHealthCareInformation", "infoChanged", "serviceItemRequestType",
    "epsdtIndicator", "revenueUnitRateLimit", "productOrServiceCodeEnd",
}  # fmt: skip
ANYTHING: tuple[Any, ...] = ("x", 7, {"x": "y"}, [{"sequence": 1, "reference": "Patient/x"}])


def test_the_page_is_what_the_tables_say() -> None:
    assert coverage.PAGE not in stale()


PARTS: dict[str, tuple[str, type[BaseModel]]] = {
    "member": ("member.", Member),
    "provider": ("provider.", Provider),
    "diagnoses": ("diagnoses.N.", Diagnosis),
    "procedures": ("procedures.N.", PastProcedure),
    "service_lines": ("service_lines.N.", ServiceLine),
}


def _fields() -> Iterator[str]:
    for name in AuthorizationRequest.model_fields:
        if name in PARTS:
            before, model = PARTS[name]
            yield from (before + field for field in model.model_fields)
        else:
            yield name


def test_every_canonical_field_has_a_row_or_says_why_not() -> None:
    said = {row.path for row in ROWS if row.fate == "mapped"} | set(NOT_STATED) | CONFIGURED
    # A code's row speaks of its system and its day too.
    implied = {
        f"{path.rpartition('.')[0]}.{name}" for path in said for name in ("system", "date") if path.endswith(".code")
    }
    assert set(_fields()) <= said | implied
    assert said <= set(_fields())


def test_every_field_that_is_read_has_a_row() -> None:
    read = {field.path for field in FIELDS} | {f"service_lines.N.{field.path}" for field in LINE_FIELDS}
    assert read - CONFIGURED <= {row.path for row in ROWS}


def _ignored() -> list[tuple[str, str]]:
    """Every part that is let be, by its resource."""
    return [
        (row.resource, part)
        for row in ROWS
        if row.fate == "ignored" and row.resource in ("Bundle", "Claim", "Claim.item")
        for part in row.part.split(", ")
        if part.isalnum()
    ]


def _with(tree: Json, resource: str, part: str, value: Any) -> Json:
    claim = tree["entry"][0]["resource"]
    element = {"Bundle": tree, "Claim": claim, "Claim.item": claim["item"][0]}[resource]
    if part in EXTENSIONS:
        element["extension"] = [
            *element.get("extension", ()),
            {"url": f"{PAS_URL}extension-{part}", "valueString": "x"},
        ]
    else:
        element[part] = value
    return tree


@pytest.mark.parametrize(("resource", "part"), _ignored())
def test_what_is_ignored_makes_no_difference(resource: str, part: str) -> None:
    [usual] = PAS.read(json.dumps(bundle(SEED)).encode(), PARTNER, RECEIVED)
    assert usual.refused is None
    for value in ANYTHING if (resource, part) != ("Bundle", "type") else ("x",):
        changed = _with(bundle(SEED), resource, part, value)
        [found] = PAS.read(json.dumps(changed).encode(), PARTNER, RECEIVED)
        assert (found.request, found.refused, found.trace) == (usual.request, usual.refused, usual.trace)
