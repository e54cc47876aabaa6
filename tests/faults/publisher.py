"""A process that publishes a file of records, at the pace and up to the number that another process tells it.

    python publisher.py BOOTSTRAP TOPIC FILE TOTAL CONTROL

The control file is three numbers, mapped by both: how many may be sent so far, how many in a second, and how many
were handed to the producer.
"""

import asyncio
import mmap
import struct
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from aiokafka import AIOKafkaProducer

CONTROL = struct.Struct(">QQ")
HANDED = struct.Struct(">Q")
LENGTHS = struct.Struct(">II")
TICK_S = 0.01
PATIENCE_MS = 240_000
HEADERS = [("content-type", b"application/cloudevents+json; charset=UTF-8")]


def records(file: Path) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values."""
    with file.open("rb") as source:
        while head := source.read(LENGTHS.size):
            key, value = LENGTHS.unpack(head)
            yield source.read(key), source.read(value)


async def publish(bootstrap: str, topic: str, file: Path, total: int, control: mmap.mmap) -> None:
    """Send all records; returns once the broker has them."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        linger_ms=5,
        max_batch_size=262_144,
        # A batch waits this long for a broker that is away.
        request_timeout_ms=PATIENCE_MS,
    )
    await producer.start()
    source = records(file)
    waiting: list[asyncio.Future[object]] = []
    handed, saved, before = 0, 0.0, time.monotonic()
    while handed < total:
        limit, rate = CONTROL.unpack_from(control, 0)
        now = time.monotonic()
        saved, before = min(saved + rate * (now - before), rate * 0.25 + 1), now
        ready = min(int(saved), limit - handed)
        for key, value in islice(source, ready):
            waiting.append(await producer.send(topic, value, key=key, headers=HEADERS))
            handed, saved = handed + 1, saved - 1
        HANDED.pack_into(control, CONTROL.size, handed)
        await asyncio.sleep(TICK_S)
    await producer.flush()
    for one in waiting:
        one.result()
    await producer.stop()


def main() -> None:
    """Run it."""
    bootstrap, topic, file, total, control = sys.argv[1:]
    with Path(control).open("r+b") as shared:
        asyncio.run(publish(bootstrap, topic, Path(file), int(total), mmap.mmap(shared.fileno(), 0)))


if __name__ == "__main__":
    main()
