"""More partitions: what was answered under the old number is known under the new one, and nothing is decided twice."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord

from events.case_event import TimePassed
from events.topics import (
    ANSWERED,
    CASE_EVENTS,
    CASES,
    CHAINS,
    CONTEXTS,
    DEAD_LETTERS,
    DEADLINES,
    DECISIONS,
    INTEGRATION_EVENTS,
    LEDGER,
    LINKS,
    PAS_REQUESTS,
    PAS_RESPONSES,
    REQUESTS,
    SHADOW,
    SUBMISSIONS,
    TOPICS,
    VERDICTS,
    X12_REQUESTS,
    X12_RESPONSES,
)
from tests.support import generator
from tests.support.commands import Ran, dli
from tests.support.running import at_rest, eventually, everything_on, get, publish, settings_for, worker
from workers.accounts import account as books
from workers.cases.route import barrier, routed
from workers.configuration.settings import Settings
from workers.decide.duplicates import ELSEWHERE, Entry, unpacked
from workers.state.request_digests import digest, partition_of
from workers.topics import add_partitions, apply_topics
from workers.topics.add_partitions import Plan, ScaleError

BY_NAME = {topic.name: topic for topic in TOPICS}
STATE = [topic for topic in TOPICS if topic.state is not None]
ENTRY = Entry(digest(b"content"), 7, 8, bytes(16))


# --- where copies go -----------------------------------------------------------------------------------------------


def record(partition: int, key: bytes, value: bytes | None) -> ConsumerRecord:
    fields = dict.fromkeys(ConsumerRecord._fields) | {"topic": "t", "partition": partition, "key": key, "value": value}
    return ConsumerRecord(**fields)


numbers = st.tuples(st.integers(1, 40), st.integers(2, 6))


@given(numbers, st.integers(0, 2**32 - 1))
def test_what_is_remembered_is_wherever_any_hash_may_lead_its_id(numbers: tuple[int, int], hashed: int) -> None:
    before, times = numbers
    after = before * times
    made = Plan(before, after, ())
    old = hashed % before

    copies = list(add_partitions._copies(BY_NAME[ANSWERED], record(old, b"k", ENTRY.packed()), made))  # noqa: SLF001 (the rule itself)

    places = {old, *(partition for partition, _ in copies)}
    assert hashed % after in places
    assert len(places) == times
    assert places <= set(range(after))
    assert old not in {partition for partition, _ in copies}


def test_a_copy_never_counts_as_an_answer_in_its_new_partition() -> None:
    """A copy is never taken for an answer to a record of its new partition."""
    made = Plan(2, 4, ())
    [(_, value)] = add_partitions._copies(BY_NAME[ANSWERED], record(1, b"k", ENTRY.packed()), made)  # noqa: SLF001 (as above)

    assert value is not None
    assert unpacked(value) == ENTRY._replace(offset=ELSEWHERE)
    assert ELSEWHERE < 0, "no record has it"


@given(numbers, st.binary(min_size=16, max_size=16))
def test_a_pointer_is_where_its_key_is_looked_for(numbers: tuple[int, int], key: bytes) -> None:
    before, times = numbers
    made = Plan(before, before * times, ())
    old = partition_of(key, before)

    copies = list(add_partitions._copies(BY_NAME[LEDGER], record(old, key, b"pointer"), made))  # noqa: SLF001 (as above)

    assert partition_of(key, made.after) in {old, *(partition for partition, _ in copies)}
    assert len(copies) <= 1
    assert {value for _, value in copies} <= {b"pointer"}


@given(numbers, st.binary(min_size=16, max_size=16), st.sampled_from([routed("PA-1", TimePassed()), barrier(7)]))
def test_what_is_on_its_way_to_a_case_is_not_sent_there_again(
    numbers: tuple[int, int], key: bytes, value: bytes
) -> None:
    before, times = numbers
    going = record(partition_of(key, before), key, value)

    assert not list(add_partitions._copies(BY_NAME[LEDGER], going, Plan(before, before * times, ())))  # noqa: SLF001 (as above)


def test_a_case_stays_in_its_one_partition() -> None:
    """A case is never copied: each of its owners would announce its deadlines and count it."""
    steps = [one for one in add_partitions._in_order() if one.state is not None]  # noqa: SLF001 (as above)

    assert CASES not in {one.name for one in steps}


OF_CASES = {VERDICTS, CASE_EVENTS, CASES, DEADLINES}
OF_INTEGRATION = {
    *(PAS_REQUESTS, PAS_RESPONSES, X12_REQUESTS, X12_RESPONSES),
    *(SUBMISSIONS, CHAINS, INTEGRATION_EVENTS, CONTEXTS),
}


def test_every_topic_like_requests_is_declared_so() -> None:
    """Every topic like requests is declared so, and state topics say where they are looked up."""
    answers = {REQUESTS, DECISIONS, DEAD_LETTERS, ANSWERED, LEDGER, SHADOW}
    assert {one.name for one in TOPICS if one.alike} == answers | {
        VERDICTS,
        CASE_EVENTS,
        CASES,
        DEADLINES,
    } | OF_INTEGRATION
    by_key = dict.fromkeys((LEDGER, CHAINS, CONTEXTS), "by its key")
    assert {one.name: one.state for one in STATE} == {ANSWERED: "beside its source", **by_key}
    assert all(one.alike for one in STATE)
    assert not BY_NAME[LINKS].alike


def test_state_is_filled_first_and_requests_grow_last() -> None:
    order = [one.name for one in add_partitions._in_order()]  # noqa: SLF001 (the order is the promise)

    assert set(order[: len(STATE)]) == {one.name for one in STATE}
    assert order[-1] == REQUESTS


@pytest.mark.parametrize("value", [b"no entry", b"", None])
def test_what_is_no_entry_stops_nothing_and_is_not_copied(value: bytes | None) -> None:
    copies = list(add_partitions._copies(BY_NAME[ANSWERED], record(0, b"k", value), Plan(2, 4, ())))  # noqa: SLF001 (as above)

    assert copies == ([(2, None)] if value is None else []), "a record that takes an entry back does so everywhere"


# --- on a broker ---------------------------------------------------------------------------------------------------


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path).model_copy(update={"partitions": 2})
    apply_topics.apply(made)
    return made


def run(found: Settings, *arguments: str) -> Ran:
    place = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix, "--app-id", found.app_id)
    return dli("topics", "scale", *arguments, *place)


def counts(found: Settings) -> dict[str, int]:
    with apply_topics.admin(found) as client:
        return apply_topics.counts(client, found)


def grow(found: Settings, number: int, *names: str) -> None:
    with apply_topics.admin(found) as client:
        client.create_partitions({found.topic(name): number for name in names})
    assert eventually(lambda: all(counts(found)[found.topic(name)] == number for name in names))


def all_done(found: Settings, requests: int) -> bool:
    standing = books.ask(found)
    done = sum(one.account.consumed for one in standing if one.account is not None)
    return done == requests and not any(one.waiting or one.problem for one in standing)


def decide(found: Settings, folder: Path, lines: Sequence[bytes], upto: int) -> None:
    """Have a worker decide what is published now, until that many were consumed in all."""
    with worker(found, folder, f"worker-{upto}"):
        publish(found, lines)
        assert eventually(lambda: all_done(found, upto))
        # A trace is there when the ledger is: it is what the worker is still busy with.
        ids = [json.loads(line)["request_id"] for line in lines]
        assert eventually(lambda: all(get(found, f"/requests/{one}")[0] == 200 for one in ids))
        assert eventually(lambda: at_rest(found))


def decisions(found: Settings) -> Counter[bytes | None]:
    return Counter(one.key for one in everything_on(found, DECISIONS))


def requests(seed: int, count: int) -> list[dict[str, object]]:
    made = [one for one in generator.requests(seed, count) if isinstance(one, dict)]
    return [{name: value for name, value in one.items() if name != "supersedes"} for one in made]


@pytest.mark.kafka
def test_old_answers_are_found_in_twice_as_many_partitions(found: Settings, tmp_path: Path) -> None:
    """Earlier answers are known in twice as many partitions and are found there."""
    asked = requests(51, 120)
    lines = [generator.encode(one) for one in asked]
    others = [generator.encode(one | {"prior_authorization_number": "PA-OTHER"}) for one in asked[:10]]
    more = [generator.encode(one | {"request_id": f"{one['request_id']}-new"}) for one in asked[:40]]
    decide(found, tmp_path, lines, 120)

    planned = run(found, "4")
    before = counts(found)
    done = run(found, "4", "--execute")

    assert (planned.code, set(before.values())) == (0, {2})
    assert (done.code, set(counts(found).values())) == (0, {4}), done.err
    grown = found.model_copy(update={"partitions": 4, "data_dir": tmp_path / "empty"})
    assert apply_topics.compare(grown) == []
    decide(grown, tmp_path, lines, 240)
    decide(grown, tmp_path, [*others, *more], 290)
    assert decisions(grown) == Counter(json.loads(line)["request_id"].encode() for line in lines + more)
    letters = [json.loads(one.value)["data"] for one in everything_on(grown, DEAD_LETTERS)]
    assert Counter(one["reason"] for one in letters) == {"conflicting_duplicate": 10}
    assert {one.partition for one in everything_on(grown, REQUESTS)} == {0, 1, 2, 3}


@pytest.mark.kafka
@pytest.mark.parametrize("grown", [ANSWERED, REQUESTS], ids=["interrupted", "requests first, by hand"])
def test_uneven_topics_are_made_even_while_no_worker_starts(found: Settings, tmp_path: Path, grown: str) -> None:
    """Uneven topics are made even, and workers do not start in the meantime."""
    lines = [generator.encode(one) for one in requests(52, 60)]
    decide(found, tmp_path, lines, 60)
    grow(found, 4, grown)
    assert "partitions" in (apply_topics.misfit_for_workers(found) or "")

    done = run(found, "4", "--execute")

    assert (done.code, set(counts(found).values())) == (0, {4}), done.err
    decide(found.model_copy(update={"partitions": 4}), tmp_path, lines, 120)
    assert set(decisions(found).values()) == {1}


@pytest.mark.kafka
def test_partitions_added_by_hand_get_what_is_remembered(found: Settings, tmp_path: Path) -> None:
    """Partitions that somebody added by hand get what is remembered."""
    lines = [generator.encode(one) for one in requests(53, 60)]
    decide(found, tmp_path, lines, 60)
    grow(found, 4, *(one.name for one in TOPICS if one.alike))

    refused, done = run(found, "4"), run(found, "4", "--from", "2", "--execute")

    assert (refused.code, "--from" in refused.err, done.code) == (1, True, 0), done.err
    decide(found.model_copy(update={"partitions": 4}), tmp_path, lines, 120)
    assert set(decisions(found).values()) == {1}


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("3",), "3 is no multiple of 2"),
        (("2",), "has 2 partitions already"),
        (("8", "--from", "4"), "has 2 partitions, neither 4 (--from) nor 8"),
    ],
)
def test_a_number_that_cannot_be_is_a_sentence(found: Settings, arguments: tuple[str, ...], says: str) -> None:
    refused = run(found, *arguments, "--execute")

    assert (refused.code, says in refused.err) == (1, True), refused.err
    assert set(counts(found).values()) == {2}


@pytest.mark.kafka
def test_nothing_is_added_while_a_worker_or_a_request_is_there(found: Settings, tmp_path: Path) -> None:
    """Nothing is added while a worker is there or a request waits."""
    publish(found, [generator.encode(one) for one in requests(54, 5)])

    waiting = run(found, "4", "--execute")
    with worker(found, tmp_path):
        assert eventually(lambda: all_done(found, 5))
        working = run(found, "4", "--execute")

    assert (waiting.code, "still to be decided" in waiting.err) == (1, True), waiting.err
    assert (working.code, "stop all workers" in working.err) == (1, True), working.err
    assert set(counts(found).values()) == {2}


@pytest.mark.kafka
def test_nothing_is_added_while_a_transaction_is_open(found: Settings) -> None:
    producer = KafkaProducer(
        bootstrap_servers=found.bootstrap.split(","), transactional_id=f"{found.app_id}-test", enable_idempotence=True
    )
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(found.topic(REQUESTS), b"x", partition=1).get(30)

    refused = run(found, "4", "--execute")

    producer.abort_transaction()
    producer.close()
    assert (refused.code, "authorization.requests/1: a transaction is open" in refused.err) == (1, True), refused.err
    assert run(found, "4", "--execute").code == 0, "an aborted request and its marker are nobody's to do"


@pytest.mark.kafka
def test_a_request_that_comes_meanwhile_is_told_with_what_to_do(found: Settings) -> None:
    made = add_partitions.plan(found, 4)

    def platform(_step: add_partitions.Step, _written: int) -> None:
        publish(found, [b"{}"])

    with pytest.raises(ScaleError, match=r"came while partitions were added.*dli topics scale 4 --from 2 --execute"):
        add_partitions.execute(found, made, platform)

    assert set(counts(found).values()) == {4}
