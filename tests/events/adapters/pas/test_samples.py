"""The samples of the contract, where they lie beside the checkout: each becomes what is expected of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from events.adapters.chain import Requested, chain_key
from events.adapters.partner import Partner
from events.adapters.pas.adapter import PAS
from events.adapters.submission import Chain, Submission
from events.decode import Received
from tests.support.pas_answers import AT, answered, library, requested, troubles
from tests.support.places import ROOT
from workers.decide.handler import decide

SAMPLES = ROOT.parent / "shared" / "interop" / "samples"
if not SAMPLES.is_dir():
    SAMPLES = ROOT.parents[1] / "shared" / "interop" / "samples"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples do not lie beside the checkout")
FILES = sorted(file for file in (SAMPLES / "pas").glob("*.json") if ".expected" not in file.name)
OF_STATE = {"request_id", "supersedes", "first_submitted_at"}
OF_RECORD = "<record timestamp in the partner zone>"


def _read(file: Path) -> Submission:
    partner = Partner.model_validate_json((SAMPLES / "partner.json").read_bytes())
    [found] = PAS.read(file.read_bytes(), partner, AT)
    return found


def _expected(file: Path) -> dict[str, Any]:
    expected: dict[str, Any] = json.loads(file.with_suffix(".expected.json").read_bytes())
    return expected


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_accepted_sample_becomes_the_request_that_is_expected(file: Path) -> None:
    found, accepted = _read(file), _expected(file).get("accepted", [])
    stated = [{name: value for name, value in one.items() if name not in OF_STATE} for one in accepted]
    for one in stated:
        if one["submitted_at"] == OF_RECORD:
            one["submitted_at"] = "2025-06-02T16:33:20-05:00"
    assert stated == ([found.request] if found.refused is None else [])
    assert [one["request_id"].replace("<digest12>", "") for one in accepted] == [f"{found.trace}~" for _ in accepted]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_refused_sample_has_the_paths_that_are_expected(file: Path) -> None:
    refused, wanted = _read(file).refused, _expected(file).get("dead_letter")
    found = {"reason": refused.reason, "paths": [error.path for error in refused.errors]} if refused else None
    assert found == wanted


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_adapter_answers_the_lines_that_are_cancelled(file: Path) -> None:
    wanted = _expected(file).get("answered_by_adapter", {})
    assert {str(line): "C" for line in _read(file).cancelled_lines} == wanted


def _in_order() -> list[tuple[Path, Requested]]:
    """The accepted samples, each with what it becomes after those before it."""
    chains: dict[bytes, Chain] = {}
    found = []
    for file in FILES:
        one = _read(file)
        if one.refused is None:
            result = requested(one, chains.get(chain_key(one)))
            chains[chain_key(one)] = result.chain
            found.append((file, result))
    return found


def test_the_samples_of_one_trace_supersede_each_other() -> None:
    first, update, cancellation = [one.request for file, one in _in_order() if file.stem[:2] in ("02", "03", "04")]
    assert update.supersedes == first.request_id
    assert cancellation.supersedes == update.request_id
    assert cancellation.first_submitted_at == first.submitted_at


def test_the_samples_are_decided_as_expected() -> None:
    for file, one in _in_order():
        decision = decide(Received(None, one.request), library())
        lines = {str(line.line): line.determination for line in decision.lines}
        assert _expected(file)["decided"] == {"action": decision.action, "lines": lines}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_sample_is_answered_in_good_r4(file: Path) -> None:
    assert troubles(answered(_read(file))) == []


def test_the_refused_sample_is_told_what_is_wrong_by_path() -> None:
    [file] = [one for one in FILES if one.stem.startswith("06")]
    response = json.loads(answered(_read(file)))["entry"][0]["resource"]
    assert response["outcome"] == "error"
    refused = _read(file).refused
    assert refused is not None
    paths = [
        extension["valueString"]
        for error in response["error"]
        for extension in error["extension"]
        if extension["url"].endswith("errorPath")
    ]
    assert paths == [error.place for error in refused.errors]
