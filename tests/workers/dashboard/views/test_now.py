"""What the page *Now* says: nothing that is stalled, gone or unknown looks healthy."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition

from tests.support.case_records import HOUR, board_of, case, line, written
from workers.accounts.account import Account, PartitionBalance
from workers.dashboard.data.consumer import Progress
from workers.dashboard.data.counters import Latencies
from workers.dashboard.data.poller import Point, Watched
from workers.dashboard.data.readiness import Readiness
from workers.dashboard.views.now import FRESH_SECONDS, Now, Told, Turn, Work, now, rates, series, verdict
from workers.kafka.lag import Lag, Member
from workers.kafka.reader import Extent
from workers.work_list.open_cases import OpenCases
from workers.work_list.read_cases import Reading

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
STALLED = 20.0
READS = Progress(error=None, begun=True)
WORKER = Member("faust-0.15.3-0f662c0f-8299", "faust-0.15.3", "/10.0.0.7", (TopicPartition("requests", 0),))


def lag(partition: int = 0, waiting: int = 0, seconds: float = 0.0, held: int = 0) -> Lag:
    return Lag("dli", "requests", partition, 100, "", Extent(0, 100 + waiting, 100 + waiting - held), waiting, seconds)


def standing(partition: int = 0, lost: int = 0) -> PartitionBalance:
    return PartitionBalance(partition, 100, 0, Account(0, 100, 90 - lost, 6, 4))


def watched(
    lags: Sequence[Lag] = (lag(),),
    workers: Sequence[Member] = (WORKER,),
    standings: Sequence[PartitionBalance] = (standing(),),
    age: float = 1.0,
    error: str | None = None,
) -> Watched:
    return Watched(tuple(lags), tuple(workers), tuple(standings), AT.timestamp() - age, error, ())


ALL_READY = {WORKER.id: Readiness(ready=True, at=AT.timestamp())}
NONE_OPEN = Work(OpenCases().counts(AT))


def page(
    found: Watched,
    progress: Progress = READS,
    latencies: Latencies | None = None,
    readiness: Mapping[str, Readiness] = ALL_READY,
    work: Work = NONE_OPEN,
) -> Now:
    return now(found, Told(progress, latencies or Latencies(), work, readiness), STALLED, AT)


def tile(found: Now, name: str) -> tuple[str, str]:
    return next((one.value, one.level) for one in found.tiles if one.name == name)


def test_all_is_well() -> None:
    found = page(watched())

    assert (found.verdict.level, found.verdict.reasons) == ("good", ())
    assert tile(found, "Accounts") == ("balanced", "good")
    assert [(one.partition, one.worker, one.level) for one in found.partitions] == [(0, "0f662c0f", "good")]
    assert [(one.host, one.partitions, one.ready) for one in found.workers] == [("10.0.0.7", "0", "ready")]


def test_requests_behind_an_open_transaction_are_called_stuck() -> None:
    """Requests behind an open transaction are called stuck, and the reason is stated."""
    said = verdict(watched(lags=[lag(waiting=3, seconds=21, held=2)]), STALLED, AT.timestamp(), ALL_READY)

    assert said.level == "bad"
    assert said.reasons == (
        "partition 0: 3 waiting, the oldest for 21 s, 2 of them behind a transaction that somebody left open",
    )


@pytest.mark.parametrize(
    ("found", "level", "says"),
    [
        (Watched((), (), (), None, None, ()), "unknown", "not answered yet"),
        (watched(error="the broker is away"), "unknown", "last answered 1 s ago"),
        (watched(age=FRESH_SECONDS + 1), "unknown", "last answered 16 s ago"),
        (watched(lags=()), "bad", "no topic"),
        (watched(workers=()), "bad", "No worker"),
        (watched(standings=[standing(lost=1)]), "bad", "do not balance"),
        (watched(lags=[lag(waiting=3, seconds=21)]), "bad", "waited 21 s"),
        (watched(lags=[lag(), lag(1, waiting=1, seconds=700)]), "bad", "waited 12 min"),
        (watched(lags=[lag(waiting=3, seconds=6)]), "waiting", "Behind by 3"),
        (watched(lags=[lag(waiting=3, seconds=0.2)]), "good", "in time"),
    ],
)
def test_how_it_is(found: Watched, level: str, says: str) -> None:
    said = verdict(found, STALLED, AT.timestamp(), ALL_READY)

    assert (said.level, says in said.headline) == (level, True), said


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1e6)), max_size=4),
    st.booleans(),
    st.integers(0, 2),
    st.floats(0, 100),
    st.booleans(),
)
def test_only_what_is_known_to_be_well_is_called_so(
    waits: list[tuple[int, float]], worker: bool, lost: int, age: float, away: bool
) -> None:
    lags = [lag(number, waiting, seconds if waiting else 0.0) for number, (waiting, seconds) in enumerate(waits)]
    found = page(
        watched(lags, [WORKER] if worker else [], [standing(lost=lost)], age, "the broker is away" if away else None)
    )

    well = bool(lags) and worker and not lost and age <= FRESH_SECONDS and not away
    assert (found.verdict.level in {"good", "waiting"}) == (well and all(one.seconds <= STALLED for one in lags))
    if away or age > FRESH_SECONDS:
        assert (found.tiles, found.partitions, found.workers) == ((), (), ())


UNREADY = Readiness(ready=False, failing=("progressing", "broker"), at=AT.timestamp())


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (UNREADY, "worker 0f662c0f is not ready: progressing, broker"),
        (None, "worker 0f662c0f was not asked yet whether it is ready"),
        (Readiness(ready=True, at=AT.timestamp() - FRESH_SECONDS - 1), "worker 0f662c0f was not asked yet"),
        (Readiness(None, error="it does not answer", at=AT.timestamp()), "does not say whether it is ready: it does"),
    ],
)
def test_nothing_is_green_while_a_worker_is_unready(told: Readiness | None, says: str) -> None:
    """Nothing is green while a worker is not known to be ready, and its failing checks are named."""
    found = page(watched(), readiness={} if told is None else {WORKER.id: told})

    assert (found.verdict.level, "1 worker is not known" in found.verdict.headline) == ("waiting", True)
    assert says in found.verdict.reasons[0]
    assert tile(found, "Workers") == ("1", "waiting")
    assert [one.level for one in found.workers] != ["good"]


def test_an_unready_worker_does_not_hide_what_is_worse() -> None:
    found = page(watched(lags=[lag(waiting=3, seconds=21)]), readiness={WORKER.id: UNREADY})

    assert found.verdict.level == "bad"
    assert "worker 0f662c0f is not ready: progressing, broker" in found.verdict.reasons


def test_it_says_whose_turn_it_is_with_links_to_the_cases() -> None:
    """What is overdue and due today is shown by who has to act, each with the filter of its cases."""
    late, later = (AT - HOUR).isoformat(), (AT + HOUR).isoformat()
    cases = [
        case("R-1", due_at=late),
        case("R-2", due_at=late, lines=(line(1, "no_prior_authorization"),)),
        case("R-3", due_at=later),
        case("R-4", due_at=(AT + 48 * HOUR).isoformat()),
    ]
    found = page(watched(), work=Work(board_of(map(written, cases)).counts(AT)))

    tiles = {one.name: (one.value, one.means, dict(one.filters or ())) for one in found.tiles}
    assert tiles["Overdue"] == ("2", "a physician 1, case management 1", {"due": "overdue"})
    assert tiles["Due today"] == ("1", "a physician 1", {"due": "today"})
    assert tiles["Open"][0] == "4"
    assert found.turns == (Turn("physician_reviewer", 3, 1, 1), Turn("case_management", 1, 1, 0))


def test_cases_that_are_not_known_have_no_numbers() -> None:
    found = page(watched(), work=Work(None, Reading("no right to it")))

    assert {tile(found, name) for name in ("Open", "Overdue", "Due today")} == {("not known", "unknown")}
    assert (found.turns, found.verdict.reasons) == ((), ("open cases are not known now: no right to it",))


def test_answers_that_are_not_read_have_no_latency() -> None:
    latencies = Latencies()
    latencies.asked(b"a", 1_000)
    latencies.answered(b"a", 1_200)
    found = page(watched(), Progress(error="no right to it"), latencies)

    assert tile(found, "Answered within") == ("not known", "unknown")
    assert "decisions are not read now: no right to it" in found.verdict.reasons


def test_latency_covers_the_last_minutes_and_pairs_in_any_order() -> None:
    """Latency covers the last minutes and pairs of request and answer in either order."""
    latencies = Latencies()
    long_ago = round((AT - timedelta(hours=1)).timestamp() * 1000)
    lately = round((AT - timedelta(seconds=30)).timestamp() * 1000)
    latencies.asked(b"old", long_ago)
    latencies.answered(b"old", long_ago + 9_000)
    for number in range(100):
        first, second = (latencies.asked, latencies.answered)[:: 1 if number % 2 else -1]
        for tell in (first, second):
            tell(str(number).encode(), lately + (number + 1) * 10 if tell == latencies.answered else lately)

    assert tile(page(watched(), latencies=latencies), "Answered within") == ("950 ms", "good")
    assert len(latencies.newest) == 101


def test_rates_are_taken_over_the_last_while() -> None:
    points = [Point(float(at), written=at * 10, done=at * 5, waiting=0, seconds=0) for at in range(0, 60, 2)]

    assert rates(points) == (10.0, 5.0)
    assert rates(points[:1]) is None
    assert rates([]) is None


def test_a_gap_in_what_was_heard_is_no_rate() -> None:
    points = [Point(0.0, 0, 0, 0, 0), Point(2.0, 20, 20, 0, 0), Point(120.0, 5_000, 20, 4_980, 118)]

    assert series(points).come_in == (None, 10.0, None)
    assert series(points).waiting == (0, 0, 4_980)
    assert series([]).at == ()
