"""Slows down fetches from a broker that does not wait for records.

A fetch request says how long the broker may wait for records. Apache Kafka waits. The embedded broker returns an empty
response at once, and aiokafka immediately asks again, so that an idle worker used much of a core. Here empty responses
are delayed, increasingly, until records arrive.

`workers.stream.faust_assumptions` lists the aiokafka internals used here.
"""

from asyncio import sleep
from time import perf_counter
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.protocol.fetch import FetchRequest

FIRST_S = 0.001
LONGEST_S = 0.025
"""The first and the longest pause: the possible delay of a record after an idle period."""


def paced(consumer: AIOKafkaConsumer, longest_s: float = LONGEST_S) -> AIOKafkaConsumer:
    """Make the consumer poll a broker less often if that returns empty responses early."""
    client = consumer._client  # noqa: SLF001 (see `workers.stream.faust_assumptions`)
    send, patience = client.send, consumer._fetch_max_wait_ms / 1000  # noqa: SLF001
    pauses: dict[int, float] = {}

    async def delayed(node_id: int, request: Any, **options: Any) -> Any:
        asked = perf_counter()
        answer = await send(node_id, request, **options)
        if not isinstance(request, FetchRequest):
            return answer
        early = patience - (perf_counter() - asked)
        # Close to the maximum wait, the broker did wait: do not delay.
        if _brings_records(answer) or early < patience / 2:
            pauses.pop(node_id, None)
            return answer
        pause = pauses.get(node_id, FIRST_S)
        pauses[node_id] = min(pause * 2, longest_s)
        await sleep(min(pause, early))
        return answer

    client.send = delayed
    return consumer


def _brings_records(answer: Any) -> bool:
    """Whether any partition has bytes; they are its last field in every protocol version."""
    return any(bool(partition[-1]) for _, partitions in answer.topics for partition in partitions)
