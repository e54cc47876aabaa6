"""Every example is a contract: what a valid request says is decided, and what stands as the answer is the answer.

The examples of decisions, dead letters and revisions are what the software makes of the examples of requests and
of the packaged policy. `python -m tests.events.test_examples` writes them again: the difference is what consumers
will see.
"""

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import BaseModel, ValidationError

from events.attestation import PolicyAttestation
from events.audit import Acted
from events.dead_letter import SENTENCES, DeadLetter
from events.decision import Decision, Determination
from events.decode import RejectedError, decode, field_errors
from events.field_paths import UNDECLARED
from events.revision import PolicyRevision
from events.schemas import FOLDER
from events.shadow import ShadowDifference
from events.topics import POLICY_REVISIONS, REQUESTS
from policy_core.compare.answers import compare
from policy_core.evaluate.determine import Policy
from policy_core.history.chain import policy_of
from policy_core.history.library import Library
from policy_core.history.publication_terms import Terms
from tests.support.packaged import packaged_library
from tests.support.places import ROOT
from tests.support.publishing import revised
from workers.audit.record_acts import as_record as acted_record
from workers.configuration.settings import Settings
from workers.decide.handler import DecisionHandler, decide
from workers.decide.shadow import Shadow
from workers.kafka.records import Record
from workers.policies.attestation import attestation
from workers.policies.history_agent import attested_record
from workers.policies.revision_events import Packaged, Seen, as_record, judge

SETTINGS = Settings(source="/dli-authorization", mode="structured", topic_prefix="")
EXAMPLES = ROOT / "events" / "examples"
REQUESTED = EXAMPLES / "authorization.requested.v1"
DECIDED = EXAMPLES / "authorization.decided.v1"
DEAD_LETTERED = EXAMPLES / "authorization.dead_lettered.v1"
PUBLISHED = EXAMPLES / "policy.revision.published.v1"
SHADOWED = EXAMPLES / "authorization.shadowed.v1"
ATTESTED = EXAMPLES / "policy.revision.attested.v1"
ACTED = EXAMPLES / "dli.acted.v1"
FOLDERS = {
    REQUESTED / "valid",
    REQUESTED / "invalid",
    DECIDED / "valid",
    DECIDED / "invalid",
    DEAD_LETTERED / "valid",
    DEAD_LETTERED / "invalid",
    PUBLISHED / "valid",
    PUBLISHED / "invalid",
    SHADOWED / "valid",
    ATTESTED / "valid",
    ACTED / "valid",
    ACTED / "invalid",
    *(EXAMPLES / "authorization.reviewed.v1" / kind for kind in ("valid", "invalid", "refused")),
    *(EXAMPLES / "authorization.extended.v1" / kind for kind in ("valid", "invalid")),
    DECIDED / "after-review",
    EXAMPLES / "authorization.deadline.v1" / "valid",
}
"""Each is read by tests here or in `test_review_examples`; nothing else may stand among the examples."""
OF_OTHERS = {
    "conflicting_duplicate",
    "circular_link",
    "denied_link",
    "revision_refused",
    "verdict_refused",
    "unknown_request",
    "internal_error",
}
"""Reasons that an event cannot give by itself."""
OF_OTHER_POLICIES = {"not_medically_necessary"}
"""Determinations that no rule of the packaged policy gives."""
CLINICAL = "clinical.L.2.03.402.json"


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def orphans(root: Path, folders: Iterable[Path]) -> list[Path]:
    """The files that no test would read."""
    known = {(root / folder.relative_to(EXAMPLES)) for folder in folders}
    return [
        file
        for file in sorted(root.rglob("*"))
        if file.is_file() and (file.parent not in known or file.suffix != ".json")
    ]


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def each(folder: Path) -> pytest.MarkDecorator:
    """A test of every file of a folder."""
    return pytest.mark.parametrize("file", files(folder), ids=lambda file: file.stem)


@cache
def library() -> Library:
    return packaged_library()


@cache
def validator(name: str) -> Draft202012Validator:
    schema = json.loads((FOLDER / name).read_text("utf-8"))
    return Draft202012Validator(schema, format_checker=FormatChecker())


def schema_paths(name: str, data: object) -> set[str]:
    """The paths at fault under a JSON Schema, as the dead letters write them."""
    return {path for error in validator(name).iter_errors(data) for path in _paths(error)}


def _paths(error: Any) -> Iterator[str]:
    at = [str(part) for part in error.absolute_path]
    if error.validator == "required":
        missing = set(error.validator_value) - set(error.instance)
        yield from (".".join([*at, name]) for name in missing)
    elif error.validator == "additionalProperties":
        # A name that nobody declared is not repeated.
        yield ".".join([*at, UNDECLARED])
    else:
        yield ".".join(at)


def model_paths(model: type[BaseModel], data: object) -> set[str]:
    try:
        model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        return {one.path for one in field_errors(error, model)}
    return set()


