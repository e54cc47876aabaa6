"""Fetches at a pace, for a broker that does not wait for records.

A consumer asks for records and says how long the broker may wait until there are some. Apache Kafka waits. The embedded
broker answers at once that there are none, and aiokafka asks again at once, so that an idle worker took much of a core.
Here such an answer is kept for a moment, a longer one each time, until records come.

`workers.stream.faust_assumptions` lists what this leans on in aiokafka.
"""

from asyncio import sleep
from time import perf_counter
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.protocol.fetch import FetchRequest

FIRST_S = 0.001
LONGEST_S = 0.025
"""The first pause and the longest: what a record may be late for it that comes after a quiet spell."""


def paced(consumer: AIOKafkaConsumer, longest_s: float = LONGEST_S) -> AIOKafkaConsumer:
    """The consumer, which asks a broker that has nothing for it, and says so before its time, less and less often."""
    client = consumer._client  # noqa: SLF001 (see `workers.stream.faust_assumptions`)
    send, patience = client.send, consumer._fetch_max_wait_ms / 1000  # noqa: SLF001
    pauses: dict[int, float] = {}

    async def patient(node_id: int, request: Any, **options: Any) -> Any:
        asked = perf_counter()
        answer = await send(node_id, request, **options)
        if not isinstance(request, FetchRequest):
            return answer
        early = patience - (perf_counter() - asked)
        # Near its time a broker has waited, and a record that comes now is on its way in the next answer.
        if _brings_records(answer) or early < patience / 2:
            pauses.pop(node_id, None)
            return answer
        pause = pauses.get(node_id, FIRST_S)
        pauses[node_id] = min(pause * 2, longest_s)
        await sleep(min(pause, early))
        return answer

    client.send = patient
    return consumer


def _brings_records(answer: Any) -> bool:
    """Whether any partition has bytes; they come last in it, whichever version of the protocol is spoken."""
    return any(bool(partition[-1]) for _, partitions in answer.topics for partition in partitions)
