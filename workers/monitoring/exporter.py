"""`dli exporter`: lag, accounts and open cases for Prometheus, queried from the brokers at each scrape.

It does not query the workers, so that it is correct for stalled or stopped ones. If the brokers do not respond, it
reports only that: old numbers would look healthy.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event, Lock, Thread

import structlog
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from events.topics import TOPICS
from workers.accounts.account import PartitionBalance, standings
from workers.accounts.platform_account import PlatformAccount, platform_account
from workers.configuration.settings import Settings
from workers.kafka.errors import ClusterError
from workers.kafka.lag import Look, Unread, Watcher, consumes
from workers.process import metrics
from workers.work_list.read_cases import FollowedCases

log = structlog.get_logger(__name__)

SCRAPE_SECONDS = 4.0
"""Patience with brokers during a scrape: Prometheus waits five seconds, and must hear that they do not respond."""


def now_utc() -> datetime:
    """The current time, for overdue requests."""
    return datetime.now(UTC)


class BrokerCollector(Collector):
    """The metrics of one scrape."""

    def __init__(
        self, settings: Settings, watcher: Watcher, followed: FollowedCases, clock: Callable[[], datetime] = now_utc
    ) -> None:
        self._settings = settings
        self._watcher = watcher
        self._followed = followed
        self._clock = clock
        self._lock = Lock()
        self._known: frozenset[Unread] = frozenset()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Query the brokers; concurrent scrapes are serialized."""
        with self._lock:
            try:
                look = self._watcher.look()
            except ClusterError as error:
                log.warning("scrape_failed", detail=str(error))
                yield metrics.EXPORTER_UP.of([((), 0)])
                return
        self._log_unread(look)
        yield metrics.EXPORTER_UP.of([((), 1)])
        yield metrics.UNREAD.of(((unread.what, unread.name, unread.cause), 1) for unread in look.unread)
        archive = self._settings.archive_group
        yield from of_lag(of_consumers(look, self._settings))
        yield metrics.ARCHIVED.of([((), archived_until(look, archive))])
        yield metrics.RETENTION.of(
            ((self._settings.topic(topic.name),), topic.retention.total_seconds())
            for topic in TOPICS
            if topic.retention is not None and topic.cleanup == "delete"
        )
        yield from of_accounts(standings(look, self._settings))
        yield from of_platforms(platform_account(look, self._settings))
        yield from of_cases(self._followed, self._clock())

    def _log_unread(self, look: Look) -> None:
        """Log each unreadable item once while it is unreadable."""
        for unread in look.unread:
            if unread not in self._known:
                log.warning("series_unread", what=unread.what, name=unread.name, cause=unread.cause)
        self._known = frozenset(look.unread)


def of_consumers(look: Look, settings: Settings) -> Look:
    """The look without the groups whose lag means nothing; the gateway has metrics of its own."""
    lags = [lag for lag in look.lags if consumes(lag.group, settings)]
    members = {name: count for name, count in look.members.items() if consumes(name, settings)}
    return look._replace(lags=lags, members=members)


def archived_until(look: Look, group: str) -> float:
    """The time up to which everything is archived, in seconds since the epoch; 0 if unknown."""
    noted = [_instant(lag.note) for lag in look.lags if lag.group == group]
    return min(noted, default=0.0)


def _instant(note: str) -> float:
    try:
        return datetime.fromisoformat(note).timestamp()
    except ValueError:
        return 0.0


