"""The page *Now*: whether requests are answered in time, and what is stuck."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from workers.accounts.account import total
from workers.console.printable import counted
from workers.dashboard.data.consumer import Progress
from workers.dashboard.data.counters import Latencies
from workers.dashboard.data.poller import Point, Watched
from workers.dashboard.data.readiness import Readiness
from workers.dashboard.views.times import Level, lasting, moment
from workers.kafka.lag import Lag, Member
from workers.work_list.columns import named
from workers.work_list.open_cases import Counts
from workers.work_list.read_cases import Reading

FRESH_SECONDS = 15.0
"""Maximum age of the brokers' data; one look may take half as long."""
RATE_SECONDS = 20.0
"""The period of rates."""
LATENCY_SECONDS = 300
"""The period of latencies."""
WORK_SECONDS = 5.0
"""A queue whose oldest record has waited longer than this is a backlog."""


class Tile(NamedTuple):
    """One number, with its name and what it means."""

    name: str
    value: str
    means: str
    level: Level = "good"
    filters: tuple[tuple[str, str], ...] | None = None
    """For a number of cases: those of the page *Cases* that it counts."""


class PartitionRow(NamedTuple):
    """One partition of requests."""

    partition: int
    worker: str
    waiting: int
    oldest: str
    committed: str
    level: Level
    problem: str


class WorkerRow(NamedTuple):
    """One member of the workers' group."""

    worker: str
    level: Level
    ready: str
    """Whether it is ready, or which checks fail."""
    host: str
    partitions: str


class Turn(NamedTuple):
    """Whose turn it is, and on how many cases."""

    actor: str
    """One of `ACTORS`."""
    open: int
    overdue: int
    due_today: int


class Work(NamedTuple):
    """What is known of the open cases."""

    counts: Counts | None
    """None while they are not known."""
    reading: Reading = Reading(None)
    left_out: int = 0


class Rates(NamedTuple):
    """Records per second."""

    come_in: float
    done: float


class Series(NamedTuple):
    """Recent history; None while the brokers did not respond."""

    at: tuple[float, ...]
    waiting: tuple[int, ...]
    come_in: tuple[float | None, ...]
    done: tuple[float | None, ...]


class Verdict(NamedTuple):
    """The status in one line, with reasons."""

    level: Level
    headline: str
    reasons: tuple[str, ...] = ()
    """The problems, one sentence each."""


@dataclass(frozen=True)
class Told:
    """What is known besides the brokers' word."""

    progress: Progress
    latencies: Latencies
    work: Work
    readiness: Mapping[str, Readiness]
    """By the member's id."""


@dataclass(frozen=True)
class Now:
    """The whole page."""

    verdict: Verdict
    asked_at: str
    """The time of the brokers' data."""
    tiles: tuple[Tile, ...] = ()
    """None, like the rows, if nothing is known now: old data would look healthy."""
    partitions: tuple[PartitionRow, ...] = ()
    workers: tuple[WorkerRow, ...] = ()
    turns: tuple[Turn, ...] = ()
    """Only those with open cases."""


def now(
    watched: Watched,
    told: Told,
    stalled_seconds: float,
    at: datetime,
) -> Now:
    """The page at a moment."""
    found = verdict(watched, stalled_seconds, at.timestamp(), told.readiness)
    found = found._replace(reasons=(*found.reasons, *of_reading(told.progress), *of_cases(told.work)))
    heard = moment(datetime.fromtimestamp(watched.at, UTC) if watched.at is not None else None)
    if found.level == "unknown" or not watched.lags:
        return Now(found, heard)
    return Now(
        found,
        heard,
        tuple(_tiles(watched, told, at, stalled_seconds)),
        tuple(_partitions(watched, stalled_seconds)),
        tuple(_workers(watched, told.readiness, at.timestamp())),
        tuple(_turns(told.work)),
    )


def verdict(watched: Watched, stalled_seconds: float, at: float, readiness: Mapping[str, Readiness]) -> Verdict:
    """Whether requests are answered, by the brokers' data and its age, and by what workers say of themselves."""
    if watched.at is None:
        return Verdict("unknown", "The brokers have not answered yet", (watched.error,) if watched.error else ())
    age = max(at - watched.at, 0.0)
    if watched.error is not None or age > FRESH_SECONDS:
        why = watched.error or "the dashboard still waits for their next answer"
        return Verdict("unknown", f"Not known: the brokers last answered {lasting(age)} ago", (why,))
    if not watched.lags:
        return Verdict("bad", "There is no topic of requests", ("`dli topics apply` makes it",))
    found = _of_lags(watched, stalled_seconds)
    unready = [
        f"worker {_short(worker)} {says}"
        for worker in watched.workers
        for level, says in [_ready(readiness, worker, at)]
        if level != "good"
    ]
    if not unready:
        return found
    headline = counted(len(unready), "worker") + (" is" if len(unready) == 1 else " are") + " not known to be ready"
    if found.level != "good":
        return found._replace(reasons=(*found.reasons, *unready))
    return Verdict("waiting", headline, tuple(unready))


