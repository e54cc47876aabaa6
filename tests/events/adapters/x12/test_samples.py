"""The samples of the contract, where they lie beside the checkout: each becomes what is expected of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from events.adapters.chain import Requested, chain_key
from events.adapters.partner import Partner
from events.adapters.submission import Chain, Submission
from events.adapters.x12.adapter import X12
from events.decode import Received
from tests.support.places import ROOT
from tests.support.x12_answers import answer, answered, library, requested
from workers.decide.handler import decide

SAMPLES = ROOT.parent / "shared" / "interop" / "samples"
if not SAMPLES.is_dir():
    SAMPLES = ROOT.parents[1] / "shared" / "interop" / "samples"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples do not lie beside the checkout")
FILES = sorted((SAMPLES / "x12").glob("*.edi")) if SAMPLES.is_dir() else []
OF_STATE = {"request_id", "supersedes", "first_submitted_at"}


def _read(file: Path) -> tuple[Submission, ...]:
    partner = Partner.model_validate_json((SAMPLES / "partner.json").read_bytes())
    return X12.read(file.read_bytes(), partner, 1_748_900_000_000)


def _expected(file: Path) -> dict[str, Any]:
    expected: dict[str, Any] = json.loads(file.with_suffix(".expected.json").read_bytes())
    return expected


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_accepted_sample_becomes_the_request_that_is_expected(file: Path) -> None:
    wanted = _expected(file)
    accepted = [one for one in _read(file) if one.refused is None]
    stated = [{name: value for name, value in one.items() if name not in OF_STATE} for one in wanted["accepted"]]
    if "lines_from" in wanted:
        del stated[0]["service_lines"]
    assert stated == [one.request for one in accepted]
    digestless = [one["request_id"].replace("<digest12>", "") for one in wanted["accepted"]]
    assert digestless == [f"{one.trace}~" for one in accepted]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_refused_sample_has_the_paths_that_are_expected(file: Path) -> None:
    refused = [one.refused for one in _read(file) if one.refused is not None]
    wanted = _expected(file).get("dead_letter")
    found = [{"reason": one.reason, "paths": [error.path for error in one.errors]} for one in refused]
    assert ([{"reason": wanted["reason"], "paths": wanted["paths"]}] if wanted else []) == found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_sample_keeps_what_its_answer_repeats(file: Path) -> None:
    echo = _read(file)[0].echo
    wanted = _expected(file).get("echo", {})
    assert wanted == {name: echo[name] for name in wanted}


def _in_order() -> list[tuple[str, Requested]]:
    """The accepted samples, each with what it becomes after those before it."""
    chains: dict[bytes, Chain] = {}
    found = []
    for file in FILES:
        for one in _read(file):
            if one.refused is None:
                result = requested(one, chains.get(chain_key(one)))
                chains[chain_key(one)] = result.chain
                found.append((file.stem, result))
    return found


def test_the_samples_of_one_trace_supersede_each_other() -> None:
    first, revision, cancellation = [one for stem, one in _in_order() if stem[:2] in ("01", "04", "05")]
    assert revision.request.supersedes == first.request.request_id
    assert cancellation.request.supersedes == revision.request.request_id
    assert cancellation.request.first_submitted_at == first.request.submitted_at
    assert cancellation.request.service_lines == revision.request.service_lines


def test_the_samples_are_decided_as_expected() -> None:
    for stem, one in _in_order():
        decision = decide(Received(None, one.request), library())
        lines = {str(line.line): line.determination for line in decision.lines}
        wanted = _expected(SAMPLES / "x12" / f"{stem}.edi")["decided"]
        assert wanted == {"action": decision.action, "lines": lines}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_sample_is_answered_cleanly(file: Path) -> None:
    for one in _read(file):
        if one.refused is not None or "service_lines" in (one.request or {}):
            assert answer(answered(one)).troubles == []


def test_the_refused_sample_is_told_what_is_wrong_at_each_loop() -> None:
    [file] = [one for one in FILES if one.stem.startswith("06")]
    response = answer(answered(_read(file)[1]))
    rejected = {
        (code, number): [segment[3] for segment in response.loop(code, number).all("AAA", "N")]
        for code, number in (("20", 1), ("21", 1), ("22", 1), ("EV", 1), ("SS", 1), ("SS", 2))
    }
    assert rejected == {
        ("20", 1): [],
        ("21", 1): ["43"],
        ("22", 1): [],
        ("EV", 1): ["33"],
        ("SS", 1): ["56", "33"],
        ("SS", 2): ["AG"],
    }
