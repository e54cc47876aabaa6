"""The table of topics: what it promises to whoever sets up a cluster, and that its page says the same."""

from collections import Counter
from datetime import timedelta
from functools import cache

import pytest

from events.decode import LARGEST
from events.schemas import EVENTS
from events.topics import (
    ANSWERED,
    AUDIT,
    CASE_EVENTS,
    CASES,
    CHAINS,
    CONTEXTS,
    DEAD_LETTERS,
    DEADLINES,
    DECISIONS,
    INTEGRATION_EVENTS,
    LARGEST_RECORD,
    LEDGER,
    LINKS,
    PAS_REQUESTS,
    PAS_RESPONSES,
    POLICY_ATTESTATIONS,
    POLICY_REVISIONS,
    REQUESTS,
    SHADOW,
    SUBMISSIONS,
    SUBSCRIPTIONS,
    TOPICS,
    VERDICTS,
    X12_REQUESTS,
    X12_RESPONSES,
    Topic,
)
from policy_core.history.library import Library
from tests.support import generator
from tests.support.packaged import packaged_library
from tests.support.places import ROOT
from workers.configuration.settings import Settings
from workers.decide.handler import DecisionHandler
from workers.kafka.records import OutgoingRecord, Record
from workers.policies.revision_events import as_record

README = ROOT / "events" / "README.md"
BY_NAME = {topic.name: topic for topic in TOPICS}
DAY = 24 * 60 * 60 * 1000
"""In milliseconds."""


@cache
def library() -> Library:
    return packaged_library()


def answer(value: bytes, key: bytes | None) -> OutgoingRecord:
    """What the decision agent sends because of a record."""
    record = Record(REQUESTS, 3, 41, 0, key, value, ())
    outgoing, *changelog = DecisionHandler(library(), Settings(topic_prefix=""))([record])
    assert [one.topic for one in changelog] in ([], [ANSWERED, CASE_EVENTS])
    return outgoing


def test_every_topic_has_its_own_name() -> None:
    assert Counter(topic.name for topic in TOPICS) == dict.fromkeys(
        (
            *(REQUESTS, DECISIONS, DEAD_LETTERS, ANSWERED, LEDGER, LINKS, SHADOW),
            *(VERDICTS, CASE_EVENTS, CASES, DEADLINES),
            *(POLICY_REVISIONS, POLICY_ATTESTATIONS, AUDIT),
            *(PAS_REQUESTS, X12_REQUESTS, SUBMISSIONS, CHAINS, INTEGRATION_EVENTS),
            *(CONTEXTS, PAS_RESPONSES, X12_RESPONSES, SUBSCRIPTIONS),
        ),
        1,
    )


def test_every_event_has_one_topic() -> None:
    assert sorted(kind for topic in TOPICS for kind in topic.events) == sorted(kind for kind, _ in EVENTS)


def test_what_comes_of_a_request_is_partitioned_as_requests_are() -> None:
    assert {BY_NAME[name].partitions for name in (REQUESTS, DECISIONS, DEAD_LETTERS, ANSWERED, SHADOW)} == {12}
    assert BY_NAME[DECISIONS].key == BY_NAME[REQUESTS].key == "request_id"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        (REQUESTS, {"cleanup.policy": "delete", "retention.ms": str(14 * DAY)}),
        (DECISIONS, {"cleanup.policy": "delete", "retention.ms": str(2557 * DAY)}),
        (DEAD_LETTERS, {"cleanup.policy": "delete", "retention.ms": str(30 * DAY)}),
        # As long as decisions: no id that has one is ever decided again.
        (ANSWERED, {"cleanup.policy": "compact,delete", "retention.ms": str(2557 * DAY)}),
        (LEDGER, {"cleanup.policy": "delete", "retention.ms": str(2557 * DAY)}),
        (LINKS, {"cleanup.policy": "delete", "retention.ms": str(2557 * DAY)}),
        (SHADOW, {"cleanup.policy": "delete", "retention.ms": str(30 * DAY)}),
        # As long as the decisions that are made of them.
        (VERDICTS, {"cleanup.policy": "delete", "retention.ms": str(2557 * DAY)}),
        (CASE_EVENTS, {"cleanup.policy": "delete", "retention.ms": str(30 * DAY)}),
        (CASES, {"cleanup.policy": "compact,delete", "retention.ms": str(2557 * DAY)}),
        (DEADLINES, {"cleanup.policy": "delete", "retention.ms": str(2557 * DAY)}),
        # Compaction would let a bad event of a revision's key push out the good one.
        (POLICY_REVISIONS, {"cleanup.policy": "delete", "retention.ms": "-1"}),
        (POLICY_ATTESTATIONS, {"cleanup.policy": "compact", "delete.retention.ms": str(DAY)}),
        # Messages as long as the requests that they become, their traces and contexts as long as decisions.
        (PAS_REQUESTS, {"cleanup.policy": "delete", "retention.ms": str(14 * DAY)}),
        (X12_REQUESTS, {"cleanup.policy": "delete", "retention.ms": str(14 * DAY)}),
        (SUBMISSIONS, {"cleanup.policy": "delete", "retention.ms": str(14 * DAY)}),
        (CHAINS, {"cleanup.policy": "compact,delete", "retention.ms": str(2557 * DAY)}),
        (INTEGRATION_EVENTS, {"cleanup.policy": "delete", "retention.ms": str(30 * DAY)}),
        (CONTEXTS, {"cleanup.policy": "compact,delete", "retention.ms": str(2557 * DAY)}),
        (PAS_RESPONSES, {"cleanup.policy": "delete", "retention.ms": str(30 * DAY)}),
        (X12_RESPONSES, {"cleanup.policy": "delete", "retention.ms": str(30 * DAY)}),
        (SUBSCRIPTIONS, {"cleanup.policy": "compact", "delete.retention.ms": str(DAY)}),
        # As long as decisions: what was done to them is known as long as they are.
        (AUDIT, {"cleanup.policy": "delete", "retention.ms": str(2557 * DAY)}),
    ],
)
def test_kafka_is_told_how_long_to_keep_records(name: str, settings: dict[str, str]) -> None:
    every = {"max.message.bytes": str(LARGEST_RECORD), "message.timestamp.type": "LogAppendTime"}
    assert BY_NAME[name].settings() == settings | every


