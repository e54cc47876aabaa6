"""The only place where clients for Kafka are made: with one patience, closed on exit, their errors turned into ours.

    admin             asks about topics and groups, and changes them
    consumer          reads committed records, without a group
    producer          writes records, each acknowledged by all replicas
    async_consumer    the same as `consumer`, for an event loop
    async_producer    the same as `producer`, for an event loop

A client that lives longer than a `with` block comes from `new_admin`, `new_consumer` or `new_producer`; who holds it
closes it. Clients of an event loop raise aiokafka's own errors: their callers reconnect, or tell lost from damaged
records, by the error's type.

Other modules take the clients' types from here for their annotations, and never call them (`tests/test_house.py`).
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from workers.configuration.settings import Settings
from workers.kafka import connect
from workers.kafka.client_lifetime import started
from workers.kafka.connect import LONG_PATIENCE, PATIENCE, milliseconds
from workers.kafka.errors import kafka_errors

__all__ = ["AIOKafkaConsumer", "AIOKafkaProducer", "KafkaAdminClient", "KafkaConsumer", "KafkaProducer"]

Errors = Callable[[Settings], AbstractContextManager[None]]
"""Converts a client's errors, as `workers.kafka.errors.kafka_errors`."""

# --- with blocks ------------------------------------------------------------------------------------------------------


@contextmanager
def admin(
    settings: Settings, name: str = "reading", patience: float = PATIENCE, errors: Errors = kafka_errors
) -> Iterator[KafkaAdminClient]:
    """An admin client, closed on exit.

    Args:
        settings: The cluster.
        name: What it is for, part of the name by which the brokers log it.
        patience: Seconds for each request; `LONG_PATIENCE` for changes.
        errors: How the client's errors are converted.

    Raises:
        AccessRefusedError: The cluster refuses us.
        ReadingError: The brokers do not respond, or refuse; other errors if `errors` raises them.
    """
    with errors(settings):
        client = new_admin(settings, name, patience)
        try:
            yield client
        finally:
            client.close()


@contextmanager
def consumer(settings: Settings, **options: Any) -> Iterator[KafkaConsumer]:
    """A consumer of committed records without a group, closed on exit; `options` are kafka-python's.

    Raises:
        AccessRefusedError: The cluster refuses us.
        ReadingError: The brokers do not respond, or refuse.
    """
    with kafka_errors(settings):
        client = new_consumer(settings, **options)
        try:
            yield client
        finally:
            client.close()


@contextmanager
def producer(settings: Settings, errors: Errors = kafka_errors, **options: Any) -> Iterator[KafkaProducer]:
    """An idempotent producer, closed on exit; `options` are kafka-python's.

    Raises:
        AccessRefusedError: The cluster refuses us.
        ReadingError: The brokers do not respond, or refuse; other errors if `errors` raises them.
    """
    with errors(settings):
        client = new_producer(settings, **options)
        try:
            yield client
        finally:
            client.close(timeout=PATIENCE)


@asynccontextmanager
async def async_consumer(
    connection: Mapping[str, Any],
    prepare: Callable[[AIOKafkaConsumer], AIOKafkaConsumer] = lambda made: made,
    **options: Any,
) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer of committed records without a group, stopped on exit.

    Args:
        connection: Its arguments from `connect.client`; consumers that share them share bearer tokens too.
        prepare: Called with the consumer before its start.
        **options: aiokafka's, in place of those given here.

    Raises:
        KafkaError: aiokafka's: it cannot start, or what is done with it fails.
    """
    reading = {
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "auto_offset_reset": "earliest",
        "request_timeout_ms": milliseconds(LONG_PATIENCE),
    }
    async with started(prepare(AIOKafkaConsumer(**connection, **(reading | options)))) as client:
        yield client


@asynccontextmanager
async def async_producer(connection: Mapping[str, Any], **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A started, idempotent producer, stopped on exit; await what it sends before.

    Raises:
        KafkaError: aiokafka's: it cannot start, or what is done with it fails.
    """
    patience = {"request_timeout_ms": milliseconds(LONG_PATIENCE)}
    async with started(new_async_producer(connection, **(patience | options))) as client:
        yield client


# --- clients that live longer -----------------------------------------------------------------------------------------


def new_admin(settings: Settings, name: str = "reading", patience: float = PATIENCE) -> KafkaAdminClient:
    """An admin client; the caller closes it, and converts its errors.

    Raises:
        AccessRefusedError: The cluster refuses us.
        KafkaError: The brokers do not respond.
    """
    connect.check(settings)
    return KafkaAdminClient(
        **connect.client(settings),
        client_id=f"{settings.app_id}-{name}",
        bootstrap_timeout_ms=milliseconds(min(patience, PATIENCE)),
        request_timeout_ms=milliseconds(patience),
    )


def new_consumer(settings: Settings, **options: Any) -> KafkaConsumer:
    """A consumer of committed records without a group; the caller closes it, and converts its errors.

    Raises:
        AccessRefusedError: The cluster refuses us.
        KafkaError: The brokers do not respond.
    """
    connect.check(settings)
    reading = {
        "client_id": f"{settings.app_id}-reading",
        "group_id": None,
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "allow_auto_create_topics": False,
        "auto_offset_reset": "earliest",
        "bootstrap_timeout_ms": milliseconds(PATIENCE),
        "request_timeout_ms": milliseconds(LONG_PATIENCE),
    }
    return KafkaConsumer(**connect.client(settings), **(reading | options))


def new_producer(settings: Settings, **options: Any) -> KafkaProducer:
    """An idempotent producer; the caller closes it, and converts its errors.

    Raises:
        AccessRefusedError: The cluster refuses us.
        KafkaError: The brokers do not respond.
    """
    connect.check(settings)
    writing = {
        "acks": "all",
        "enable_idempotence": True,
        "bootstrap_timeout_ms": milliseconds(PATIENCE),
        "request_timeout_ms": milliseconds(LONG_PATIENCE),
        "max_block_ms": milliseconds(LONG_PATIENCE),
    }
    return KafkaProducer(**connect.client(settings), **(writing | options))


def new_async_producer(connection: Mapping[str, Any], **options: Any) -> AIOKafkaProducer:
    """An idempotent producer for an event loop, not yet started; the caller stops it.

    A worker's own has no patience of ours: it sends again for as long as the worker lives, as Faust's settings say.
    """
    return AIOKafkaProducer(**({"acks": "all", "enable_idempotence": True} | dict(connection) | options))
