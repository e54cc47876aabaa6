"""Revisions as events: what each record of their topic is, to everybody who has read the same records before it."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.attestation import AttestedPart
from events.decode import LARGEST
from events.envelope import Headers
from events.field_paths import UNDECLARED
from policy_core.compare.answers import compare
from policy_core.document.models import PolicyDocument
from policy_core.history.chain import Chain, PublicationRefusedError, policy_of
from policy_core.history.publication_terms import Terms
from policy_core.loading.check import MOST_PROBLEMS
from policy_core.publications.publication import Publication, publication
from tests.support.chains import FORKED, OTHER, REFUSED, gestational_covered, next_one
from tests.support.large_documents import random_indications
from workers.configuration.settings import Settings
from workers.kafka.records import OutgoingRecord
from workers.policies.attestation import attestation
from workers.policies.history_agent import attested_record
from workers.policies.revision_events import (
    Chains,
    Outcome,
    Packaged,
    Seen,
    Verdict,
    as_record,
    event_of,
    judge,
    moment,
    publication_of,
)

SETTINGS = Settings()
PACKAGED = Packaged({one.digest: one for one in OTHER})
KNOWN: Chains = {OTHER.policy: OTHER}


def sent(one: Publication) -> OutgoingRecord:
    return as_record(one, "policy.revisions", "/s", "structured")


def judged(one: Publication, chains: Chains = KNOWN, packaged: Packaged = PACKAGED) -> Verdict:
    return seen(sent(one).value, chains=chains, packaged=packaged)


def seen(value: bytes | None, headers: Headers = (), chains: Chains = KNOWN, packaged: Packaged = PACKAGED) -> Verdict:
    """What a record is where whoever may write is trusted."""
    return judge(chains, Terms(), packaged, Seen(40, 1_790_000_000_000, value, headers))


def changed(one: Publication, **fields: Any) -> bytes:
    event = json.loads(sent(one).value)
    event["data"].update(fields)
    return json.dumps(event).encode()


# --- accepted ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_a_publication_reads_back_from_its_record_as_it_was(mode: Any) -> None:
    one = next_one(gestational_covered)
    record = as_record(one, "policy.revisions", "/s", mode)
    verdict = seen(record.value, record.headers, packaged=Packaged())

    assert verdict.publication is not None
    assert verdict.outcome is Outcome.ACCEPTED
    assert verdict.publication.digest == one.digest
    assert verdict.publication.document.canonical() == one.document.canonical()
    assert event_of(verdict.publication) == event_of(one)
    assert (verdict.chain and verdict.chain.known_through) == one.digest


def test_the_same_publication_gives_the_same_bytes() -> None:
    assert sent(next_one()) == sent(next_one())


def test_a_topic_gives_one_chain_with_or_without_packaged_files() -> None:
    """A whole topic gives the same chain whether its documents are packaged or not."""
    found: list[Chains] = []
    for packaged in (PACKAGED, Packaged()):
        chains: Chains = {}
        for one in (*OTHER, next_one()):
            verdict = judged(one, chains, packaged)
            assert verdict.chain is not None
            chains = {**chains, verdict.chain.policy: verdict.chain}
        found.append(chains)

    assert {one["EV-12"].known_through for one in found} == {next_one().digest}


def test_a_repeat_is_no_news() -> None:
    assert judged(OTHER.links[2]).outcome is Outcome.REPEATED
    assert judged(OTHER.links[2]).chain is OTHER


def test_an_altered_packaged_publication_is_not_accepted() -> None:
    """A packaged publication with a letter changed is not taken for the packaged one."""
    value = changed(OTHER.links[0], author="Somebody else")
    verdict = seen(value, chains={})

    assert verdict.outcome is Outcome.REFUSED


# --- refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "path", "sentence"),
    [one[1:] for one in REFUSED if one[1].policy == "EV-12"],
    ids=[one[0] for one in REFUSED if one[1].policy == "EV-12"],
)
def test_a_refusal_by_the_chain_names_the_field_and_the_reason(one: Publication, path: str, sentence: str) -> None:
    """What the chain refuses is refused with the field and the sentence."""
    chain = OTHER.accept(next_one()) if one.author == "Somebody else" else OTHER
    verdict = judged(one, {chain.policy: chain})

    assert verdict.outcome is Outcome.REFUSED
    assert verdict.rejected is not None
    assert verdict.rejected.reason == "revision_refused"
    [error] = verdict.rejected.errors
    assert error.path == path
    assert re.search(sentence, error.message)


def test_a_document_needing_too_much_work_is_refused_with_advice() -> None:
    """A document that takes too much work is refused with the part and with what to write."""
    verdict = judged(publication(random_indications(), None), {})

    assert verdict.outcome is Outcome.REFUSED
    assert verdict.rejected is not None
    assert verdict.rejected.reason == "revision_refused"
    [error] = verdict.rejected.errors
    assert error.path == "document.conditions.0"
    assert "the condition `bomb` takes" in error.message
    assert "make one fact, a choice, of some that belong together" in error.message


def large(document: Any) -> bytes:
    return changed(next_one(), document=document)


def deep(levels: int) -> Any:
    tree: Any = "x"
    for _ in range(levels):
        tree = {"not": tree}
    return tree


LARGE: Mapping[str, tuple[bytes, str, str]] = {
    "items": (large({"revisions": [1] * 300_000}), "document", "more than 20,000 mappings, lists and values"),
    "depth": (large({"rules": deep(100)}), "document.rules" + ".not" * 39, "nested more than 40 deep"),
    "a text": (large({"title": "x" * 20_000}), "document.title", "a text of more than 10,000 characters"),
    "a number": (large({"format": 10**400}), "document.format", "a number beyond 1,000,000,000"),
    "items beside the document": (changed(next_one(), kinds=["code"] * 50_000), "", "more than 20,000 mappings"),
    "keys beside the document": (
        changed(next_one(), **{f"k{at}": 1 for at in range(50_000)}),
        "",
        "more than 20,000 mappings",
    ),
}


@pytest.mark.parametrize(("value", "path", "message"), LARGE.values(), ids=LARGE)
def test_what_is_too_large_is_refused_before_it_is_looked_at(
    value: bytes, path: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked_at(*_: object, **__: object) -> None:
        pytest.fail("a document was looked at that is too large to be one")

    monkeypatch.setattr(PolicyDocument, "model_validate_json", looked_at)
    verdict = seen(value)

    assert verdict.rejected is not None
    assert verdict.rejected.reason == "revision_refused"
    [error] = verdict.rejected.errors
    assert error.path == path
    assert error.message.startswith(message)


def test_of_many_mistakes_a_letter_has_the_first() -> None:
    verdict = seen(large({"revisions": [1] * 400}))

    assert verdict.rejected is not None
    assert len(verdict.rejected.errors) == MOST_PROBLEMS


def test_an_oversized_attestation_is_sent_shortened() -> None:
    """An attestation too large for its topic is sent without the parts that make it so large."""
    before, after = OTHER.links[-2:]
    found = attestation(compare(policy_of(before), policy_of(after)), before.digest, after.digest)
    part = AttestedPart(category="wording", part="S1", field="says", before="x" * 10_000, after="y" * 10_000)

    whole = json.loads(attested_record(found, after.published, SETTINGS).value)["data"]
    record = attested_record(found.model_copy(update={"parts": (part,) * 100}), after.published, SETTINGS)
    sent = json.loads(record.value)["data"]

    assert len(record.value) < LARGEST
    assert sent["shortened"] is True
    assert "shortened" not in whole
    left = {"equivalent", "cases", "cases_that_change", "before", "after", "policy_number"}
    assert {name: sent[name] for name in left} == {name: whole[name] for name in left}


BAD: Mapping[str, tuple[bytes | None, str, list[str]]] = {
    "a tombstone": (None, "undecodable", [""]),
    "no JSON": (b"not json", "undecodable", [""]),
    "no object": (b"[]", "undecodable", [""]),
    "a key twice": (b'{"type": 1, "type": 2}', "undecodable", [""]),
    "too large": (b" " * (LARGEST + 1), "undecodable", [""]),
    "another type": (b'{"type": "policy.revision.published.v9"}', "unsupported_type", ["type"]),
    "no data": (b'{"type": "policy.revision.published.v1"}', "schema_violation", [""]),
    "a digest of something else": (changed(next_one(), author="X"), "revision_refused", ["digest"]),
    "an unknown kind": (changed(next_one(), kinds=["overhaul"]), "schema_violation", ["kinds.0", "kinds"]),
    "a document that is none": (changed(next_one(), document={"format": 2}), "schema_violation", []),
    "another policy's name": (changed(next_one(), policy_number="X-1"), "revision_refused", ["digest"]),
}


@pytest.mark.parametrize(("value", "reason", "paths"), BAD.values(), ids=BAD)
def test_what_is_no_revision_is_refused(value: bytes | None, reason: str, paths: list[str]) -> None:
    verdict = seen(value)

    assert verdict.rejected is not None
    found = [error.path for error in verdict.rejected.errors]
    assert verdict.rejected.reason == reason
    assert found == paths or (paths == [] and all(one.startswith("document.") for one in found))


def objects(tree: Any, *above: str | int) -> list[tuple[str | int, ...]]:
    """Where every object of a tree stands, the tree first."""
    here = [above] if isinstance(tree, dict) else []
    below = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return here + [one for key, part in below for one in objects(part, *above, key)]


EVENT = json.loads(sent(next_one()).value)
PLACES = objects(EVENT["data"])


@given(
    st.sampled_from(PLACES),
    st.one_of(st.from_regex(r"zq[a-z0-9_]{0,30}", fullmatch=True), st.from_regex(r"zq.{1,30}", fullmatch=True)),
    st.sampled_from([1, None, "x" * 10_001, 10**12, {"zq": {"zq": "x" * 10_001}}]),
)
def test_no_path_has_a_key_that_no_document_declares(place: tuple[str | int, ...], key: str, value: Any) -> None:
    tree = json.loads(json.dumps(EVENT))
    there = tree["data"]
    for part in place:
        there = there[part]
    there[key] = value

    rejected = seen(json.dumps(tree).encode()).rejected

    assert rejected is not None
    assert rejected.errors
    assert [one for one in rejected.errors if "zq" in one.path] == []
    assert any(UNDECLARED in one.path.split(".") for one in rejected.errors)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_judge_stumble(value: bytes) -> None:
    assert seen(value).outcome is Outcome.REFUSED


def test_a_defect_is_no_reason_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> Chain:
        raise ZeroDivisionError

    monkeypatch.setattr(Chain, "accept", broken)
    verdict = judged(next_one())

    assert verdict.rejected is not None
    assert verdict.rejected.reason == "internal_error"


def test_after_a_bad_one_the_chain_goes_on_where_it_was() -> None:
    assert judged(FORKED).outcome is Outcome.REFUSED
    assert judged(next_one()).outcome is Outcome.ACCEPTED


def test_a_document_too_large_for_its_topic_is_not_sent() -> None:
    one = next_one(lambda tree: tree["page"].append({"id": "long", "says": "x" * LARGEST, "cites": []}))

    with pytest.raises(PublicationRefusedError, match="is larger than 1,000,000 bytes"):
        sent(one)


def test_an_event_claims_no_more_than_it_has() -> None:
    event = event_of(replace(next_one(), sha256="0" * 64))

    with pytest.raises(PublicationRefusedError, match="is not the document's digest"):
        OTHER.accept(publication_of(event))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-01-01", datetime(2025, 1, 1, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2025-01-01T12:00:00Z", datetime(2025, 1, 1, 12, tzinfo=UTC)),
    ],
)
def test_a_moment_is_an_instant_or_the_end_of_a_day(text: str, expected: datetime) -> None:
    assert moment(text) == expected
    assert moment(date(2025, 1, 1).isoformat()).tzinfo is UTC


def test_what_is_no_moment_is_an_error() -> None:
    with pytest.raises(ValueError, match="should be an RFC 3339 instant"):
        moment("yesterday")
