"""A worker's life: wait for Kafka, see that its topics are right, run until told to stop."""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import structlog
from aiokafka.errors import KafkaError
from faust.worker import Worker

from policy_core.history.library import Library
from workers import logs, metrics
from workers.app import make_app
from workers.console import CommandError
from workers.decide.shadow import Shadow, shadow_of
from workers.policies.publish_packaged import ForkedError
from workers.policies.revision_follower import Follower
from workers.settings import Settings
from workers.stream import EXIT_FEED_LOST
from workers.topics import apply_topics
from workers.topics.apply_topics import TopicsError
from workers.topics.layout import Topology, topology
from workers.topics.watch import TopicWatch

log = structlog.get_logger(__name__)

LONGEST_PAUSE = 10.0
"""Seconds between two looks for a broker that does not answer."""
STOP_SECONDS = 50.0
"""The longest that an orderly stop may take; a supervisor kills after a minute."""


class _Worker(Worker):
    async def stop(self) -> None:
        """Stop in order, or else by force: whatever hangs, what was not committed is done again by another."""
        ending = threading.Timer(STOP_SECONDS, self._end)
        ending.daemon = True
        ending.start()
        await super().stop()

    def _end(self) -> None:
        log.error("stop_forced", after_seconds=STOP_SECONDS)
        os._exit(EXIT_FEED_LOST if self.crash_reason else 0)


def run_worker(settings: Settings, library: Library) -> None:
    """Run a worker until it is told to stop; exits the process.

    Raises:
        CommandError: The topics are not as they must be, or know the policies otherwise than we do.
        PolicyDocumentError: The draft that is to decide beside cannot be used.
    """
    logs.configure(level=settings.log_level, form=settings.log_format)
    # The topic_watch looks every few seconds: what fails there is said by this software, once.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    # Until the app runs, which has its own: the first process of a container would not end without.
    signal.signal(signal.SIGTERM, _stop_at_once)
    log.info("worker_starting", app=settings.app_id, policies=library.numbers, bootstrap=settings.bootstrap)
    shadow = _shadow(settings, library)
    topic_watch = TopicWatch(settings, await_topics(settings))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # before the app is made: Faust's services take the current loop as theirs
    follower = Follower(settings, library)
    loop.run_until_complete(catch_up(follower))
    app = make_app(settings, follower, topic_watch, shadow)
    worker = _Worker(
        app,
        loop=loop,
        loglevel=settings.log_level,
        override_logging=False,
        redirect_stdouts=False,
        quiet=True,
        console_port=0,
        stdout=sys.stderr,
        stderr=sys.stderr,
    )
    worker.spinner = None  # it writes terminal codes into the log
    # What is there by now stays. Searched for garbage with all else, it stopped every partition for 0.16 s at a time.
    gc.collect()
    gc.freeze()
    # No task of the app's: those begin when the group is joined, and this says why it cannot be.
    watching = loop.create_task(topic_watch.watch())
    try:
        worker.execute_from_commandline()
    finally:
        watching.cancel()


def _stop_at_once(*_: object) -> None:
    raise SystemExit(0)


def _shadow(settings: Settings, library: Library) -> Shadow | None:
    shadow = shadow_of(settings, library)
    if shadow is not None:
        metrics.SHADOW_POLICY.labels(shadow.draft.number, shadow.draft.sha256).set(1)
        log.info("shadow_policy", policy=shadow.draft.number, sha256=shadow.draft.sha256)
    return shadow


def await_topics(settings: Settings, pause: Callable[[float], None] = time.sleep) -> Topology:
    """Wait until the broker answers, however long, then see that the topics are there, and how they lie.

    Raises:
        CommandError: They are not.
        AccessRefusedError: The cluster does not let us see: trying again would not help.
    """
    waiting = 0.5
    while True:
        try:
            misfit = apply_topics.misfit_for_workers(settings)
            small = apply_topics.too_small(settings) if misfit is None else []
            with apply_topics.admin(settings) as client:
                found = topology(client, settings)
            break
        except TopicsError as error:
            log.warning("broker_unreachable", detail=str(error), next_try_in_seconds=waiting)
            pause(waiting)
            waiting = min(2 * waiting, LONGEST_PAUSE)
    if misfit is not None:
        raise CommandError(misfit)
    for one in small:
        limits = f"{one.topic} takes records of {one.found} bytes at most, declared are {one.declared}"
        detail = f"{limits}: a larger answer becomes a short dead letter; set its max.message.bytes as declared"
        log.warning("topic_too_small", detail=detail)
    return found


async def catch_up(follower: Follower) -> None:
    """Know of the policies what the topic of revisions knows, however long the broker takes.

    Raises:
        CommandError: The packaged documents contradict it.
    """
    waiting = 0.5
    while True:
        try:
            await follower.catch_up()
        except ForkedError as forked:
            raise CommandError(str(forked)) from None
        except (KafkaError, OSError) as error:
            log.warning("revisions_unreadable", error=type(error).__name__, next_try_in_seconds=waiting)
            await asyncio.sleep(waiting)
            waiting = min(2 * waiting, LONGEST_PAUSE)
        else:
            return
