"""The digest of a document, and its JSON Schema."""

import json
from hashlib import sha256
from io import StringIO
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from ruamel.yaml import YAML

from policy_core.document.models import PolicyDocument
from policy_core.evaluate.determine import Policy
from policy_core.history.library import PACKAGED
from policy_core.loading.load import parse
from tests.support.cases import (
    OTHER_FILE,
    PACKAGED_FILE,
    other,
    packaged,
)
from tests.support.documents import Route, at, plain

REAL = PACKAGED_FILE.read_text("utf-8")
OTHER = OTHER_FILE.read_text("utf-8")
SCHEMA = json.loads((PACKAGED.parent / "policy.schema.json").read_text("utf-8"))


def edited(old: str, new: str, text: str = REAL) -> str:
    assert old in text, f"the document no longer has {old!r}"
    return text.replace(old, new, 1)


def line_of(marker: str, text: str) -> int:
    """The number of the one line that has `marker`."""
    (found,) = [number for number, line in enumerate(text.splitlines(), start=1) if marker in line]
    return found


# --- the digest ------------------------------------------------------------------------------------


def shuffled(node: Any) -> Any:
    """The same with the keys of every mapping in another order."""
    if isinstance(node, dict):
        return {key: shuffled(node[key]) for key in sorted(node, reverse=True)}
    return [shuffled(one) for one in node] if isinstance(node, list) else node


def test_the_digest_depends_on_content_and_not_on_form() -> None:
    """The digest depends on what a document says and not on how it is written."""
    dumped = StringIO()
    YAML(typ="safe", pure=True).dump(plain(OTHER), dumped)
    written = [
        OTHER.replace("\n\n", "\n# a comment\n"),
        OTHER.replace("\n", "\r\n"),
        dumped.getvalue(),
        json.dumps(shuffled(plain(OTHER)), indent=4),
    ]

    assert [other().sha256] * 4 == [parse(one.encode(), "policy.yaml").digest() for one in written]


def test_a_default_written_out_changes_no_digest() -> None:
    text = edited("presumed:\n      value: true", "presumed:\n      enabled: true\n      value: true", OTHER)

    assert other().sha256 == parse(text.encode(), "policy.yaml").digest()


def test_the_canonical_form_holds_all_that_a_document_says() -> None:
    """All but its examples and what it says to `check`, which say nothing about care."""
    for text, policy in ((OTHER, other()), (REAL, packaged())):
        written = plain(text)
        written.pop("examples", None)
        for code in written["codes"]["listed"]:
            del code["shares_rules"]
        assert written == json.loads(policy.document.canonical())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("number",), "EV-13"),
        (("facts", 3, "values", 0), "slight"),
        (("facts", 5, "presumed", "because"), "Most are."),
        (("facts", 5, "presumed", "enabled"), False),
        (("rules", 0, "says"), "Something else."),
        (("rules", 0, "outcomes", 0, "reason"), "other_reason"),
        (("statements", 0, "cites", 0, "ordinal"), 7),
        (("codes", "systems", 1, "ignores_dots"), False),
        (("codes", "listed", 0, "listed", "since"), "2022-01-16"),
        (("clocks", 0, "standard", "hours"), 13),
        (("revisions", 3, "says"), "Something else."),
        (("definitions",), []),
    ],
)
def test_the_digest_changes_with_any_value(path: Route, value: Any) -> None:
    tree = plain(OTHER)
    at(tree, path[:-1])[path[-1]] = value

    assert other().sha256 != digest_of(tree)


def digest_of(tree: Any) -> str:
    return PolicyDocument.model_validate_json(json.dumps(tree), strict=True).digest()


