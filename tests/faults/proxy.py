"""A TCP proxy that the tests break: it refuses, cuts, swallows and delays."""

import asyncio
from contextlib import suppress
from threading import Thread
from typing import Self

from workers.dev_brokers import LOOPBACK

CHUNK = 65_536


class Proxy:
    """Stands between workers and a broker; its own event loop runs in a thread."""

    def __init__(self, port: int, upstream: int) -> None:
        self._port = port
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._delay = 0.0
        self.connections = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def cut(self) -> None:
        """Break all connections there are; new ones are taken."""
        self._do(self._break())

    def refuse(self) -> None:
        """Break all connections, and take no new ones."""
        self._do(self._shut())

    def swallow(self) -> None:
        """Keep connections open and let nothing through, as a network that drops every packet."""
        self._loop.call_soon_threadsafe(self._passing.clear)

    def delay(self, seconds: float) -> None:
        """Hold back whatever passes, for a time."""
        self._delay = seconds

    def mend(self) -> None:
        """Let everything through again."""
        self._delay = 0.0
        self._loop.call_soon_threadsafe(self._passing.set)
        self._do(self._listen())

    def _do(self, what: "asyncio.Future[None] | object") -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, LOOPBACK, self._port, reuse_address=True)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._break()

    async def _break(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()
        self._open.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self._upstream)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        await asyncio.wait(
            {asyncio.create_task(self._pass(reader, far_writer)), asyncio.create_task(self._pass(far_reader, writer))}
        )
        self._open -= {writer, far_writer}

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await source.read(CHUNK):
                await self._passing.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                target.write(chunk)
                await target.drain()
        target.transport.abort()
