"""The page *Now*: whether requests are answered in time, and what is stuck."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from workers.accounts.account import total
from workers.dashboard.data.consumer import Progress
from workers.dashboard.data.counters import Latencies
from workers.dashboard.data.poller import Point, Watched
from workers.dashboard.views.times import Level, lasting, moment
from workers.kafka.lag import Lag, Member

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
    host: str
    partitions: str


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
class Now:
    """The whole page."""

    verdict: Verdict
    asked_at: str
    """The time of the brokers' data."""
    tiles: tuple[Tile, ...] = ()
    """None, like the rows, if nothing is known now: old data would look healthy."""
    partitions: tuple[PartitionRow, ...] = ()
    workers: tuple[WorkerRow, ...] = ()


def now(
    watched: Watched,
    progress: Progress,
    latencies: Latencies,
    pended: tuple[Counter[str], int],
    stalled_seconds: float,
    at: datetime,
) -> Now:
    """The page at a moment."""
    found = verdict(watched, stalled_seconds, at.timestamp())
    found = found._replace(reasons=(*found.reasons, *of_reading(progress)))
    heard = moment(datetime.fromtimestamp(watched.at, UTC) if watched.at is not None else None)
    if found.level == "unknown" or not watched.lags:
        return Now(found, heard)
    return Now(
        found,
        heard,
        tuple(_tiles(watched, progress, latencies, pended, at, stalled_seconds)),
        tuple(_partitions(watched, stalled_seconds)),
        tuple(_workers(watched)),
    )


def verdict(watched: Watched, stalled_seconds: float, at: float) -> Verdict:
    """Whether requests are answered, by the brokers' data and its age."""
    if watched.at is None:
        return Verdict("unknown", "The brokers have not answered yet", (watched.error,) if watched.error else ())
    age = max(at - watched.at, 0.0)
    if watched.error is not None or age > FRESH_SECONDS:
        why = watched.error or "the dashboard still waits for their next answer"
        return Verdict("unknown", f"Not known: the brokers last answered {lasting(age)} ago", (why,))
    if not watched.lags:
        return Verdict("bad", "There is no topic of requests", ("`dli topics apply` makes it",))
    return _of_lags(watched, stalled_seconds)


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
    progress: Progress,
    latencies: Latencies,
    pended: tuple[Counter[str], int],
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
        _latency(latencies, progress, at),
        Tile(
            "Accounts",
            f"differ by {account.difference:+,}" if account.difference else "not whole" if wrong else "balanced",
            f"{account.consumed:,} consumed, {account.decided:,} decided, {account.duplicates:,} duplicates, "
            f"{account.dead_lettered:,} dead letters",
            "bad" if wrong else "good",
        ),
        _pended(pended, progress),
        Tile("Workers", f"{len(watched.workers):,}", "in the group", "good" if watched.workers else "bad"),
    ]


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


def _pended(pended: tuple[Counter[str], int], progress: Progress) -> Tile:
    states, overdue = pended
    if progress.error is not None:
        return Tile("Pended", "not known", "decisions are not read now", "unknown")
    means = f"{overdue:,} past their due date, if nobody answered elsewhere" if overdue else "none past its due date"
    return Tile("Pended", f"{states.total():,}", means, "waiting" if overdue else "good")


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


def _workers(watched: Watched) -> list[WorkerRow]:
    topic = watched.lags[0].topic
    rows = []
    for worker in watched.workers:
        mine = [str(partition.partition) for partition in worker.partitions if partition.topic == topic]
        rows.append(WorkerRow(_short(worker), worker.host.lstrip("/"), ", ".join(mine) or "none"))
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
