"""HAPI FHIR's validator, with the guide's package, finds no error in any response, and the errors of bad ones."""

import json
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.support.hapi import Problem, validated
from tests.support.interop_samples import ABSENT, SAMPLES
from tests.support.pas_bundles import PAS_URL, X12_URL, Json, coded
from tests.support.pas_responses import GENERATED, GROUPS, asking

pytestmark = pytest.mark.interop

TEMPORARY = "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes"
"""A code system that is in the guide's package."""
Found = Mapping[str, list[list[Problem]]]


def _claim_response(tree: Json) -> Json:
    found: Json = tree["entry"][0]["resource"]
    return found


def _communication_request(tree: Json) -> Json:
    found: Json = next(one["resource"] for one in tree["entry"] if "payload" in one["resource"])
    return found


def _reason(tree: Json) -> Json:
    """The coding of the first item's decision reason."""
    [review] = _claim_response(tree)["item"][0]["adjudication"][0]["extension"]
    [reason] = [one["valueCodeableConcept"] for one in review["extension"] if one["url"] == "reasonCode"]
    coding: Json = reason["coding"][0]
    return coding


def _without_insurer(tree: Json) -> None:
    del _claim_response(tree)["insurer"]


def _other_outcome(tree: Json) -> None:
    _claim_response(tree)["outcome"] = "approved"


def _other_claim_type(tree: Json) -> None:
    _claim_response(tree)["type"]["coding"][0]["code"] = "surgical"


def _action_of_the_whole(tree: Json) -> None:
    action = {"url": f"{PAS_URL}extension-reviewActionCode", "valueCodeableConcept": coded(f"{X12_URL}306", "A4")}
    _claim_response(tree)["adjudication"][0]["extension"][0]["extension"].append(action)


def _other_medium(tree: Json) -> None:
    _communication_request(tree)["medium"] = [coded(TEMPORARY, "pigeon")]


def _other_list(tree: Json) -> None:
    _reason(tree)["system"] = f"{X12_URL}901"


def _unknown_list(tree: Json) -> None:
    _reason(tree)["system"] = "https://payer.example/reasons"


def _broken_reference(tree: Json) -> None:
    _claim_response(tree)["insurer"] = {"reference": _claim_response(tree)["patient"]["reference"]}


BAD: Mapping[str, tuple[Callable[[Json], None], str, str]] = {
    "a required element is absent": (_without_insurer, "ClaimResponse", "ClaimResponse.insurer: minimum required = 1"),
    "a code is not in FHIR's value set": (_other_outcome, ".outcome", "was not found in the value set"),
    "a code is not in FHIR's code system": (_other_claim_type, ".type", "claim-type#surgical"),
    "an extension is where the guide forbids it": (_action_of_the_whole, ".adjudication[0]", "is not allowed"),
    "a code is not in the guide's code system": (_other_medium, ".medium[0]", "PASTempCodes#pigeon"),
    "a code is of another of X12's lists": (_other_list, ".item[0].adjudication[0]", "in the value set"),
    "a code is of a list that nobody knows": (_unknown_list, ".item[0].adjudication[0]", "CodeSystem is unknown"),
    "a reference is to another kind of resource": (_broken_reference, ".insurer", "Patient"),
}
"""What is done to a response; then where HAPI finds it, and what it says."""


def _bad() -> Iterator[bytes]:
    for spoil, _, _ in BAD.values():
        tree = asking()
        spoil(tree)
        yield json.dumps(tree).encode()


@pytest.fixture(scope="module")
def found() -> Found:
    """What HAPI finds in all groups and in the bad examples, in one JVM."""
    groups = {name: [*make()] for name, make in GROUPS.items() if name != "samples" or SAMPLES is not None}
    groups["as it is"] = [json.dumps(asking()).encode()]
    groups["bad"] = [*_bad()]
    answers = iter(validated([one for group in groups.values() for one in group]))
    return {name: [next(answers) for _ in group] for name, group in groups.items()}


@pytest.mark.parametrize("group", GROUPS)
def test_hapi_finds_nothing_wrong_with_what_we_write(group: str, found: Found) -> None:
    if group not in found:
        pytest.skip(ABSENT)
    assert found[group]
    assert [problems for problems in found[group] if problems] == []


def test_as_many_bundles_are_validated_as_are_generated(found: Found) -> None:
    assert len(found["generated"]) == GENERATED
    assert len(found["damaged"]) > GENERATED // 2


@pytest.mark.parametrize("fault", BAD)
def test_hapi_finds_a_response_that_is_made_wrong(fault: str, found: Found) -> None:
    _, place, words = BAD[fault]
    problems = found["bad"][list(BAD).index(fault)]
    assert [one for one in problems if place in one.location and words in one.message]
    assert found["as it is"] == [[]]
