"""A worker's life: wait for Kafka, see that its topics are right, run until told to stop."""

import asyncio
import gc
import sys
import time
from collections.abc import Callable

import structlog
from aiokafka.errors import KafkaError
from faust.worker import Worker

from policy_core.library import Library
from workers import logs, metrics, topics
from workers.app import make_app
from workers.console import CommandError
from workers.decide.shadow import Shadow, shadow_of
from workers.history.follow import Follower, ForkedError
from workers.settings import Settings
from workers.topics import TopicsError

log = structlog.get_logger(__name__)

LONGEST_PAUSE = 10.0
"""Seconds between two looks for a broker that does not answer."""


def run_worker(settings: Settings, library: Library) -> None:
    """Run a worker until it is told to stop; exits the process.

    Raises:
        CommandError: The topics are not as they must be, or know the policies otherwise than we do.
        PolicyDocumentError: The draft that is to decide beside cannot be used.
    """
    logs.configure(level=settings.log_level, form=settings.log_format)
    log.info("worker_starting", app=settings.app_id, policies=library.numbers, bootstrap=settings.bootstrap)
    shadow = _shadow(settings, library)
    await_topics(settings)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # before the app is made: Faust's services take the current loop as theirs
    follower = Follower(settings, library)
    loop.run_until_complete(catch_up(follower))
    app = make_app(settings, follower, shadow)
    worker = Worker(
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
    worker.execute_from_commandline()


def _shadow(settings: Settings, library: Library) -> Shadow | None:
    shadow = shadow_of(settings, library)
    if shadow is not None:
        metrics.SHADOW_POLICY.labels(shadow.draft.number, shadow.draft.sha256).set(1)
        log.info("shadow_policy", policy=shadow.draft.number, sha256=shadow.draft.sha256)
    return shadow


def await_topics(settings: Settings, pause: Callable[[float], None] = time.sleep) -> None:
    """Wait until the broker answers, however long, then see that the topics are there.

    Raises:
        CommandError: They are not.
        RefusedError: The cluster does not let us see: trying again would not help.
    """
    waiting = 0.5
    while True:
        try:
            misfit = topics.misfit_for_workers(settings)
            break
        except TopicsError as error:
            log.warning("broker_unreachable", detail=str(error), next_try_in_seconds=waiting)
            pause(waiting)
            waiting = min(2 * waiting, LONGEST_PAUSE)
    if misfit is not None:
        raise CommandError(misfit)


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