def _ready(readiness: Mapping[str, Readiness], worker: Member, at: float) -> tuple[Level, str]:
    """Whether a worker is ready, and the rest of a sentence that says so."""
    found = readiness.get(worker.id)
    if found is None or at - found.at > FRESH_SECONDS:
        return "unknown", "was not asked yet whether it is ready"
    if found.ready is None:
        return "unknown", f"does not say whether it is ready: {found.error}"
    return ("good", "ready") if found.ready else ("waiting", f"is not ready: {', '.join(found.failing)}")


def of_cases(work: Work) -> tuple[str, ...]:
    """Problems of reading the cases."""
    found = []
    if work.reading.error is not None:
        found.append(f"open cases are not known now: {work.reading.error}")
    if work.reading.unreadable:
        found.append(f"{work.reading.unreadable:,} records of cases have a shape that this version does not know")
    if work.left_out:
        found.append("more cases are open than the dashboard has room for: they are not all counted")
    return tuple(found)


def _of_lags(watched: Watched, stalled_seconds: float) -> Verdict:
    waiting, longest = sum(lag.waiting for lag in watched.lags), max(lag.seconds for lag in watched.lags)
    wrong = [
        f"partition {standing.partition}: {standing.problem}" for standing in watched.standings if standing.problem
    ]
    stuck = [
        f"partition {lag.partition}: {lag.waiting:,} waiting, the oldest for {lasting(lag.seconds)}"
        + (f", {lag.held:,} of them behind a transaction that somebody left open" if lag.held else "")
        for lag in watched.lags
        if _stuck(lag, stalled_seconds)
    ]
    nobody = [] if watched.workers else ["no worker is a member of the group: nothing is decided"]
    for found, headline in (
        (wrong, "The accounts do not balance"),
        (nobody, "No worker is running"),
        (stuck, f"Requests are stuck: the oldest has waited {lasting(longest)}"),
    ):
        if found:
            return Verdict("bad", headline, (*nobody, *wrong, *stuck))
    if waiting and longest > WORK_SECONDS:
        return Verdict("waiting", f"Behind by {waiting:,}: the oldest has waited {lasting(longest)}")
    return Verdict("good", "Requests are answered in time")


def of_reading(progress: Progress) -> tuple[str, ...]:
    """Problems of the dashboard's own reading."""
    found = []
    if progress.error is not None:
        found.append(f"decisions are not read now: {progress.error}")
    if progress.unreadable:
        found.append(f"{progress.unreadable:,} records have a shape that this version does not know: not counted")
    return tuple(found)


def _stuck(lag: Lag, stalled_seconds: float) -> bool:
    return lag.waiting > 0 and lag.seconds > stalled_seconds


def _tiles(
    watched: Watched,
    told: Told,
    at: datetime,
    stalled_seconds: float,
) -> list[Tile]:
    waiting, longest = sum(lag.waiting for lag in watched.lags), max(lag.seconds for lag in watched.lags)
    late: Level = "bad" if longest > stalled_seconds else "waiting" if longest > WORK_SECONDS else "good"
    speed = rates(watched.points)
    account = total(watched.standings)
    wrong = [standing for standing in watched.standings if standing.problem]
    return [
        Tile("Waiting", f"{waiting:,}", "requests not yet taken up", late),
        Tile("Oldest waits", lasting(longest) if waiting else "nothing waits", "since it was published", late),
        Tile("Coming in", _each_second(speed and speed.come_in), f"over {RATE_SECONDS:.0f} s"),
        Tile("Done", _each_second(speed and speed.done), f"over {RATE_SECONDS:.0f} s"),
        _latency(told.latencies, told.progress, at),
        Tile(
            "Accounts",
            f"differ by {account.difference:+,}" if account.difference else "not whole" if wrong else "balanced",
            f"{account.consumed:,} consumed, {account.decided:,} decided, {account.duplicates:,} duplicates, "
            f"{account.dead_lettered:,} dead letters",
            "bad" if wrong else "good",
        ),
        _workers_tile(watched, told.readiness, at.timestamp()),
        *_cases(told.work),
    ]


def _workers_tile(watched: Watched, readiness: Mapping[str, Readiness], at: float) -> Tile:
    levels = [_ready(readiness, worker, at)[0] for worker in watched.workers]
    level: Level = "bad" if not levels else "good" if set(levels) == {"good"} else "waiting"
    return Tile("Workers", f"{len(levels):,}", f"in the group, {levels.count('good'):,} of them ready", level)


