"""Runs a worker: waits for Kafka, checks its topics, and runs until stopped."""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.worker import Worker

from events.topics import INTEGRATION_EVENTS
from policy_core.history.library import Library
from workers.configuration.settings import Settings
from workers.decide.shadow import Shadow, shadow_of
from workers.decide.writers import WRITERS, Writers
from workers.integration.partners import Partners
from workers.kafka.errors import TopicsError
from workers.main.app import make_app
from workers.main.integration_app import make_integration_app, own_settings
from workers.policies.revision_follower import Follower
from workers.process import logs, metrics
from workers.stream import EXIT_PROCESSOR_LOST
from workers.topics import apply_topics
from workers.topics.layout import Topology, topology
from workers.topics.watch import TopicWatch

log = structlog.get_logger(__name__)

LONGEST_PAUSE = 10.0
"""The longest pause between attempts to reach a broker, in seconds."""
STOP_SECONDS = 50.0
"""The limit of an orderly stop; a supervisor kills after a minute."""


class _Worker(Worker):
    async def stop(self) -> None:
        """Stop in order, or by force: another worker repeats what was not committed."""
        ending = threading.Timer(STOP_SECONDS, self._end)
        ending.daemon = True
        ending.start()
        await super().stop()

    def _end(self) -> None:
        log.error("stop_forced", after_seconds=STOP_SECONDS)
        os._exit(EXIT_PROCESSOR_LOST if self.crash_reason else 0)


def run_worker(settings: Settings, library: Library, writers: Writers = WRITERS) -> None:
    """Run a worker until it is stopped; exits the process.

    `writers` are all versions of a decision's bytes; another program of this one's parts may have more.

    Raises:
        TopicsError: The topics are unsuitable.
        ForkedError: The packaged policies contradict the topic of revisions.
        PolicyDocumentError: The shadow draft is invalid.
    """
    _begin(settings)
    log.info("worker_starting", app=settings.app_id, policies=library.numbers, bootstrap=settings.bootstrap)
    shadow = _shadow(settings, library)
    topic_watch = TopicWatch(settings, await_topics(settings))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # before the app is created: Faust's services use the current loop
    follower = Follower(settings, library)
    loop.run_until_complete(catch_up(follower))
    _execute(make_app(settings, follower, topic_watch, shadow, writers), loop, topic_watch, settings)


def run_integration(settings: Settings, partners: Partners) -> None:
    """Run the integration agents until they are stopped; exits the process.

    Raises:
        TopicsError: The topics are unsuitable.
    """
    settings = own_settings(settings)
    _begin(settings)
    log.info("integration_starting", app=settings.app_id, partners=len(partners), bootstrap=settings.bootstrap)
    topic_watch = TopicWatch(settings, await_topics(settings), INTEGRATION_EVENTS)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # as above
    _execute(make_integration_app(settings, partners, topic_watch), loop, topic_watch, settings)


def _begin(settings: Settings) -> None:
    logs.configure(level=settings.log_level, form=settings.log_format)
    # The topic watch polls every few seconds, and logs its failures itself, once.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    # Until the app installs its own handler: process 1 of a container ignores signals without one.
    signal.signal(signal.SIGTERM, _stop_at_once)


def _execute(app: faust.App, loop: asyncio.AbstractEventLoop, topic_watch: TopicWatch, settings: Settings) -> None:
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
    worker.spinner = None  # it writes terminal codes to the log
    # Existing objects stay: scanning them in garbage collections paused every partition for 0.16 s.
    gc.collect()
    gc.freeze()
    # Not a task of the app: those start after joining the group, and this reports why joining fails.
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
    """Wait until the broker responds, however long, then check the topics and return their layout.

    Raises:
        TopicsError: They are not suitable.
        AccessRefusedError: The cluster refuses us: retrying would not help.
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
        raise TopicsError(misfit)
    for topic in small:
        limits = f"{topic.topic} takes records of {topic.found} bytes at most, declared are {topic.declared}"
        detail = f"{limits}: a larger answer becomes a short dead letter; set its max.message.bytes as declared"
        log.warning("topic_too_small", detail=detail)
    return found


async def catch_up(follower: Follower) -> None:
    """Read the topic of revisions to its end, however long the broker takes.

    Raises:
        ForkedError: The packaged documents contradict it.
    """
    waiting = 0.5
    while True:
        try:
            await follower.catch_up()
        except (KafkaError, OSError) as error:
            log.warning("revisions_unreadable", error=type(error).__name__, next_try_in_seconds=waiting)
            await asyncio.sleep(waiting)
            waiting = min(2 * waiting, LONGEST_PAUSE)
        else:
            return
