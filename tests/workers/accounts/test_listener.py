"""The accounts and metrics of a worker: what is told is what Kafka has, once."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from events.topics import DEAD_LETTERS, DECISIONS
from tests.support import generator
from tests.support.packaged import packaged_library
from tests.support.requests import Remembering, covered, record, request
from workers.accounts.account import Account, read_note
from workers.accounts.listener import AccountingListener
from workers.configuration.settings import read
from workers.decide.handler import DecisionHandler
from workers.kafka.records import BatchReport, Lost, PartitionListener, Record
from workers.process.metrics import BatchHistogram

NOW = 1_750_000_012.5


def books(memory: PartitionListener | None = None) -> AccountingListener:
    return AccountingListener(memory or PartitionListener(), f"t.{DECISIONS}", f"t.{DEAD_LETTERS}", clock=lambda: NOW)


def answers_to(records: Sequence[Record]) -> Any:
    library = packaged_library()
    return DecisionHandler(library, read(topic_prefix="t."), Remembering())(records)


def told(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def mixed() -> list[Record]:
    """Eight records: one decided and its five duplicates, two that cannot be decided."""
    good, bad = request(request_id="B-1"), b"{"
    return [record(line, offset) for offset, line in enumerate([good, bad, good, good, bad, good, good, good])]


def test_a_batchs_note_has_what_became_of_each_record() -> None:
    found = books()
    found.resumed(3, 40, "")

    note = found.note(3, mixed(), answers_to(mixed()))

    under = {("L.2.03.402", "2025-03-28"): 1}
    assert read_note(note) == Account(40, consumed=8, decided=1, duplicates=5, dead_lettered=2, under=under)


def test_losses_are_in_the_account_and_counted_once_committed() -> None:
    """What was lost is in the account, and it is counted once the account is committed."""
    found = books()
    found.resumed(3, 40, "")
    before = told("dli_requests_lost_total")

    assert read_note(found.passing_over(3, Lost(40, 46))) == Account(40, lost=7, lost_at=((40, 46),))
    assert told("dli_requests_lost_total") == before
    found.passed_over(3, Lost(40, 46))
    noted = read_note(found.note(3, mixed(), answers_to(mixed())))

    assert told("dli_requests_lost_total") == before + 7
    assert noted is not None
    assert (noted.since, noted.consumed, noted.lost, noted.difference) == (40, 8, 7, 0)


def test_the_account_goes_on_where_the_worker_before_left_it() -> None:
    found = books()
    found.resumed(3, 48, Account(40, 8, 1, 5, 2).note())
    records = [record(request(request_id="B-2"))]

    noted = read_note(found.note(3, records, answers_to(records)))

    assert noted is not None
    assert replace(noted, under={}) == Account(40, 9, 2, 5, 2)


def test_a_failed_batch_is_counted_only_when_it_arrives() -> None:
    """A batch that fails is counted only when it comes again and arrives."""
    found = books()
    records, outputs = mixed(), answers_to(mixed())
    before = told("dli_requests_total"), told("dli_duplicates_total"), told("dli_commits_total")
    found.resumed(3, 0, "")
    found.note(3, records, outputs)
    found.failed(3, "deliver", TimeoutError())
    found.revoked(3)
    found.resumed(3, 0, "")

    note = found.note(3, records, outputs)
    found.after_commit(3, records, outputs, {})
    following = found.note(3, records[:0], answers_to([]))

    under = {("L.2.03.402", "2025-03-28"): 1}
    assert read_note(note) == read_note(following) == Account(0, 8, 1, 5, 2, under)
    after = told("dli_requests_total"), told("dli_duplicates_total"), told("dli_commits_total")
    assert [new - old for new, old in zip(after, before, strict=True)] == [8, 5, 1]


def test_a_record_that_leaves_no_trace_is_a_difference() -> None:
    found = books()
    found.resumed(3, 0, "")
    outputs = answers_to(mixed())
    del outputs[0]

    account = read_note(found.note(3, mixed(), outputs))

    assert account is not None
    assert account.difference == 1


@pytest.mark.parametrize("note", ["", "somebody else's", "accounts/2 since=1", Account(1).note() + " ", "accounts/1"])
def test_a_note_that_is_none_opens_a_new_account(note: str) -> None:
    assert read_note(note) is None


NUMBERS = st.integers(0, 2**63)
UNDER = st.dictionaries(
    st.tuples(st.from_regex(r"[A-Za-z0-9._-]{1,30}", fullmatch=True), st.just("2025-03-28")), NUMBERS
)


@given(st.builds(Account, *[NUMBERS] * 5), UNDER)
def test_an_account_reads_back_from_a_note_kafka_can_keep(account: Account, under: Any) -> None:
    """An account reads back from its note, and Kafka can keep that note."""
    counted = account.after(0, 0, 0, 0, under)

    assert read_note(account.note()) == account
    assert read_note(counted.note()) == counted
    assert len(counted.note()) < 4096


def test_decisions_are_counted_under_the_revision_of_their_lines() -> None:
    found = books()
    found.resumed(3, 40, Account(40, 8, 1, 5, 2, {("L.2.03.402", "2025-03-28"): 7}).note())
    records = [record(covered(f"U-{day}", day)) for day in ("2025-06-02", "2024-05-01", "1997-01-01")]

    noted = read_note(found.note(3, records, answers_to(records)))

    assert noted is not None
    assert noted.under == {
        ("L.2.03.402", "2025-03-28"): 8,
        ("L.2.03.402", "2024-04-29"): 1,
        ("L.2.03.402", "none"): 1,
    }


def test_the_rarest_revisions_are_merged_if_a_note_has_no_room() -> None:
    """Where a note has no room, the rarest revisions are counted among the others."""
    many = {("L.2.03.402", f"{year}-01-01"): year for year in range(1900, 2060)}

    account = Account(0).after(0, 0, 0, 0, many)

    assert len(account.note()) < 4096
    assert sum(account.under.values()) == sum(many.values())
    assert ("L.2.03.402", "2059-01-01") in account.under
    assert ("L.2.03.402", "1900-01-01") not in account.under
    assert read_note(account.note()) == account


@pytest.mark.parametrize("under", ["L@2025", "L@2025:x", "@", "a:b:c"])
def test_a_note_with_counts_that_are_none_is_no_note(under: str) -> None:
    assert read_note(f"{Account(1).note()} under={under}") is None


def test_latency_is_from_the_records_timestamp_to_its_commit() -> None:
    found = books()
    before = told("dli_end_to_end_seconds_sum"), told("dli_end_to_end_seconds_count")
    records = [record(request(request_id=f"L-{n}")) for n in range(4)]
    outputs = answers_to(records)
    found.resumed(3, 0, "")
    found.note(3, records, outputs)
    found.after_commit(3, records, outputs, {})

    assert told("dli_end_to_end_seconds_sum") - before[0] == pytest.approx(4 * 12.5)
    assert told("dli_end_to_end_seconds_count") - before[1] == 4


def test_a_timestamp_ahead_of_the_clock_counts_as_no_latency() -> None:
    found = books()
    before = told("dli_end_to_end_seconds_bucket", le="0.005")
    ahead = [record(request(request_id="A-1"))._replace(timestamp=int(NOW * 1000) + 60_000)]
    outputs = answers_to(ahead)
    found.resumed(3, 0, "")
    found.note(3, ahead, outputs)
    found.after_commit(3, ahead, outputs, {})

    assert told("dli_end_to_end_seconds_bucket", le="0.005") - before == 1


def test_decisions_and_asked_facts_are_counted_by_policy_names() -> None:
    """Decisions and what they ask for are counted under the names that the policy gives."""
    items = [generator.encode(one) for one in generator.requests(12, 300, malformed=0.1)]
    records = [record(line, offset) for offset, line in enumerate(items)]
    outputs = answers_to(records)
    counters = outputs.counters
    before = {action: told("dli_decisions_total", action=action) for action in counters.actions}

    counters.publish()

    assert sum(counters.actions.values()) + sum(counters.rejected.values()) == 300
    assert {a: told("dli_decisions_total", action=a) - before[a] for a in before} == dict(counters.actions)
    assert all(fact.startswith("clinical.") for fact in counters.asked)
    assert {policy for _, _, policy, _ in counters.lines} == {"L.2.03.402"}


def test_errors_are_counted_by_stage_and_kind() -> None:
    found = books()
    before = told("dli_errors_total", stage="take_over", error="ConnectionError"), told("dli_commit_failures_total")
    found.failed(0, "take_over", ConnectionError("MARKED"))
    found.failed(0, "deliver", ConnectionError("MARKED"))

    after = told("dli_errors_total", stage="take_over", error="ConnectionError"), told("dli_commit_failures_total")
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1]


def test_the_memory_beside_is_told_everything() -> None:
    heard: list[str] = []

    class Listening(PartitionListener):
        async def assigned(self, partition: int, start: int) -> None:
            heard.append(f"assigned {partition} {start}")

        def after_commit(self, partition: int, *_: Any) -> None:
            heard.append(f"after_commit {partition}")

        def on_batch(self, report: BatchReport) -> None:
            heard.append(f"on_batch {report.partition}")

        def failed(self, partition: int, *_: Any) -> None:
            heard.append(f"failed {partition}")

        def revoked(self, partition: int) -> None:
            heard.append(f"revoked {partition}")

    found = books(Listening())
    asyncio.run(found.assigned(3, 7))
    found.resumed(3, 0, "")
    found.note(3, mixed(), answers_to(mixed()))
    found.after_commit(3, mixed(), answers_to(mixed()), {})
    found.on_batch(BatchReport("requests", 3, 0, 7, 8, 4, 0, 0.001, 0.002))
    found.failed(3, "deliver", TimeoutError())
    found.revoked(3)

    assert heard == ["assigned 3 7", "after_commit 3", "on_batch 3", "failed 3", "revoked 3"]


@given(st.lists(st.floats(0, 20), max_size=50))
def test_a_batch_observed_at_once_is_as_if_one_by_one(values: list[float]) -> None:
    at_once = BatchHistogram("at_once", "", registry=None, buckets=(0.1, 1, 5))
    each = BatchHistogram("at_once", "", registry=None, buckets=(0.1, 1, 5))
    at_once.observe_many(values)
    for value in values:
        each.observe(value)

    [[*found], [*wanted]] = [
        [(s.name, s.labels, s.value) for m in h.collect() for s in m.samples] for h in (at_once, each)
    ]
    assert [one[:2] for one in found] == [one[:2] for one in wanted]
    assert [one[2] for one in found] == pytest.approx([one[2] for one in wanted])
