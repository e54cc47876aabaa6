"""`dli integration` beside a worker on a real broker: raw messages in, answers in the same format out."""

import json
from pathlib import Path

import pytest
from kafka.consumer.fetcher import ConsumerRecord

from events.topics import DEAD_LETTERS, DECISIONS, PAS_REQUESTS, PAS_RESPONSES, X12_REQUESTS, X12_RESPONSES
from tests.support import pas_bundles, x12_messages
from tests.support.commands import dli
from tests.support.running import eventually, everything_on, samples, settings_for, worker
from workers.configuration.settings import Settings
from workers.dev_brokers import free_ports
from workers.kafka.records import OutgoingRecord
from workers.replay.platform_messages import MADE
from workers.topics import apply_topics
from workers.traffic.commands import sent

pytestmark = pytest.mark.broker

INTEGRATION = ("workers.main", "integration")
FROM_DELTA = (("partner", b"delta"),)


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    partner = x12_messages.PARTNER.model_dump(mode="json", by_alias=True, exclude_none=True)
    (tmp_path / "delta.json").write_text(json.dumps(partner))
    made = settings_for(bootstrap, prefix, tmp_path, partners=tmp_path / "delta.json")
    apply_topics.apply(made)
    return made


def speaking_of(found: Settings, **changes: object) -> Settings:
    """The settings of an integration process beside the worker: it is looked at on a port of its own."""
    port = free_ports().client
    return found.model_copy(update={"web_port": port, "integration_port": port, **changes})


def send(found: Settings, topic: str, *messages: bytes) -> None:
    list(sent([OutgoingRecord(found.topic(topic), b"", one, FROM_DELTA) for one in messages], found))


def by_message(records: list[ConsumerRecord]) -> dict[bytes, list[bytes]]:
    """The answers to each message, by its digest."""
    answers: dict[bytes, list[bytes]] = {}
    for record in records:
        answers.setdefault(dict(record.headers)["dli-message"], []).append(record.value)
    return answers


@pytest.mark.kafka
def test_messages_of_both_formats_are_answered_in_their_own(found: Settings, tmp_path: Path) -> None:
    """A repeat is answered with the same bytes, and decided once; a refusal is answered too."""
    bundles = [pas_bundles.message(seed) for seed in range(4)]
    interchanges = [x12_messages.message(seed) for seed in range(4)]
    speaking = speaking_of(found)

    with worker(found, tmp_path), worker(speaking, tmp_path, "integration", INTEGRATION):
        send(found, PAS_REQUESTS, *bundles, b"no bundle")
        send(found, X12_REQUESTS, *interchanges)
        assert eventually(lambda: len(everything_on(found, PAS_RESPONSES)) == len(bundles) + 1)
        assert eventually(lambda: len(everything_on(found, X12_RESPONSES)) == len(interchanges))
        decided = len(everything_on(found, DECISIONS))

        send(found, PAS_REQUESTS, *bundles)
        send(found, X12_REQUESTS, *interchanges)
        assert eventually(lambda: len(everything_on(found, PAS_RESPONSES)) == 2 * len(bundles) + 1)
        assert eventually(lambda: len(everything_on(found, X12_RESPONSES)) == 2 * len(interchanges))
        pas, x12 = everything_on(found, PAS_RESPONSES), everything_on(found, X12_RESPONSES)
        counted = samples(speaking.web_port)

    assert len(everything_on(found, DECISIONS)) == decided == len(bundles) + len(interchanges)
    repeated = [answers for answers in (*by_message(pas).values(), *by_message(x12).values()) if len(answers) > 1]
    assert len(repeated) == len(bundles) + len(interchanges)
    assert all(first == again for first, again in repeated)
    assert all(json.loads(one.value)["resourceType"] for one in pas)
    assert all(one.value.startswith(b"ISA") for one in x12)
    assert counted["dli_messages_total format=pas outcome=submitted"] == 2 * len(bundles)
    assert counted["dli_messages_total format=x12-278 outcome=submitted"] == 2 * len(interchanges)
    assert counted["dli_submissions_total outcome=again"] == len(bundles) + len(interchanges)
    assert counted["dli_platform_answers_total outcome=answered"] == len(bundles) + len(interchanges)
    balanced = dli(
        "accounts", "--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix, "--app-id", found.app_id
    )
    assert balanced.code == 0, balanced
    messages = 2 * (len(bundles) + len(interchanges)) + 1
    assert f"platforms: {messages} messages = {decided} requested + {decided} again" in " ".join(balanced.out.split())
    assert replayed(found, tmp_path) == [(0, counts(found)), (0, counts(found))]


