"""Every client: closed on exit, its errors turned into ours, one patience."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from kafka.errors import KafkaConnectionError as NoBroker
from kafka.errors import KafkaError, TopicAuthorizationFailedError

from events.topics import REQUESTS
from tests.support.running import settings_for
from workers.configuration.settings import Settings
from workers.kafka import clients
from workers.kafka.connect import LONG_PATIENCE, PATIENCE, client
from workers.kafka.errors import (
    AccessRefusedError,
    ClusterError,
    ReadingError,
    TopicsError,
    explained,
    kafka_errors,
    topic_errors,
)
from workers.kafka.fetch_pacing import paced
from workers.topics import apply_topics

WITH = (clients.admin, clients.consumer, clients.producer)
Made = Callable[[Settings], AbstractContextManager[Any]]


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    return settings_for(bootstrap, prefix, tmp_path)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(clients, "PATIENCE", 0.2)
    return settings_for("127.0.0.1:1", "none.", tmp_path)


@pytest.mark.parametrize("made", WITH)
def test_no_broker_is_a_sentence_of_ours(made: Made, nowhere: Settings) -> None:
    with pytest.raises(ReadingError, match=r"127\.0\.0\.1:1: \w+; is Kafka there"), made(nowhere):
        pass


@pytest.mark.parametrize("made", WITH)
def test_an_error_inside_is_converted_and_the_client_closed(made: Made, found: Settings) -> None:
    context = made(found)
    one = context.__enter__()

    with pytest.raises(ReadingError) as caught:
        context.__exit__(NoBroker, NoBroker(), None)
    assert str(caught.value) == explained(found, NoBroker())
    assert one._closed  # noqa: SLF001 (kafka-python has no other sign of it)


@pytest.mark.parametrize("made", WITH)
def test_an_error_of_others_passes(made: Made, found: Settings) -> None:
    with pytest.raises(ZeroDivisionError), made(found):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("errors", "raised", "becomes"),
    [
        (kafka_errors, NoBroker, ReadingError),
        (kafka_errors, TopicAuthorizationFailedError, ReadingError),
        (topic_errors, NoBroker, TopicsError),
        (topic_errors, TopicAuthorizationFailedError, AccessRefusedError),
    ],
)
def test_each_error_of_a_client_becomes_one_of_the_family(
    errors: clients.Errors, raised: type[KafkaError], becomes: type[ClusterError], tmp_path: Path
) -> None:
    settings = settings_for("127.0.0.1:1", "none.", tmp_path)

    with pytest.raises(ClusterError) as caught, errors(settings):
        raise raised
    assert type(caught.value) is becomes
    assert str(caught.value) == explained(settings, raised())


def test_the_clients_have_one_patience(found: Settings) -> None:
    with clients.admin(found) as asking, apply_topics.admin(found) as changing:
        assert [one.config["bootstrap_timeout_ms"] for one in (asking, changing)] == [PATIENCE * 1000] * 2
        assert asking.config["request_timeout_ms"] == PATIENCE * 1000
        assert changing.config["request_timeout_ms"] == LONG_PATIENCE * 1000
    with clients.consumer(found) as reading, clients.producer(found) as writing:
        for one in (reading, writing):
            assert one.config["bootstrap_timeout_ms"] == PATIENCE * 1000
            assert one.config["request_timeout_ms"] == LONG_PATIENCE * 1000
        assert writing.config["max_block_ms"] == LONG_PATIENCE * 1000


def test_what_is_written_is_read_on_an_event_loop_too(found: Settings) -> None:
    apply_topics.apply(found)
    topic = found.topic(REQUESTS)

    async def there_and_back() -> list[bytes | None]:
        async with clients.async_producer(client(found)) as producer:
            written = await producer.send_and_wait(topic, b"{}", partition=0)
        async with clients.async_consumer(client(found), paced) as consumer:
            consumer.assign([written.topic_partition])
            consumer.seek(written.topic_partition, written.offset)
            return [(await consumer.getone()).value]

    assert asyncio.run(there_and_back()) == [b"{}"]


def test_clients_of_an_event_loop_raise_their_own_errors(tmp_path: Path) -> None:
    connection = client(settings_for("127.0.0.1:1", "none.", tmp_path))

    async def reach() -> None:
        for made in (clients.async_consumer(connection), clients.async_producer(connection)):
            with pytest.raises(KafkaConnectionError):
                async with made:
                    pass

    asyncio.run(reach())
