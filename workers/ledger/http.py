"""`GET /requests/{id}`: the positions of all events of a request, from any worker.

    /requests/{id}          all of it: asks whoever has the pointers, and whoever has the links
    /ledger/pointers/{id}   what this worker has of it, or 503: for the other workers
    /ledger/chain/{id}

Faust's assignor tells every worker which worker has which partition. A worker that has lost one since returns 503, and
the request must be retried.

The response has positions, times and request ids, no event content.
"""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote

import faust
from aiohttp import ClientError, ClientTimeout
from faust.web import Request, Response, View
from yarl import URL

from events.topics import DEAD_LETTERS, DEADLINES, DECISIONS, LEDGER, LINKS, REQUESTS
from workers.configuration.settings import Settings
from workers.ledger.pointers import Kind, Pointer, Pointers
from workers.ledger.supersedes_links import Links, Member
from workers.state.request_digests import digest, partition_of
from workers.state.rocksdb_store import StorageError

PATIENCE_SECONDS = 5.0
"""Timeout for another worker's response."""

AWAY = "the ledger is being taken over by another worker; ask again in a moment"
UNKNOWN = "the ledger knows no answer to this request: not sent, not read yet, or no longer kept"


class AwayError(Exception):
    """No reachable worker has the partition now."""


class Ledger(NamedTuple):
    """The stores that the views query."""

    pointers: Pointers
    links: Links


def add_pages(app: faust.App, settings: Settings, ledger: Ledger) -> None:
    """Add the views to the app."""
    lookup = _Lookup(app, settings, ledger)

    @app.page("/requests/{request_id}")
    async def request(view: View, _request: Request, request_id: str) -> Response:
        try:
            found = await lookup.trace(request_id)
        except AwayError:
            return view.json({"error": AWAY}, status=HTTPStatus.SERVICE_UNAVAILABLE)
        if found is None:
            return view.json({"error": UNKNOWN}, status=HTTPStatus.NOT_FOUND)
        return view.json(found)

    @app.page("/ledger/pointers/{request_id}")
    async def pointers(view: View, _request: Request, request_id: str) -> Response:
        return _own(view, lambda: lookup.own_pointers(request_id))

    @app.page("/ledger/chain/{request_id}")
    async def chain(view: View, _request: Request, request_id: str) -> Response:
        return _own(view, lambda: lookup.own_chain(request_id))


def _own(view: View, find: Callable[[], Any]) -> Response:
    try:
        return view.json(find())
    except AwayError:
        return view.json({"error": AWAY}, status=HTTPStatus.SERVICE_UNAVAILABLE)


class _Lookup:
    """Finds a request's positions, here or on another worker."""

    def __init__(self, app: faust.App, settings: Settings, ledger: Ledger) -> None:
        self._app = app
        self._settings = settings
        self._ledger = ledger
        self._topics: dict[Kind, str] = {
            "decision": settings.topic(DECISIONS),
            "dead_letter": settings.topic(DEAD_LETTERS),
            "deadline": settings.topic(DEADLINES),
        }

    async def trace(self, request_id: str) -> dict[str, Any] | None:
        """Everything about a request; None if nothing is known.

        Raises:
            AwayError: No reachable worker has a part of it now.
        """
        found = await self._pointers(request_id)
        if not found:
            return None
        chain = await self._chain(request_id)
        members = [await self._with_pointers(member, request_id, found) for member in chain]
        return {"request_id": request_id, **_sorted(found), "chain": members}

    async def _with_pointers(
        self, member: dict[str, Any], request_id: str, pointers: list[dict[str, Any]]
    ) -> dict[str, Any]:
        same = member["request_id"] == request_id
        found = pointers if same else await self._pointers(member["request_id"])
        pointed = _sorted(found)
        return {**member, "known": bool(pointed["answers"]), **pointed}

    # --- local ---

    def own_pointers(self, request_id: str) -> list[dict[str, Any]]:
        """This worker's pointers of a request.

        Raises:
            AwayError: It does not have the partition.
        """
        found = self._safe(lambda: self._ledger.pointers.find(self._partition(request_id), request_id))
        return [self._shown(pointer) for pointer in found]

    def own_chain(self, request_id: str) -> list[dict[str, Any]]:
        """The chain of a request, from this worker's links.

        Raises:
            AwayError: It does not have them.
        """
        return [_member(member) for member in self._safe(lambda: self._ledger.links.find(0, request_id))]

    @staticmethod
    def _safe(find: Callable[[], Sequence[Any] | None]) -> Sequence[Any]:
        try:
            found = find()
        except (StorageError, ValueError):
            raise AwayError from None
        if found is None:
            raise AwayError
        return found

    def _shown(self, pointer: Pointer) -> dict[str, Any]:
        found: dict[str, Any] = {
            "kind": pointer.kind,
            **_place(self._topics[pointer.kind], pointer.partition, pointer.offset),
            "timestamp": pointer.timestamp,
        }
        if pointer.request is not None:
            found["request"] = _place(self._settings.topic(REQUESTS), *pointer.request)
        return found

    # --- remote ---

    async def _pointers(self, request_id: str) -> list[dict[str, Any]]:
        partition = self._partition(request_id)
        holder = self._holder(LEDGER, partition)
        if holder is None:
            return self.own_pointers(request_id)
        return await self._ask(holder, f"/ledger/pointers/{quote(request_id, safe='')}")

    async def _chain(self, request_id: str) -> list[dict[str, Any]]:
        holder = self._holder(LINKS, 0)
        if holder is None:
            return self.own_chain(request_id)
        return await self._ask(holder, f"/ledger/chain/{quote(request_id, safe='')}")

    def _partition(self, request_id: str) -> int:
        held = self._app.router.external_topics_metadata()
        name = self._settings.topic(LEDGER)
        partitions = sum(len(topics.get(name, ())) for topics in held.values())
        if not partitions:
            raise AwayError
        return partition_of(digest(request_id.encode()), partitions)

    def _holder(self, topic: str, partition: int) -> URL | None:
        """The worker that has the partition; None for this one."""
        name = self._settings.topic(topic)
        for url, topics in self._app.router.external_topics_metadata().items():
            if partition in topics.get(name, ()):
                return None if URL(url) == self._app.conf.canonical_url else URL(url)
        raise AwayError

    async def _ask(self, holder: URL, path: str) -> list[dict[str, Any]]:
        url = holder.join(URL(path, encoded=True))
        try:
            async with self._app.http_client.get(url, timeout=ClientTimeout(PATIENCE_SECONDS)) as answer:
                if answer.status != HTTPStatus.OK:
                    raise AwayError
                found: list[dict[str, Any]] = await answer.json()
                return found
        except (ClientError, TimeoutError, ValueError):
            raise AwayError from None


def _sorted(pointers: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Answers apart from deadlines, both oldest first."""
    return {
        "answers": [one for one in pointers if one["kind"] != "deadline"],
        "deadlines": [one for one in pointers if one["kind"] == "deadline"],
    }


def _place(topic: str, partition: int, offset: int) -> dict[str, Any]:
    return {"topic": topic, "partition": partition, "offset": offset}


def _member(member: Member) -> dict[str, Any]:
    found: dict[str, Any] = {"request_id": member.request_id, "newest": member.newest}
    if member.supersedes is not None:
        found |= {"supersedes": member.supersedes, "link": "refused" if member.refused else "stands"}
    return found
