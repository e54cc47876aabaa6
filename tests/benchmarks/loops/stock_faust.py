"""Faust as its documentation shows it: `async for` over the events, `topic.send` for each result.

python -m tests.benchmarks.loops.stock_faust
"""

import asyncio
from collections.abc import AsyncIterator

import faust
from faust.worker import Worker

from events.topics import ANSWERED, DECISIONS, REQUESTS
from tests.benchmarks.work import Work
from workers.configuration.settings import Settings, read
from workers.kafka.records import Record


def make_app(found: Settings, work: Work) -> faust.App:
    app = faust.App(
        found.app_id,
        broker=f"kafka://{found.bootstrap}",
        store="memory://",
        datadir=str(found.data_dir),
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
    )
    requests, *results = [
        app.topic(found.topic(name), key_serializer="raw", value_serializer="raw")
        for name in (REQUESTS, DECISIONS, ANSWERED)
    ]
    topics = {found.topic(name): topic for name, topic in zip((DECISIONS, ANSWERED), results, strict=True)}

    async def decide(stream: faust.StreamT[bytes]) -> AsyncIterator[None]:
        async for event in stream.events():
            one = event.message
            # Headers as our stream processor passes them; Faust has the timestamp in seconds.
            headers = tuple(dict(one.headers or ()).items())
            record = Record(
                one.topic, one.partition, one.offset, round(one.timestamp * 1000), one.key, one.value, headers
            )
            for out in work.one_by_one(record):
                await topics[out.topic].send(key=out.key, value=out.value, headers=dict(out.headers))
            yield

    app.agent(requests)(decide)
    return app


def main() -> None:
    """Run until told to stop."""
    found = read()
    work = Work(found)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = Worker(make_app(found, work), loop=loop, loglevel="WARNING", quiet=True, console_port=0)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
