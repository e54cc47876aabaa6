"""The shadow: a draft decides beside; what it makes otherwise is told exactly, and nothing of it reaches a decision."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from events.shadow import ShadowDifference
from events.topics import ANSWERED, DEAD_LETTERS, DECISIONS, REQUESTS, SHADOW
from events.typed_reader import read as read_event
from policy_core.document.models import PolicyDocument
from policy_core.document.problems import PolicyDocumentError
from policy_core.evaluate.determine import Answer, Policy
from policy_core.history.library import Library
from policy_core.loading.load import load
from tests.support.accounts import show
from tests.support.commands import dli
from tests.support.packaged import packaged_library
from tests.support.places import ROOT
from tests.support.publishing import revised
from tests.support.running import eventually, everything_on, publish, samples, settings_for, worker
from tests.support.running_workers import all_committed
from tests.support.shadow import DOCUMENT, FROM, written
from workers.accounts.batch_counters import BatchCounters
from workers.configuration.settings import read
from workers.decide import shadow
from workers.decide.duplicates import Entry, unpacked
from workers.decide.handler import Decider, DecisionHandler
from workers.decide.shadow import Shadow, shadow_of
from workers.kafka.records import OutgoingRecord, Record
from workers.topics import apply_topics
from workers.traffic.commands import as_record
from workers.traffic.generate import Generator

NUMBER = "L.2.03.402"
STATED = ROOT / "events/examples/authorization.requested.v1/valid/everything-stated.json"
LINES = list(Generator(77, duplicates=0.05, malformed=0.05).lines(1_500))
SETTINGS = read(topic_prefix="t.")


@pytest.fixture(scope="module")
def document() -> PolicyDocument:
    return load(DOCUMENT)


@pytest.fixture(scope="module")
def library() -> Library:
    return packaged_library()


@pytest.fixture
def draft(document: PolicyDocument) -> Policy:
    return Policy(revised(document, FROM))


def records(lines: Iterable[bytes] = LINES) -> list[Record]:
    sent = [as_record(line, "t." + REQUESTS) for line in lines]
    return [Record(one.topic, 3, at, 1_750_000_000_000, one.key or None, one.value) for at, one in enumerate(sent)]


def told(answers: Sequence[OutgoingRecord], topic: str = SHADOW) -> list[OutgoingRecord]:
    return [one for one in answers if one.topic.endswith(topic)]


def data(outgoing: OutgoingRecord) -> Any:
    return json.loads(outgoing.value)["data"]


# --- decisions stay as they are -----------------------------------------------------------------------------------


def test_answers_are_identical_with_and_without_a_shadow(library: Library, draft: Policy) -> None:
    """Every answer is the same to the byte with a shadow and without."""
    alone = DecisionHandler(library, SETTINGS)(records())
    beside = DecisionHandler(library, SETTINGS, shadow=Shadow(draft, SETTINGS))(records())

    assert len(told(beside)) > 50
    assert [one for one in beside if one.topic != "t." + SHADOW] == list(alone)
    without = {name: value for name, value in vars(beside.counters).items() if not name.startswith("shadow")}
    assert without == {name: value for name, value in vars(alone.counters).items() if not name.startswith("shadow")}


class Broken(Policy):
    """A draft that chokes on what it reads, and repeats it."""

    def before_facts(self, line_of_business: str, system: str, code: str, day: date, **_: bool) -> Answer | None:
        raise ValueError(f"cannot read {line_of_business}, {system} {code}, {day}")


def test_a_failing_draft_harms_no_decision(library: Library, document: PolicyDocument) -> None:
    """A draft that fails harms no decision and is reported once, without personal data."""
    alone = DecisionHandler(library, SETTINGS)(records())
    with capture_logs() as logs:
        answers = DecisionHandler(library, SETTINGS, shadow=Shadow(Broken(document), SETTINGS))(records())

    assert list(answers) == list(alone)
    assert answers.counters.shadow == {"failed": len(told(alone, DECISIONS))}
    [line] = [one for one in logs if one["event"] == "shadow_failed"]
    assert (line["error"], line["policy"]) == ("ValueError", NUMBER)
    assert "test_shadow.py" in line["at"][-1]
    assert set(line) == {"event", "log_level", "error", "policy", "draft", "at"}


def test_the_draft_sees_no_duplicates_or_malformed_requests(library: Library, draft: Policy) -> None:
    """The draft is not asked about duplicates or about what is not a request."""
    answers = DecisionHandler(library, SETTINGS, shadow=Shadow(draft, SETTINGS))(records())

    assert answers.counters.duplicates > 0
    assert told(answers, DEAD_LETTERS) != []
    assert answers.counters.shadow.total() == len(told(answers, DECISIONS))


# --- what is told ---------------------------------------------------------------------------------------------------


def test_exactly_the_changed_requests_have_a_difference(library: Library, draft: Policy) -> None:
    """A difference is reported for exactly the requests that the draft decides differently."""
    answers = DecisionHandler(library, SETTINGS, shadow=Shadow(draft, SETTINGS))(records())
    # Counted by somebody else: the decisions' JSON beside those that the draft would have given.
    drafted = DecisionHandler(Library([draft], NUMBER), SETTINGS)(records())
    expected: dict[str, list[tuple[int, str, str]]] = {}
    for old, new in zip(map(data, told(answers, DECISIONS)), map(data, told(drafted, DECISIONS)), strict=True):
        lines = [
            (one["line"], one["determination"], other["determination"])
            for one, other in zip(old["lines"], new["lines"], strict=True)
            if {**one, "policy": None} != {**other, "policy": None}
        ]
        if lines or old.get("trace") != new.get("trace"):
            expected[old["request_id"]] = lines

    found = {
        one["request_id"]: [(line["line"], line["from"], line["to"]) for line in one["lines"]]
        for one in map(data, told(answers))
    }

    assert found == expected
    assert (
        Counter(pair[1:] for lines in found.values() for pair in lines)["medically_necessary", "criteria_not_met"] > 5
    )
    assert answers.counters.shadow["unchanged"] == len(told(answers, DECISIONS)) - len(expected)
    assert sum(answers.counters.shadow_lines.values()) == sum(map(len, found.values()))


def test_a_difference_names_both_documents_and_is_marked(library: Library, draft: Policy) -> None:
    """A difference names both documents and is marked so that nobody takes it for a decision."""
    answers = DecisionHandler(library, SETTINGS, shadow=Shadow(draft, SETTINGS))(records())
    decisions = {one.key: one for one in told(answers, DECISIONS)}

    assert len(told(answers)) > 5
    for one in told(answers):
        event = json.loads(one.value)
        said = event["data"]
        decision = json.loads(decisions[one.key].value)
        [policy] = decision["data"]["policies"]
        assert one.key.decode() == said["request_id"] == event["subject"]
        assert (said["sha256"], said["known_through"]) == (policy["sha256"], policy["known_through"])
        assert said["decision_id"] == decision["id"]
        assert event["type"] == ShadowDifference.TYPE != decision["type"]
        assert event["dlishadow"] == said["draft_sha256"] == draft.sha256
        headers = dict(one.headers)
        assert headers["dli-shadow"].decode() == draft.sha256
        assert headers["dli-cause"] == dict(decisions[one.key].headers)["dli-cause"]
        assert (
            ShadowDifference.model_validate_json(json.dumps(said)).to_json()
            == json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
        )


def test_in_binary_mode_the_mark_is_a_header(library: Library, draft: Policy) -> None:
    binary = read(topic_prefix="t.", mode="binary")
    answers = DecisionHandler(library, binary, shadow=Shadow(draft, binary))(records())

    assert {dict(one.headers)["ce_dlishadow"].decode() for one in told(answers)} == {draft.sha256}
    assert all("dlishadow" not in dict(one.headers) for one in told(answers, DECISIONS))


def test_the_document_in_force_as_its_own_shadow_never_differs(library: Library, document: PolicyDocument) -> None:
    """The document in force, as its own shadow, differs in nothing."""
    answers = DecisionHandler(library, SETTINGS, shadow=Shadow(Policy(document), SETTINGS))(records())

    assert told(answers) == []
    assert answers.counters.shadow == {"unchanged": len(told(answers, DECISIONS))}


def test_a_draft_lacking_a_stated_fact_would_reject_the_request(library: Library, document: PolicyDocument) -> None:
    """A draft that lacks a fact's stated value would put the request among the dead letters."""
    known = {"clinical.chimerism": ("mixed", "full_donor")}
    facts = [fact.model_copy(update={"values": known.get(fact.path, fact.values)}) for fact in document.facts]
    lacking = Policy(document.model_copy(update={"facts": tuple(facts)}))
    answers = DecisionHandler(library, SETTINGS, shadow=Shadow(lacking, SETTINGS))(records())

    refused = {one.key for one in told(answers) for line in data(one)["lines"] if line["to"] == "dead_letter"}
    assert refused != set()
    assert refused == {one.key for one in told(answers) if data(one)["kind"] == "reclassified"}