# --- No orphans ----------------------------------------------------------------------------------------


def test_every_file_among_the_examples_is_read_by_a_test() -> None:
    assert orphans(EXAMPLES, FOLDERS) == []
    assert [folder for folder in FOLDERS if not files(folder)] == []


def test_a_file_that_no_test_reads_is_noticed(tmp_path: Path) -> None:
    read_by_tests = tmp_path / "authorization.requested.v1" / "valid" / "minimal.json"
    unread = [
        tmp_path / "authorization.requested.v1" / "valid" / "minimal.yaml",
        tmp_path / "authorization.requested.v2" / "valid" / "minimal.json",
        tmp_path / "notes.json",
    ]
    for file in (read_by_tests, *unread):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert orphans(tmp_path, FOLDERS) == unread


# --- Requests ------------------------------------------------------------------------------------------


def sent(file: Path) -> bytes:
    """The value of the record that an example of a request shows."""
    found = read(file)
    if "bytes_base64" in found:
        return b64decode(found["bytes_base64"])
    return json.dumps(found.get("event", found), ensure_ascii=False, separators=(",", ":")).encode()


@each(REQUESTED / "valid")
def test_a_valid_request_is_decided(file: Path) -> None:
    received = decode(sent(file))
    assert decide(received, library()).request_id == read(file)["data"]["request_id"]


@each(REQUESTED / "valid")
def test_a_valid_request_fits_its_schemas(file: Path) -> None:
    data = read(file)["data"]
    assert schema_paths("authorization.requested.v1.json", data) == set()
    assert schema_paths(CLINICAL, data.get("clinical") or {}) == set()


@each(REQUESTED / "invalid")
def test_an_invalid_request_is_refused_with_reason_and_paths(file: Path) -> None:
    """An invalid request is refused for its expected reason at its expected paths."""
    expected = read(file)
    assert set(expected) - {"event", "bytes_base64"} == {"why", "reason", "paths"}
    with pytest.raises(RejectedError) as caught:
        decide(decode(sent(file)), library())
    paths = [error.path for error in caught.value.errors]
    # Of bytes that are no event, no field is at fault: the empty path stands for the whole.
    assert (caught.value.reason, paths) == (expected["reason"], expected["paths"] or [""])


def test_every_reason_that_an_event_can_give_has_an_example() -> None:
    """Every refusal reason that an event itself can give has an example."""
    reasons = {read(file)["reason"] for file in files(REQUESTED / "invalid")}
    assert reasons == set(SENTENCES) - OF_OTHERS


# --- What is made of them ------------------------------------------------------------------------------


def answer(file: Path) -> bytes:
    """What the decision agent sends because of an example."""
    headers = (("content-type", b"application/cloudevents+json"),)
    record = Record(REQUESTS, 3, 41, 1745247602000, b"PA", sent(file), headers)
    outgoing, *_ = DecisionHandler(library(), SETTINGS)([record])
    return outgoing.value


def shadowed(file: Path) -> bytes:
    """What the agent tells of an example, where a draft that covers relapse no more is its shadow."""
    draft = Policy(revised(library()["L.2.03.402"].document, date(2025, 4, 1)))
    record = Record(REQUESTS, 3, 41, 1745247602000, b"PA", sent(file), ())
    *_, told = DecisionHandler(library(), SETTINGS, shadow=Shadow(draft, SETTINGS))([record])
    return told.value


def revisions() -> Mapping[str, bytes]:
    """The events of the policy's revisions by their file's name: each revision's date."""
    return {
        f"{one.revision.isoformat()}.json": as_record(one, POLICY_REVISIONS, SETTINGS.source, "structured").value
        for one in library().chain("L.2.03.402")
    }


def attested(revision: str) -> bytes:
    """The event that attests what a revision of the policy changes."""
    chain = library().chain("L.2.03.402")
    after = chain.of(date.fromisoformat(revision))
    assert after is not None
    before = chain.before(after)
    assert before is not None
    found = attestation(compare(policy_of(before), policy_of(after)), before.digest, after.digest)
    return attested_record(found, after.published, SETTINGS).value


def compact(file: Path) -> bytes:
    """An example as it stands on the wire: its fields in their order, and no space between them."""
    return json.dumps(read(file), ensure_ascii=False, separators=(",", ":")).encode()


@each(DECIDED / "valid")
def test_a_decision_is_what_the_request_of_its_name_is_answered(file: Path) -> None:
    assert compact(file) == answer(REQUESTED / "valid" / file.name)


@each(DEAD_LETTERED / "valid")
def test_each_dead_letter_answers_the_request_of_its_name(file: Path) -> None:
    """Each example dead letter is the answer to the request of the same name."""
    assert compact(file) == answer(REQUESTED / "invalid" / file.name)


