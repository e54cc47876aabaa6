"""Accounts: one line that balances or tells by how much it does not, proved from what the brokers hold."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from events.topics import DECISIONS, REQUESTS
from tests.support import generator
from tests.support.accounts import show
from tests.support.commands import dli
from tests.support.running import eventually, publish, settings_for, worker
from workers.accounts import account as accounts
from workers.accounts import accounts_text
from workers.accounts.account import Account, PartitionBalance, Recounted
from workers.configuration.settings import Settings
from workers.kafka.records import Lost
from workers.topics import apply_topics

EVEN = PartitionBalance(0, 12, 0, Account(0, 10, 7, 2, 1))
GROUP = "dli"
BEYOND = (
    "the committed offset 12 is not in the log, which ended at 11: nothing is read until it is set anew "
    "(dli reset-offset)"
)
LOST_MANY = (
    "50 lost before they were read, at offsets …, 3 to 5, 8 to 9; 45 more records consumed than there are offsets"
)
LOSING = Account(0, 7, 4, 2, 1).losing(Lost(3, 5)).losing(Lost(8, 9))


@pytest.mark.parametrize(
    ("standing", "problem"),
    [
        (EVEN, None),
        (EVEN._replace(committed=None, account=None), None),
        (EVEN._replace(account=None), "no account stands at the committed offset; was it set by hand?"),
        (EVEN._replace(account=Account(0, 10, 6, 2, 1)), "+1 between records consumed and what became of them"),
        (EVEN._replace(account=Account(0, 10, 9, 2, 1)), "-2 between records consumed and what became of them"),
        (EVEN._replace(account=Account(4, 10, 7, 2, 1)), "2 more records consumed than there are offsets"),
        (
            EVEN._replace(account=LOSING),
            "5 lost before they were read, at offsets 3 to 5, 8 to 9",
        ),
        (
            EVEN._replace(account=replace(LOSING, lost=50)),
            LOST_MANY,
        ),
        (
            EVEN._replace(account=replace(LOSING, lost=6)),
            LOST_MANY.replace("50 lost", "6 lost").replace("45 more", "1 more"),
        ),
        (EVEN._replace(beginning=15), "3 removed before they were read, at offsets 12 to 14"),
        (EVEN._replace(beginning=12, end=12), None),
        (EVEN._replace(end=11), BEYOND),
        (EVEN._replace(end=90, refused=11), BEYOND),
    ],
)
def test_a_partition_says_what_does_not_balance(standing: PartitionBalance, problem: str | None) -> None:
    assert standing.problem == problem


def test_a_note_keeps_losses_and_an_older_note_has_none() -> None:
    """A note keeps what was lost, and an older note has lost nothing."""
    account = Account(0, 10, 7, 2, 1, {("L.2", "2025-01-01"): 7})
    for first in range(100, 220, 10):
        account = account.losing(Lost(first, first + 1))

    assert account.lost == 24
    assert account.lost_at == tuple((first, first + 1) for first in range(120, 220, 10))
    assert accounts.read_note(account.note()) == account
    assert accounts.read_note(f"{account.note()}; read=9:0123456789abcdef; refused=3") == account
    assert accounts.read_note("accounts/1 since=0 consumed=1 decided=1 duplicates=0 dead_lettered=0") == Account(
        0, 1, 1
    )


def test_the_line_tells_what_was_lost() -> None:
    assert accounts_text.sentence([EVEN._replace(account=LOSING)], GROUP) == (
        "NOT balanced: 7 consumed = 4 decided + 2 duplicates + 1 dead letter; 0 waiting; 5 lost "
        "(partition 0: 5 lost before they were read, at offsets 3 to 5, 8 to 9)"
    )


def test_one_line_says_that_all_of_it_balances() -> None:
    both = [EVEN, PartitionBalance(1, 2000, 5, Account(100, 1500, 1500, 0, 0))]

    assert accounts_text.sentence(both, GROUP) == (
        "balanced: 1,510 consumed = 1,507 decided + 2 duplicates + 1 dead letter; 5 waiting"
    )


def test_the_line_names_the_partition_and_the_difference() -> None:
    both = [EVEN, PartitionBalance(1, 2000, 0, Account(0, 1500, 1499, 0, 0))]

    assert accounts_text.sentence(both, GROUP) == (
        "NOT balanced: 1,510 consumed ≠ 1,506 decided + 2 duplicates + 1 dead letter; 0 waiting "
        "(partition 1: +1 between records consumed and what became of them)"
    )


ASKED = ": the group dli has committed nothing; does a worker run, in this group (DLI_APP_ID, --app-id)?"
NEVER = EVEN._replace(committed=None, account=None)


@pytest.mark.parametrize(
    ("found", "balanced", "sentence"),
    [
        ([NEVER, NEVER], True, "nothing consumed yet: there are no requests, and the group dli has committed nothing"),
        (
            [NEVER, NEVER._replace(waiting=1200)],
            False,
            "NOT balanced: nothing consumed yet, and 1,200 requests wait" + ASKED,
        ),
        (
            [NEVER, NEVER._replace(waiting=1)],
            False,
            "NOT balanced: nothing consumed yet, and 1 request waits" + ASKED,
        ),
        (
            [NEVER, NEVER._replace(beginning=7, end=7)],
            False,
            "NOT balanced: nothing consumed yet, and 7 offsets were removed before they were read" + ASKED,
        ),
        (
            [NEVER._replace(waiting=2), EVEN],
            True,
            "balanced: 10 consumed = 7 decided + 2 duplicates + 1 dead letter; 2 waiting",
        ),
    ],
)
def test_where_nothing_is_consumed_yet_it_says_so(found: list[PartitionBalance], balanced: bool, sentence: str) -> None:
    assert (accounts_text.balanced(found), accounts_text.sentence(found, GROUP)) == (balanced, sentence)


def test_without_partitions_of_requests_nothing_balances() -> None:
    assert not accounts_text.balanced([])


COUNTED = Recounted(0, Account(0, 10, 7, 2, 1), 10, 7, 0, 1, gone=0, moved=False)


@pytest.mark.parametrize(
    ("counted", "problem"),
    [
        (COUNTED, None),
        (COUNTED._replace(requests=11), "11 requests on the topic, 10 in the account"),
        (COUNTED._replace(decisions=8, repeated=1), "8 decisions on the topic, 7 in the account; 1 decision repeats"),
        (COUNTED._replace(dead_letters=0), "0 dead letters on the topic, 1 in the account"),
        (COUNTED._replace(requests=11, moved=True), None),
        (COUNTED._replace(requests=3, gone=7), None),
    ],
)
def test_a_recount_says_where_the_topics_hold_something_else(counted: Recounted, problem: str | None) -> None:
    assert (counted.problem or "").startswith(problem or "")
    assert (counted.problem is None) == (problem is None)


def consumed(found: Settings) -> int:
    return accounts.total(accounts.ask(found)).consumed


@pytest.mark.broker
def test_accounts_of_missing_or_unused_topics_say_so(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """Without topics there are no accounts, and unused topics say that nothing is consumed yet."""
    found = settings_for(bootstrap, prefix, tmp_path)
    where = ("--bootstrap", bootstrap, "--topic-prefix", prefix, "--app-id", found.app_id)

    for options in ((), ("--recount",), ("-o", "jsonl")):
        ran = dli("accounts", *where, *options)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.startswith(f"error: {bootstrap} has no topic")
        assert found.topic(REQUESTS) in ran.err
        assert "`dli topics apply` makes the topics" in ran.err

    apply_topics.apply(found)
    code, text = show(found, "--recount")
    assert (code, "nothing consumed yet: there are no requests" in text) == (0, True)

    publish(found, [generator.encode(generator.request(5, number)) for number in range(3)])
    code, text = show(found)
    assert (code, "NOT balanced: nothing consumed yet, and 3 requests wait" in text) == (3, True)
    assert found.app_id in text
    ran = dli("accounts", *where, "-o", "jsonl")
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert [row["partition"] for row in rows[:-1]] == [0, 1, 2, 3]
    assert (rows[-1]["verdicts"]["consumed"], rows[-1]["verdicts"]["problem"]) == (0, None)
    assert (ran.code, ran.err.startswith("NOT balanced")) == (3, True)


@pytest.mark.kafka
def test_accounts_balance_over_restarts(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """Accounts balance over restarts and show what was done by hand."""
    found = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(found)
    lines = [generator.encode(one) for one in generator.requests(70, 300, malformed=0.1)]
    for number, upto in enumerate((300, 600), start=1):
        with worker(found, tmp_path, f"worker-{number}"):
            publish(found, lines)
            assert eventually(lambda upto=upto: consumed(found) == upto)  # type: ignore[misc]  # it is called at once

    standing = accounts.ask(found)
    code, text = show(found, "--recount")

    assert accounts.total(standing) == Account(0, 600, 270, 270, 60)
    assert [one.problem for one in standing] == [None] * 4
    assert code == 0
    assert "balanced: 600 consumed = 270 decided + 270 duplicates + 60 dead letters; 0 waiting" in text
    assert "on the topics: 600 requests, 270 decisions, 60 dead letters the recount agrees" in text

    _publish_a_decision_again(found)
    code, text = show(found, "--recount")
    assert code == 3
    assert "1 decision repeats an earlier one's request" in text

    _commit_by_hand(found)
    code, text = show(found)
    assert code == 3
    assert "no account stands at the committed offset; was it set by hand?" in text


def _publish_a_decision_again(found: Settings) -> None:
    consumer = KafkaConsumer(bootstrap_servers=found.bootstrap, isolation_level="read_committed")
    producer = KafkaProducer(bootstrap_servers=found.bootstrap)
    try:
        tp = TopicPartition(found.topic(DECISIONS), 0)
        consumer.assign([tp])
        consumer.seek_to_beginning(tp)
        first = None
        while first is None:
            first = next((one for polled in consumer.poll(500).values() for one in polled), None)
        producer.send(tp.topic, first.value, key=first.key, partition=0).get(10)
    finally:
        consumer.close()
        producer.close()


def _commit_by_hand(found: Settings) -> None:
    consumer = KafkaConsumer(bootstrap_servers=found.bootstrap, group_id=found.app_id, enable_auto_commit=False)
    try:
        tp = TopicPartition(found.topic(REQUESTS), 0)
        consumer.assign([tp])
        consumer.commit({tp: OffsetAndMetadata(3, "", -1)})
    finally:
        consumer.close()