TINY = """
format: 1
number: T-1
title: Tiny
source: {publisher: Us, sections: [text]}
facts: [{path: clinical.fit, kind: boolean, question: "Fit?"}]
editions: [{since: 2020-01-01, on_record: true, says: All.}]
rules:
  - id: fit
    says: Fit.
    when: {fact: clinical.fit, is: true}
    outcomes: [{since: 2020-01-01, determination: medically_necessary}]
  - {id: not, says: Not., when: {otherwise: true}, outcomes: [{since: 2020-01-01, determination: criteria_not_met}]}
codes:
  {id: codes, says: Codes., systems: [{system: own, says: Ours.}], listed: [{system: own, code: "1"}]}
revisions: [{date: 2020-01-01, kinds: [approval], says: Approved.}]
"""
CANONICAL = (
    '{"codes":{"id":"codes","listed":[{"code":"1","system":"own"}],"says":"Codes.",'
    '"systems":[{"says":"Ours.","system":"own"}]},'
    '"editions":[{"on_record":true,"says":"All.","since":"2020-01-01"}],'
    '"facts":[{"kind":"boolean","path":"clinical.fit","question":"Fit?"}],'
    '"format":1,"number":"T-1",'
    '"revisions":[{"date":"2020-01-01","kinds":["approval"],"says":"Approved."}],'
    '"rules":[{"id":"fit","outcomes":[{"determination":"medically_necessary","since":"2020-01-01"}],'
    '"says":"Fit.","when":{"fact":"clinical.fit","is":true}},'
    '{"id":"not","outcomes":[{"determination":"criteria_not_met","since":"2020-01-01"}],'
    '"says":"Not.","when":{"otherwise":true}}],'
    '"source":{"publisher":"Us","sections":["text"]},"title":"Tiny"}'
)


def test_the_canonical_form_is_sorted_json_without_defaults() -> None:
    """The canonical form is JSON with sorted keys and without defaults."""
    document = parse(TINY.encode(), "tiny.yaml")

    assert CANONICAL.encode() == document.canonical()
    assert sha256(CANONICAL.encode()).hexdigest() == document.digest()


def test_a_fact_tested_only_under_a_negation_decides() -> None:
    """A fact decides even if it is tested only under a negation."""
    text = edited("when: {fact: clinical.fit, is: true}", "when: {not: {fact: clinical.fit, is: false}}", TINY)

    assert [one.path for one in Policy(parse(text.encode(), "tiny.yaml")).variables] == ["clinical.fit"]


# --- the JSON Schema -------------------------------------------------------------------------------


def refused_by_the_schema(tree: Any) -> set[Route]:
    return {tuple(error.absolute_path) for error in Draft202012Validator(SCHEMA).iter_errors(tree)}


@pytest.mark.parametrize("text", [REAL, OTHER, TINY], ids=["packaged", "other", "tiny"])
def test_the_schema_takes_every_good_document(text: str) -> None:
    Draft202012Validator.check_schema(SCHEMA)

    assert refused_by_the_schema(plain(text)) == set()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 2),
        (("facts", 0, "kind"), "word"),
        (("facts", 0, "path"), "Clinical.diabetes"),
        (("rules", 0, "outcomes", 0, "determination"), "denied"),
        (("rules", 0, "outcomes", 0, "determination"), "redirected"),
        (("rules", 0, "when"), {"fact": "clinical.monitor", "equals": "professional"}),
        (("codes", "listed", 0, "code"), 38242),
        (("revisions", 0, "kinds"), []),
        (("statements", 0, "cites", 0, "sha256"), "0"),
    ],
)
def test_the_schema_refuses_what_the_models_refuse(path: Route, value: Any) -> None:
    tree = plain(OTHER)
    at(tree, path[:-1])[path[-1]] = value

    assert refused_by_the_schema(tree) == {path}
    with pytest.raises(ValidationError):
        digest_of(tree)


def test_the_schema_refuses_an_unknown_field() -> None:
    """The schema refuses a field that the format does not have."""
    tree = plain(OTHER)
    tree["facts"][0]["note"] = "x"

    assert refused_by_the_schema(tree) == {("facts", 0)}