@each(SHADOWED / "valid")
def test_each_difference_comes_from_the_request_of_its_name(file: Path) -> None:
    """Each example difference is what a draft makes of the request of the same name."""
    assert compact(file) == shadowed(REQUESTED / "valid" / file.name)


@each(PUBLISHED / "valid")
def test_a_revision_is_what_the_policy_of_its_date_publishes(file: Path) -> None:
    assert compact(file) == revisions()[file.name]


@each(ATTESTED / "valid")
def test_each_attestation_matches_the_revision_of_its_date(file: Path) -> None:
    """Each example attestation states what the revision of its date is found to change."""
    assert compact(file) == attested(file.stem)


@each(ACTED / "valid")
def test_an_act_is_told_in_the_bytes_of_its_example(file: Path) -> None:
    event = read(file)
    time = datetime.fromisoformat(event["time"])
    assert compact(file) == acted_record(Acted.model_validate(event["data"]), time, SETTINGS).value


@each(PUBLISHED / "invalid")
def test_a_bad_revision_is_refused_for_its_reason_at_its_paths(file: Path) -> None:
    expected = read(file)
    assert set(expected) == {"why", "reason", "paths", "messages", "event"}
    value = json.dumps(expected["event"]).encode()
    chain = library().chain("L.2.03.402")
    verdict = judge({chain.policy: chain}, Terms(), Packaged(), Seen(40, 1_790_000_000_000, value, ()))
    assert verdict.rejected is not None
    errors = verdict.rejected.errors
    assert (verdict.rejected.reason, [one.path for one in errors]) == (expected["reason"], expected["paths"])
    assert [one.message for one in errors] == expected["messages"]


@pytest.mark.parametrize(
    ("folder", "model"),
    [
        (DECIDED, Decision),
        (DEAD_LETTERED, DeadLetter),
        (SHADOWED, ShadowDifference),
        (PUBLISHED, PolicyRevision),
        (ATTESTED, PolicyAttestation),
        (ACTED, Acted),
    ],
    ids=lambda value: getattr(value, "name", getattr(value, "__name__", "")),
)
def test_what_is_sent_fits_its_model_and_its_schema(folder: Path, model: type[BaseModel]) -> None:
    for file in files(folder / "valid"):
        event = read(file)
        assert event["type"] == folder.name
        assert model_paths(model, event["data"]) == set()
        assert schema_paths(f"{folder.name}.json", event["data"]) == set()


def test_every_valid_request_has_its_decision_among_the_examples() -> None:
    assert [file.name for file in files(DECIDED / "valid")] == [file.name for file in files(REQUESTED / "valid")]


def test_every_reason_that_an_event_can_give_has_a_dead_letter() -> None:
    """Every refusal reason that an event itself can give has an example dead letter."""
    reasons = [read(file)["data"]["reason"] for file in files(DEAD_LETTERED / "valid")]
    assert set(reasons) == set(SENTENCES) - OF_OTHERS


def test_a_dead_letter_gives_back_the_record_byte_for_byte() -> None:
    for file in files(DEAD_LETTERED / "valid"):
        original = read(file)["data"]["original"]
        assert b64decode(original["value_base64"]) == sent(REQUESTED / "invalid" / file.name)
        assert b64decode(original["key_base64"]) == b"PA"


def test_every_determination_has_an_example() -> None:
    decisions = [read(file)["data"] for file in files(DECIDED / "valid")]
    found = {line["determination"] for decision in decisions for line in decision["lines"]}
    assert found == set(get_args(Determination)) - OF_OTHER_POLICIES


# --- What is never sent --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "model"),
    [
        pytest.param(file, model, id=f"{folder.name}: {file.stem}")
        for folder, model in ((DECIDED, Decision), (DEAD_LETTERED, DeadLetter), (ACTED, Acted))
        for file in files(folder / "invalid")
    ],
)
def test_a_misshapen_answer_fits_neither_model_nor_schema(file: Path, model: type[BaseModel]) -> None:
    """An answer of the wrong shape fits neither its model nor its schema."""
    expected = read(file)
    assert set(expected) == {"why", "paths", "data"}
    assert model_paths(model, expected["data"]) == set(expected["paths"])
    assert schema_paths(f"{file.parents[1].name}.json", expected["data"]) == set(expected["paths"])


# --- Renewal -------------------------------------------------------------------------------------------


def renew() -> None:
    """Write the examples of what is sent again."""
    made = {DECIDED / "valid" / file.name: answer(file) for file in files(REQUESTED / "valid")}
    made |= {file: answer(REQUESTED / "invalid" / file.name) for file in files(DEAD_LETTERED / "valid")}
    made |= {file: shadowed(REQUESTED / "valid" / file.name) for file in files(SHADOWED / "valid")}
    made |= {file: revisions()[file.name] for file in files(PUBLISHED / "valid")}
    made |= {file: attested(file.stem) for file in files(ATTESTED / "valid")}
    for file, value in made.items():
        file.write_text(json.dumps(json.loads(value), indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    renew()