def _each_second(rate: float | None) -> str:
    return "not known yet" if rate is None else f"{rate:,.1f} /s"


def _latency(latencies: Latencies, progress: Progress, at: datetime) -> Tile:
    name = "Answered within"
    if progress.error is not None:
        return Tile(name, "not known", "answers are not read now", "unknown")
    since = (at.timestamp() - LATENCY_SECONDS) * 1000
    found = sorted(took for when, took in latencies.newest if when >= since)
    if not found:
        return Tile(name, "no answer yet", "in the last 5 minutes", "good")
    middle, most = (found[math.ceil(len(found) * share) - 1] for share in (0.5, 0.95))
    return Tile(name, lasting(most), f"95 of 100; half within {lasting(middle)}; of {len(found):,} in 5 minutes")


def _cases(work: Work) -> list[Tile]:
    if work.counts is None:
        return [
            Tile(name, "not known", "cases are not read now", "unknown") for name in ("Open", "Overdue", "Due today")
        ]
    counts = work.counts
    waiting = counts.by_clock_state.get("waiting_for_information", 0)
    return [
        Tile("Open", f"{counts.total:,}", f"pended requests; {waiting:,} wait for information", filters=()),
        Tile(
            "Overdue",
            f"{counts.overdue:,}",
            _by(counts.overdue_by_actor) or "none is past its due date",
            "bad" if counts.overdue else "good",
            (("due", "overdue"),),
        ),
        Tile(
            "Due today",
            f"{counts.due_today:,}",
            _by(counts.due_today_by_actor) or "none is due later today",
            "waiting" if counts.due_today else "good",
            (("due", "today"),),
        ),
    ]


def _by(actors: Mapping[str, int]) -> str:
    return ", ".join(f"{named(actor)} {count:,}" for actor, count in actors.items() if count)


def _turns(work: Work) -> list[Turn]:
    counts = work.counts
    if counts is None:
        return []
    return [
        Turn(actor, count, counts.overdue_by_actor.get(actor, 0), counts.due_today_by_actor.get(actor, 0))
        for actor, count in counts.by_actor.items()
        if count
    ]


def _partitions(watched: Watched, stalled_seconds: float) -> list[PartitionRow]:
    standing = {standing.partition: standing for standing in watched.standings}
    rows = []
    for lag in watched.lags:
        account = standing.get(lag.partition)
        problem = (account.problem if account is not None else None) or ""
        stuck = _stuck(lag, stalled_seconds)
        late = lag.waiting > 0 and lag.seconds > WORK_SECONDS
        rows.append(
            PartitionRow(
                lag.partition,
                _holder(lag, watched.workers),
                lag.waiting,
                lasting(lag.seconds) if lag.waiting else "-",
                "nothing yet" if lag.committed is None else f"{lag.committed:,}",
                "bad" if problem or stuck else "waiting" if late else "good",
                problem or ("stuck" if stuck else "-"),
            )
        )
    return rows


def _holder(lag: Lag, workers: Sequence[Member]) -> str:
    found = [_short(worker) for worker in workers if (lag.topic, lag.partition) in worker.partitions]
    return ", ".join(found) or "nobody"


def _short(worker: Member) -> str:
    # Ids begin with the client's name, the same for all, and end with the distinguishing part.
    return worker.id.removeprefix(f"{worker.client}-")[:8]


def _workers(watched: Watched, readiness: Mapping[str, Readiness], at: float) -> list[WorkerRow]:
    topic = watched.lags[0].topic
    rows = []
    for worker in watched.workers:
        mine = [str(partition.partition) for partition in worker.partitions if partition.topic == topic]
        level, says = _ready(readiness, worker, at)
        rows.append(WorkerRow(_short(worker), level, says, worker.host.lstrip("/"), ", ".join(mine) or "none"))
    return rows


# --- over time -----------------------------------------------------------------------------------------------------


def rates(points: Sequence[Point]) -> Rates | None:
    """The recent rates; None if too little is known."""
    lately = [point for point in points if point.at >= points[-1].at - RATE_SECONDS]
    return _between(lately[0], lately[-1]) if len(lately) > 1 else None


def _between(before: Point, after: Point) -> Rates:
    passed = max(after.at - before.at, 0.001)
    return Rates(max(after.written - before.written, 0) / passed, max(after.done - before.done, 0) / passed)


def series(points: Sequence[Point]) -> Series:
    """The points, with the rates from each to the next."""
    between = [_between(*two) if two[1].at - two[0].at < FRESH_SECONDS else None for two in pairwise(points)]
    each = [None, *between][: len(points)]
    return Series(
        tuple(point.at for point in points),
        tuple(point.waiting for point in points),
        tuple(None if minute is None else round(minute.come_in, 1) for minute in each),
        tuple(None if minute is None else round(minute.done, 1) for minute in each),
    )