def test_answers_are_remembered_as_long_as_decisions_are_kept() -> None:
    """Answers are remembered for as long as their decisions are kept."""
    kept = timedelta(days=Settings(topic_prefix="").duplicates_kept_days)
    assert BY_NAME[DECISIONS].retention == BY_NAME[ANSWERED].retention == kept


def test_a_topic_without_a_limit_keeps_its_records_for_ever() -> None:
    endless = Topic(
        name="t",
        events=("e",),
        key="k",
        partitions=1,
        cleanup="delete",
        retention=None,
        producers=(),
        consumers=(),
        personal=False,
    )
    assert endless.settings()["retention.ms"] == "-1"


def test_only_the_named_topics_hold_no_personal_data() -> None:
    """Only the topics of policies, digests, acts and subscriptions hold no personal data."""
    assert {topic.name for topic in TOPICS if not topic.personal} == {
        ANSWERED,
        POLICY_REVISIONS,
        POLICY_ATTESTATIONS,
        AUDIT,
        SUBSCRIPTIONS,
    }


def test_what_is_no_event_says_what_it_is() -> None:
    assert [topic.name for topic in TOPICS if bool(topic.holds) == bool(topic.events)] == []


def test_every_topic_has_a_writer_and_a_reader() -> None:
    assert [topic.name for topic in TOPICS if not topic.producers or not topic.consumers] == []


def test_acts_stand_in_one_order() -> None:
    assert (BY_NAME[AUDIT].partitions, BY_NAME[AUDIT].alike) == (1, False)


# --- Keys ----------------------------------------------------------------------------------------------


def test_a_decision_is_keyed_by_its_request_id() -> None:
    """A decision is keyed by its request id, whatever key the request had."""
    made = generator.request(1, 1)
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "authorization.requested.v1"}
    sent = answer(generator.encode({**event, "data": made}), b"another key")
    assert (sent.topic, sent.key.decode()) == (DECISIONS, made["request_id"])


def test_a_dead_letter_is_keyed_by_the_records_own_key() -> None:
    sent = answer(b"no event", b"its key")
    assert (sent.topic, sent.key) == (DEAD_LETTERS, b"its key")


def test_a_dead_letter_without_a_key_is_keyed_by_its_origin() -> None:
    """A dead letter for a record without a key is keyed by where the record came from."""
    assert answer(b"no event", None).key == b"authorization.requests/3/41"


def test_a_revision_is_keyed_by_its_policy_and_date() -> None:
    revisions = library().chain("L.2.03.402").links
    sent = [as_record(one, POLICY_REVISIONS, "/s", "structured") for one in revisions]
    assert sent[-1].key == b"L.2.03.402@2025-03-28"
    assert len({one.key for one in sent}) == len(revisions)


def test_a_whole_document_is_far_below_the_record_limit() -> None:
    """A whole document is far smaller than a record may be."""
    sizes = [
        len(as_record(one, POLICY_REVISIONS, "/s", "structured").value) for one in library().chain("L.2.03.402").links
    ]
    assert max(sizes) < LARGEST / 10
    assert LARGEST < LARGEST_RECORD


# --- The page ------------------------------------------------------------------------------------------


def row(topic: Topic) -> str:
    """A topic's line in the table of the page."""
    kept = "for ever" if topic.retention is None else f"{topic.retention.days:,} days"
    if topic.cleanup == "compact":
        kept = "the last record of each key"
    cells = (
        f"`{topic.name}`",
        ", ".join(f"`{kind}`" for kind in topic.events) or topic.holds,
        topic.key,
        str(topic.partitions),
        kept,
        ", ".join(topic.producers),
        ", ".join(topic.consumers),
        "yes" if topic.personal else "no",
    )
    return f"| {' | '.join(cells)} |"


def test_the_page_has_the_table_of_topics() -> None:
    section = README.read_text("utf-8").split("\n## Topics\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert rows[2:] == [row(topic) for topic in TOPICS]
