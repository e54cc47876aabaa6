"""The policy-history agent, wired: the topic of revisions into a table, the table onto the web.

Whoever holds the topic's one partition keeps the table; every other worker passes questions on to it. That worker also
publishes what the packaged documents know and the topic lacks, so that several workers starting at once agree.
"""

from collections.abc import AsyncIterator, Iterable
from datetime import date
from typing import Any

import faust
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from faust.types import TP, TableT
from faust.web import Request, Response, View

from events.decode import RejectedError
from events.revision import PolicyRevision
from events.topics import DEAD_LETTERS, POLICY_REVISIONS
from policy_core.library import Library
from workers import metrics
from workers.access import client
from workers.dead_letters import rejection
from workers.history.revisions import as_record, decode_revision, in_force, of_policy, revisions_of
from workers.records import Record
from workers.settings import Settings

log = structlog.get_logger(__name__)

ROUTING_KEY = "register"
"""Any key leads to the table's one partition, and so to the worker that holds it."""


def install(app: faust.App, settings: Settings, library: Library) -> None:
    """Add the agent, its table and its views to the app."""
    # Raw: what Faust fails to decode it acknowledges and drops before the agent sees it.
    topic = app.topic(settings.topic(POLICY_REVISIONS), partitions=1, key_serializer="raw", value_serializer="raw")
    letters = app.topic(settings.topic(DEAD_LETTERS), key_serializer="raw", value_serializer="raw")
    table = app.Table("policy-register", partitions=1, key_type=bytes, value_type=bytes)

    async def policy_history(stream: faust.StreamT[bytes]) -> AsyncIterator[bytes]:
        """Keep every revision that is well-formed; send what is not to the dead letters, and go on."""
        async for event in stream.events():
            record = _record(event.message)
            try:
                revision = decode_revision(record.value, record.headers)
            except RejectedError as rejected:
                letter = rejection(record, rejected, settings)
                await letters.send(key=letter.key, value=letter.value, headers=list(letter.headers))
                continue
            table[revision.key] = revision.to_json()
            metrics.REVISIONS_KNOWN.labels(revision.policy_number).set(
                len(of_policy(_all(table), revision.policy_number))
            )
            log.info("revision_known", policy=revision.policy_number, revision=revision.revision.isoformat())
            yield revision.key

    app.agent(topic, name="policy-history")(policy_history)
    _publish_when_assigned(app, settings, library, topic)
    _views(app, table)


def _record(message: Any) -> Record:
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Record(
        message.topic,
        message.partition,
        message.offset,
        int(message.timestamp * 1000),
        message.key,
        message.value,
        tuple((name, value or b"") for name, value in pairs),
    )


def _all(table: TableT[bytes, bytes]) -> list[PolicyRevision]:
    return [PolicyRevision.model_validate_json(value) for value in table.values()]


# --- what the packaged documents know ------------------------------------------------------------------------------


def _publish_when_assigned(app: faust.App, settings: Settings, library: Library, topic: faust.TopicT) -> None:
    name = settings.topic(POLICY_REVISIONS)

    @app.on_partitions_assigned.connect(weak=False)
    async def assigned(_app: faust.App, assigned: Iterable[TP], **_: Any) -> None:
        if TP(name, 0) in set(assigned):
            app.add_future(publish_missing())

    async def publish_missing() -> None:
        known = await _keys_on_topic(settings, name)
        for policy in library:
            for revision in revisions_of(policy):
                if revision.key not in known:
                    record = as_record(revision, name, settings.source, settings.mode)
                    await topic.send(key=record.key, value=record.value, headers=list(record.headers), partition=0)


async def _keys_on_topic(settings: Settings, name: str) -> set[bytes]:
    """The keys of every record on the topic, read by a consumer of no group."""
    partition = TopicPartition(name, 0)
    consumer = AIOKafkaConsumer(**client(settings), enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        keys: set[bytes] = set()
        while await consumer.position(partition) < end:
            found = await consumer.getmany(partition, timeout_ms=1000)
            keys.update(record.key for records in found.values() for record in records if record.key is not None)
        return keys
    finally:
        await consumer.stop()


# --- the register on the web ---------------------------------------------------------------------------------------


def _views(app: faust.App, table: TableT[bytes, bytes]) -> None:
    routed = app.table_route(table=table, exact_key=ROUTING_KEY)

    def revisions(number: str) -> list[PolicyRevision]:
        return of_policy(_all(table), number)

    @app.page("/policies/{number}/revisions")
    @routed
    async def all_revisions(view: View, _request: Request, number: str) -> Response:
        found = revisions(number)
        if not found:
            return _absent(view, f"no revision of policy {number} is known")
        return view.json({"policy_number": number, "revisions": [one.model_dump(mode="json") for one in found]})

    @app.page("/policies/{number}/revisions/{day}")
    @routed
    async def one_revision(view: View, _request: Request, number: str, day: str) -> Response:
        found = next((one for one in revisions(number) if one.revision.isoformat() == day), None)
        if found is None:
            return _absent(view, f"policy {number} has no revision of that date")
        return view.json(found.model_dump(mode="json"))

    @app.page("/policies/{number}/in-force")
    @routed
    async def revision_in_force(view: View, request: Request, number: str) -> Response:
        try:
            day = date.fromisoformat(request.query.get("on", ""))
        except ValueError:
            return view.json({"error": "name a day as ?on=YYYY-MM-DD"}, status=400)
        found = in_force(revisions(number), day)
        if found is None:
            return _absent(view, f"no revision of policy {number} was in force on {day}")
        return view.json(found.model_dump(mode="json"))


def _absent(view: View, sentence: str) -> Response:
    return view.json({"error": sentence}, status=404)
