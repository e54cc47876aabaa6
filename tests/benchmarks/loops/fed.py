"""Our stream processor by itself, with a handler that does next to nothing: what is left is its own cost.

python -m tests.benchmarks.loops.fed
"""

import asyncio

import faust
from faust.worker import Worker

from events.topics import ANSWERED, DECISIONS, REQUESTS
from tests.benchmarks.work import Work
from workers.configuration.settings import read
from workers.stream import app_settings, stream_processor


def main() -> None:
    """Run until told to stop."""
    found = read()
    work = Work(found, "trivial")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = faust.App(
        found.app_id,
        broker=f"kafka://{found.bootstrap}",
        store="memory://",
        datadir=str(found.data_dir),
        web_enabled=False,
        **app_settings(),
    )
    requests = app.topic(found.topic(REQUESTS), key_serializer="raw", value_serializer="raw")
    outputs = [found.topic(DECISIONS), found.topic(ANSWERED)]
    # As in a worker, results stay in the partition of their request: no key is hashed.
    stream_processor(app, requests, work.decide, outputs=outputs, alike=outputs, delivery=found.delivery)
    worker = Worker(app, loop=loop, loglevel="WARNING", quiet=True, console_port=0)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
