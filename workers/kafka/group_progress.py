"""How far a group has read: whether everything that was on its topics at a moment has been handled."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog
from kafka import TopicPartition
from kafka.errors import GroupIdNotFoundError

from workers.configuration.settings import Settings
from workers.console.errors import DliError
from workers.kafka import clients
from workers.kafka.clients import KafkaAdminClient
from workers.kafka.reader import extents, partitions_of

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.25
"""Pause between two looks."""


def read_to_end(
    settings: Settings,
    stages: Sequence[Iterable[str]],
    patience: float,
    over: Callable[[], bool] = lambda: False,
    pause: Callable[[float], None] = time.sleep,
) -> bool:
    """Whether the workers have read, one stage after the other, everything that was on the stage's topics.

    A stage is looked at when the one before it is read: what the one before made is in it then. A transaction that is
    open counts, since a committed record may stand behind it, and nobody reads that before the transaction ends.

    Args:
        settings: The workers' group and topics.
        stages: The names of declared topics, by stage.
        patience: Seconds to wait, for all stages together.
        over: Whether to give up.
        pause: Waits for some seconds.

    Raises:
        ClusterError: The brokers do not respond.
    """
    until = time.monotonic() + patience
    with clients.admin(settings, "progress") as admin:
        for stage in stages:
            places = partitions_of(admin, [settings.topic(name) for name in stage])
            logs = extents(admin, places).items()
            ends = {place: written.end for place, written in logs if written.end > written.beginning}
            while not _has_committed(admin, settings.app_id, ends):
                if over() or time.monotonic() > until:
                    return False
                pause(LOOK_SECONDS)
    return True


async def has_read(settings: Settings, stages: Sequence[Iterable[str]], patience: float) -> bool:
    """`read_to_end`, in a thread; False too if the brokers do not respond."""
    over = threading.Event()
    try:
        return await asyncio.to_thread(read_to_end, settings, stages, patience, over.is_set)
    except DliError as error:
        log.warning("progress_unknown", detail=str(error))
        return False
    finally:
        over.set()


def _has_committed(admin: KafkaAdminClient, group: str, ends: Mapping[TopicPartition, int]) -> bool:
    if not ends:
        return True
    try:
        committed = admin.list_group_offsets({group: None}).get(group, {})
    except GroupIdNotFoundError:
        return False
    return all(place in committed and committed[place].offset >= end for place, end in ends.items())