def of_lag(look: Look) -> Iterator[GaugeMetricFamily]:
    """The metrics of partitions and groups."""
    places = {tp: (tp.topic, str(tp.partition)) for tp in look.spans}
    yield metrics.PARTITION_END.of((places[tp], span.end) for tp, span in look.spans.items())
    yield metrics.PARTITION_STABLE.of((places[tp], span.stable) for tp, span in look.spans.items())
    yield metrics.OPEN_TRANSACTION.of((places[tp], seconds) for tp, seconds in look.open_seconds.items())
    yield metrics.PARTITION_BEGINNING.of((places[tp], span.beginning) for tp, span in look.spans.items())
    labelled = [((lag.group, lag.topic, str(lag.partition)), lag) for lag in look.lags]
    yield metrics.GROUP_OFFSET.of((labels, -1 if lag.committed is None else lag.committed) for labels, lag in labelled)
    yield metrics.GROUP_LAG.of((labels, lag.waiting) for labels, lag in labelled)
    sums: dict[tuple[str, ...], float] = {}
    longest: dict[tuple[str, ...], float] = {}
    for lag in look.lags:
        sums[lag.group, lag.topic] = sums.get((lag.group, lag.topic), 0) + lag.waiting
        longest[lag.group,] = max(longest.get((lag.group,), 0), lag.seconds)
    yield metrics.GROUP_LAG_SUM.of(sums.items())
    yield metrics.GROUP_LAG_SECONDS.of((labels, lag.seconds) for labels, lag in labelled)
    yield metrics.GROUP_MAX_LAG_SECONDS.of(longest.items())
    yield metrics.GROUP_MEMBERS.of(((group,), count) for group, count in look.members.items())


def of_accounts(found: list[PartitionBalance]) -> Iterator[GaugeMetricFamily]:
    """The metrics of the accounts."""
    known = [(str(standing.partition), standing.account) for standing in found if standing.account is not None]
    yield metrics.ACCOUNTS.of(
        ((partition, outcome), getattr(account, outcome))
        for partition, account in known
        for outcome in ("consumed", "decided", "duplicates", "dead_lettered", "lost")
    )
    yield metrics.ACCOUNTS_DIFFERENCE.of(((partition,), account.difference) for partition, account in known)
    yield metrics.ACCOUNTS_BALANCED.of([((), float(bool(found) and not any(standing.problem for standing in found)))])


def of_platforms(account: PlatformAccount | None) -> Iterator[GaugeMetricFamily]:
    """The metrics of platforms' messages; none where no platform's format is spoken."""
    if account is None:
        return
    counts = account._asdict()
    counts.pop("waiting")  # its lag has it
    yield metrics.PLATFORM_ACCOUNT.of(((outcome,), count) for outcome, count in counts.items())
    yield metrics.PLATFORM_ACCOUNT_BALANCED.of([((), float(account.problem is None))])


def of_cases(followed: FollowedCases, now: datetime) -> Iterator[GaugeMetricFamily]:
    """The metrics of open cases; only that they are not known, while they are not."""
    with followed.lock:
        known = followed.reading.error is None
        yield metrics.CASES_KNOWN.of([((), float(known))])
        if not known:
            return
        cases = followed.cases
        counts, by_actor, offsets, left_out = (
            cases.counts(now),
            cases.by_actor_and_due(now),
            cases.offsets,
            cases.left_out,
        )
    yield metrics.PENDED.of(((state,), count) for state, count in counts.by_clock_state.items())
    yield metrics.OVERDUE.of([((), counts.overdue)])
    yield metrics.WORK_LIST.of(by_actor.items())
    yield metrics.CASES_OFFSET.of(((str(partition),), offset) for partition, offset in sorted(offsets.items()))
    yield metrics.CASES_LEFT_OUT.of([((), left_out)])


@contextmanager
def serving(settings: Settings) -> Iterator[None]:
    """Serve on the settings' exporter port inside the context.

    Raises:
        OSError: The port is taken.
    """
    registry = CollectorRegistry()
    watcher, followed, over = Watcher(settings, patience=SCRAPE_SECONDS), FollowedCases(settings), Event()
    registry.register(BrokerCollector(settings, watcher, followed))
    server, answering = start_http_server(settings.exporter_port, settings.web_host, registry)
    reader = Thread(target=followed.run, args=(over,), daemon=True)
    reader.start()
    try:
        yield
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        answering.join()
        reader.join()
        watcher.close()