def test_an_oversized_difference_is_counted_and_not_sent(
    library: Library, draft: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A difference that is too large to send is counted as failed and not sent."""
    monkeypatch.setattr(shadow, "LARGEST", 500)
    answers = DecisionHandler(library, SETTINGS, shadow=Shadow(draft, SETTINGS))(records([STATED.read_bytes()]))

    assert len(told(answers, DECISIONS)) == 1
    assert told(answers) == []
    assert answers.counters.shadow == {"failed": 1}


# --- a worker --------------------------------------------------------------------------------------------------------


@pytest.mark.kafka
def test_a_worker_with_a_shadow_decides_the_same_bytes(
    bootstrap: str, prefix: str, tmp_path: Path, library: Library, document: PolicyDocument
) -> None:
    """A worker with a shadow decides the same bytes as one without, and its accounts balance."""
    found = settings_for(
        bootstrap, prefix, tmp_path, shadow_policy=written(revised(document, FROM), tmp_path), mode="binary"
    )
    apply_topics.apply(found)
    with worker(found, tmp_path):
        publish(found, LINES)
        assert eventually(lambda: all_committed(found))
        counted = samples(found.web_port)
        read_back = {name: everything_on(found, name) for name in (REQUESTS, DECISIONS, DEAD_LETTERS, SHADOW)}

    alone, draft = DecisionHandler(library, found, Remembering()), shadow_of(found, library)
    assert draft is not None
    expected: list[OutgoingRecord] = []
    told_of: list[OutgoingRecord] = []
    decider, counters = Decider(library), BatchCounters()
    for one in read_back[REQUESTS]:
        record = Record(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value, tuple(one.headers))
        for answer in alone([record]):
            if answer.topic == found.topic(ANSWERED):
                alone.memory.entries[one.partition, answer.key] = unpacked(answer.value)  # type: ignore[attr-defined]  # Remembering
                continue
            expected.append(answer)
            if answer.topic == found.topic(DECISIONS):
                received = read_event(record.value, record.headers)
                told_of += draft.differences(record, received.cause, decider.decide(received.request), counters)

    def as_sent(name: str) -> list[tuple[bytes, bytes, tuple[tuple[str, bytes], ...]]]:
        return sorted((one.key, one.value, tuple(one.headers)) for one in read_back[name])

    for name in (DECISIONS, DEAD_LETTERS):
        assert as_sent(name) == sorted(one[1:4] for one in expected if one.topic == found.topic(name))
    assert as_sent(SHADOW) == sorted(one[1:4] for one in told_of) != []
    outcomes = {
        name.removeprefix("dli_shadow_requests_total outcome="): value
        for name, value in counted.items()
        if name.startswith("dli_shadow_requests_total")
    }
    assert outcomes == counters.shadow
    assert sum(outcomes.values()) == len(read_back[DECISIONS])
    assert counted[f"dli_shadow_policy_info policy={NUMBER} sha256={draft.draft.sha256}"] == 1
    code, said = show(found, "--recount")
    assert (code, "the recount agrees" in said) == (0, True), said


class Remembering:
    """What was answered, in memory."""

    def __init__(self) -> None:
        self.entries: dict[tuple[int, bytes], Entry] = {}

    def find(self, partition: int, key: bytes, now: int) -> Entry | None:  # noqa: ARG002 (nothing is forgotten here)
        return self.entries.get((partition, key))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot be read"),
        ("format: 1\nnumber: [", "not YAML"),
        ("format: 1\n", "missing; write"),
    ],
)
def test_a_bad_draft_is_a_sentence_at_the_start(
    text: str | None, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "draft.yaml"
    if text is not None:
        file.write_text(text, "utf-8")
    monkeypatch.setenv("DLI_SHADOW_POLICY", str(file))

    done = dli("worker", "--bootstrap", "127.0.0.1:1")

    assert done.code == 1
    assert str(file) in done.err
    assert sentence in done.err
    assert "Traceback" not in done.err


def test_a_draft_of_an_unloaded_policy_is_refused(library: Library, document: PolicyDocument, tmp_path: Path) -> None:
    """A draft of a policy that is not loaded is refused with a sentence, too."""
    tree = document.model_dump(mode="json", by_alias=True)
    other = PolicyDocument.model_validate(tree | {"number": "X.1"}, strict=False)

    with pytest.raises(PolicyDocumentError, match=f"a draft of `X.1`, but loaded are {NUMBER}"):
        shadow_of(read(shadow_policy=written(other, tmp_path)), library)


def test_without_the_setting_there_is_no_shadow(library: Library) -> None:
    assert shadow_of(SETTINGS, library) is None