def replayed(found: Settings, folder: Path) -> list[tuple[int, dict[str, int]]]:
    """Exit code and identical records of a replay from Kafka, and of one from an archive."""
    where = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
    archive, partners = str(folder / "archive"), ("--partners", str(found.partners), "-o", "jsonl")
    assert dli("archive", archive, "--messages", *where).code == 0
    both = [dli("replay", "messages", *partners, *where), dli("replay", "messages", archive, *partners)]
    found_identical = [(one.code, json.loads(one.out.splitlines()[0])["summary"]["identical"]) for one in both]
    return [(code, {name: count for name, count in of.items() if name != "all"}) for code, of in found_identical]


def counts(found: Settings) -> dict[str, int]:
    return {name: len(everything_on(found, name)) for name in MADE}


@pytest.mark.kafka
def test_a_strangers_message_is_answered_once_it_is_known(found: Settings, tmp_path: Path) -> None:
    """It becomes a dead letter with its own bytes, is sent again when the partner's file is there, and then decided."""
    interchange = x12_messages.message(5)
    where = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
    stranger = x12_messages.PARTNER.model_copy(update={"name": "other", "senders": ("ZZ:OTHER",)})
    (tmp_path / "other.json").write_text(stranger.model_dump_json(by_alias=True, exclude_none=True))
    early = speaking_of(found, partners=tmp_path / "other.json")

    with worker(found, tmp_path):
        with worker(early, tmp_path, "early", INTEGRATION):
            list(sent([OutgoingRecord(found.topic(X12_REQUESTS), b"", interchange, ())], found))
            assert eventually(lambda: len(everything_on(found, DEAD_LETTERS)) == 1)
        resent = dli("dead-letters", "redrive", "--all", "--app-id", found.app_id, "--execute", *where)
        with worker(speaking_of(found), tmp_path, "late", INTEGRATION):
            assert eventually(lambda: len(everything_on(found, X12_RESPONSES)) == 1)

    assert resent.code == 0, resent
    [answer] = everything_on(found, X12_RESPONSES)
    assert answer.value.startswith(b"ISA")
    assert len(everything_on(found, DECISIONS)) == 1


@pytest.mark.kafka
def test_another_process_knows_what_the_first_one_answered(found: Settings, tmp_path: Path) -> None:
    """What is known of messages comes from Kafka: a process with an empty folder gives the same bytes again."""
    interchanges = [x12_messages.message(seed) for seed in range(4)]
    first = speaking_of(found)
    another = speaking_of(found, data_dir=tmp_path / "another")

    with worker(found, tmp_path):
        with worker(first, tmp_path, "first", INTEGRATION):
            send(found, X12_REQUESTS, *interchanges)
            assert eventually(lambda: len(everything_on(found, X12_RESPONSES)) == len(interchanges))
        with worker(another, tmp_path, "another", INTEGRATION):
            send(found, X12_REQUESTS, *interchanges)
            assert eventually(lambda: len(everything_on(found, X12_RESPONSES)) == 2 * len(interchanges))

    assert all(one == again for one, again in by_message(everything_on(found, X12_RESPONSES)).values())
    assert len(everything_on(found, DECISIONS)) == len(interchanges)
