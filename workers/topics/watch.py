"""Watches a running worker's topics and group membership.

Clients detect little: aiokafka mistakes a recreated topic for the old one, and hides why it cannot join its group. So
every worker checks every few seconds.

| finding | consequence |
| --- | --- |
| other numbers of partitions, or uneven ones | the process ends: ids now belong to other partitions |
| the topic of requests was recreated | its partitions restart, from their beginning |
| another topic was recreated | the process ends: its knowledge is of a deleted log |
| a topic is missing | not ready, logged as an error |
| the group cannot be joined, and retrying cannot help | the process ends |
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from time import monotonic
from typing import NamedTuple, Protocol

import structlog
from aiokafka.errors import InconsistentGroupProtocolError, InvalidSessionTimeoutError
from aiokafka.errors import KafkaError as ClientError
from faust.types.assignor import HostToPartitionMap
from kafka.errors import KafkaError

from events.topics import REQUESTS
from workers.configuration.settings import Settings
from workers.kafka.errors import ClusterError
from workers.topics.layout import Looker, Topology, absent, created_again, held_by_all, resized

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
"""Interval between two checks."""
LOG_SECONDS = 60.0
"""Minimum interval between two identical log lines."""


class RequestProcessor(Protocol):
    """The request stream processor, as far as it is notified."""

    @property
    def stopping(self) -> bool:
        """Whether the worker is stopping."""

    async def give_up(self, sentence: str) -> None:
        """End the process: retrying cannot help."""

    async def restart_on_new_log(self, before: float) -> None:
        """Restart on a new log: partitions taken over `before` start at the beginning."""

    async def check_group(self) -> None:
        """Raise the error that keeps this worker out of its group, if any."""


class Seen(NamedTuple):
    """The result of one check."""

    at: float
    """Its start, by the monotonic clock."""
    topology: Topology


class TopicWatch:
    """Watches a worker's topics and group, and acts on changes.

    Args:
        settings: The group and the topics.
        first: The topics when the worker started.
        main: The topic whose processor is notified.
    """

    def __init__(self, settings: Settings, first: Topology, main: str = REQUESTS) -> None:
        self._settings = settings
        self._requests = settings.topic(main)
        self._known = dict(first)
        self._last = Seen(monotonic(), first)
        self._requests_seen = self._last.at
        self._logged: dict[str, float] = {}
        self._processor: RequestProcessor | None = None

    def notify(self, processor: RequestProcessor) -> None:
        """Set the request stream processor to notify."""
        self._processor = processor

    # --- for the health checks ---

    def topics_there(self) -> bool:
        """Whether every declared topic existed at the last check."""
        return not absent(self._settings, self._last.topology)

    def spare(self, distribution: HostToPartitionMap) -> bool:
        """Whether the group's members together have all request partitions."""
        return held_by_all(distribution.values(), self._requests, self._last.topology)

    # --- watching ---

    async def watch(self) -> None:
        """Check repeatedly until the process ends."""
        processor = self._processor
        if processor is None:
            raise TypeError("no stream processor is set")
        looks: asyncio.Queue[Seen] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def report(seen: Seen) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody is waiting
                loop.call_soon_threadsafe(looks.put_nowait, seen)

        over = Event()
        # A daemon: an executor's thread would block the end of the process while the cluster does not respond.
        Thread(target=_look, args=(self._settings, report, over), name="topology", daemon=True).start()
        try:
            while not processor.stopping and await self._check_group(processor):
                try:
                    # Not `wait_for`: before Python 3.12 it swallows a cancellation that comes together with a look.
                    async with asyncio.timeout(LOOK_SECONDS):
                        seen = await looks.get()
                except TimeoutError:
                    continue
                if processor.stopping or not await self.judge(seen, processor):
                    return
        except Exception:
            log.exception("footing_lost")
            await processor.give_up("the topics and the group cannot be watched any more")
        finally:
            over.set()

    async def judge(self, seen: Seen, processor: RequestProcessor) -> bool:
        """Whether the worker can continue with the topics as they are now."""
        again = created_again(self._known, seen.topology)
        others = [name for name in again if name != self._requests]
        sentence = resized(self._settings, self._known, seen.topology)
        if sentence is None and others:
            sentence = (
                f"created again while this worker ran: {', '.join(others)}; what it knows is of a log that is gone, "
                "and a new process begins with the one that is there"
            )
        if sentence is not None:
            await processor.give_up(sentence)
            return False
        if again:
            log.error("topic_created_again", topic=self._requests, what_follows="it is read from its beginning")
            await processor.restart_on_new_log(self._requests_seen)
        self._take(seen)
        return True

    def _take(self, seen: Seen) -> None:
        self._last = seen
        self._known |= seen.topology
        if self._requests in seen.topology:
            self._requests_seen = seen.at
        missing = absent(self._settings, seen.topology)
        if missing and self._is_news("absent"):
            log.error("topics_absent", topics=missing, what_to_do="`dli topics apply` creates them; this worker waits")

    async def _check_group(self, processor: RequestProcessor) -> bool:
        """Whether the worker is, or may still become, a member of the group."""
        try:
            await processor.check_group()
        except ConnectionAbortedError:  # the worker is stopping, or its consumer restarting
            return True
        except ClientError as error:
            if error.retriable:
                if self._is_news(type(error).__name__):
                    log.warning("group_unsettled", group=self._settings.app_id, error=type(error).__name__)
                return True
            await processor.give_up(_why_out(error, self._settings))
            return False
        return True

    def _is_news(self, what: str) -> bool:
        """Whether it was not logged recently."""
        now = monotonic()
        if now - self._logged.get(what, -LOG_SECONDS) < LOG_SECONDS:
            return False
        self._logged[what] = now
        return True


def _look(settings: Settings, report: Callable[[Seen], None], over: Event) -> None:
    looker = Looker(settings)
    failing = False
    while not over.wait(LOOK_SECONDS):
        began = monotonic()
        try:
            report(Seen(began, looker.look()))
            failing = False
        except (KafkaError, ClusterError, OSError) as error:
            if not failing:
                log.warning("topics_unseen", error=type(error).__name__)
            failing = True
    looker.close()


def _why_out(error: ClientError, settings: Settings) -> str:
    """Why a worker cannot join the group, and what to do."""
    group = settings.app_id
    if isinstance(error, InconsistentGroupProtocolError):
        return (
            f"the group {group} has members that share partitions by another protocol: another application uses this "
            "group; stop it, or give one of the two another name (DLI_APP_ID)"
        )
    if isinstance(error, InvalidSessionTimeoutError):
        return (
            f"the brokers refuse a session of {settings.session_timeout_seconds:g} s: see DLI_SESSION_TIMEOUT_SECONDS, "
            "and group.min.session.timeout.ms and group.max.session.timeout.ms of the brokers"
        )
    return f"the group {group} is lost to this worker: {error!r}"
