"""The policy-history agent, wired: every revision judged once, attested, kept in a table, shown on the web.

Whoever holds the one partition of the topic of revisions does this; what each record is, the worker's follower has
found already, as that of every other worker has. A refused one goes to the dead letters. The table is in memory and its
changelog is the truth: every start reads it, so a disk that is lost loses nothing. Workers that do not hold the table
pass questions on to the one that does.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import date
from hashlib import sha256
from typing import Any

import faust
import structlog
from faust.types import TableT
from faust.web import Request, Response, View

from events.attestation import PolicyAttestation
from events.envelope import JSON, SPECVERSION, Attributes, write
from events.topics import DEAD_LETTERS, POLICY_ATTESTATIONS, POLICY_REVISIONS
from policy_core.chain import policy_of
from policy_core.compare import compare
from workers import metrics
from workers.accounts import decisions_under
from workers.attestation import attestation
from workers.dead_letters import rejection
from workers.history.follow import Follower
from workers.records import Outgoing, Record
from workers.register import Row, in_force, key_of, of_policy, row_of, with_decisions, written
from workers.revisions import Outcome, Verdict, moment
from workers.settings import Settings

log = structlog.get_logger(__name__)

ROUTING_KEY = "register"
"""Any key leads to the table's one partition, and so to the worker that holds it."""


def install(app: faust.App, settings: Settings, follower: Follower) -> None:
    """Add the agent, its table, its views and the follower to the app."""
    # Raw: what Faust fails to decode it acknowledges and drops before the agent sees it.
    topic = app.topic(settings.topic(POLICY_REVISIONS), partitions=1, key_serializer="raw", value_serializer="raw")
    letters = app.topic(settings.topic(DEAD_LETTERS), key_serializer="raw", value_serializer="raw")
    attested = app.topic(settings.topic(POLICY_ATTESTATIONS), key_serializer="raw", value_serializer="raw")
    table = app.Table("policy-register", partitions=1, key_type=bytes, value_type=bytes)

    async def policy_history(stream: faust.StreamT[bytes]) -> AsyncIterator[bytes]:
        """Attest and keep every revision that its chain accepts; send what it refuses to the dead letters; go on."""
        async for event in stream.events():
            record = _record(event.message)
            verdict = await follower.verdict(record.offset)
            if verdict is None or verdict.outcome is Outcome.REPEATED:
                continue
            if verdict.rejected is not None:
                # Acknowledged by the broker before the next record is taken, as everything below.
                await _sent(letters, rejection(record, verdict.rejected, settings))
                metrics.DEAD_LETTERS.labels(verdict.rejected.reason).inc()
                log.warning("revision_refused", reason=verdict.rejected.reason, offset=record.offset)
                continue
            row, outgoing = await asyncio.to_thread(_kept, verdict, settings)
            if outgoing is not None:
                await _sent(attested, outgoing)
            if verdict.publication is not None:
                table[key_of(verdict.publication)] = written(row)
                yield key_of(verdict.publication)

    app.agent(topic, name="policy-history")(policy_history)
    app.task(follower.follow)
    _views(app, table, settings)


def _kept(verdict: Verdict, settings: Settings) -> tuple[Row, Outgoing | None]:
    """The row of an accepted revision, and the record that attests what it changes; none for a policy's first."""
    published, chain = verdict.publication, verdict.chain
    if published is None or chain is None:
        raise TypeError("an accepted revision has its publication and its chain")
    before = chain.before(published)
    if before is None:
        return row_of(published, None), None
    found = attestation(compare(policy_of(before), policy_of(published)), before.digest, published.digest)
    return row_of(published, found), attested_record(found, settings)


def attested_record(found: PolicyAttestation, settings: Settings) -> Outgoing:
    """The record of an attestation: the same two revisions give the same bytes."""
    attributes = Attributes(
        id=sha256(found.to_json()).hexdigest()[:32],
        source=settings.source,
        specversion=SPECVERSION,
        type=PolicyAttestation.TYPE,
        subject=found.key.decode(),
        datacontenttype=JSON,
    )
    value, headers = write(attributes, found.to_json(), settings.mode)
    return Outgoing(settings.topic(POLICY_ATTESTATIONS), found.key, value, headers)


async def _sent(topic: faust.TopicT, one: Outgoing) -> None:
    await (await topic.send(key=one.key, value=one.value, headers=list(one.headers)))


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


# --- the register on the web ---------------------------------------------------------------------------------------


def _views(app: faust.App, table: TableT[bytes, bytes], settings: Settings) -> None:
    routed = app.table_route(table=table, exact_key=ROUTING_KEY)

    def revisions(number: str) -> list[Row]:
        return of_policy((json.loads(value) for value in table.values()), number)

    @app.page("/policies/{number}/revisions")
    @routed
    async def all_revisions(view: View, _request: Request, number: str) -> Response:
        found = revisions(number)
        if not found:
            return _absent(view, f"no revision of policy {number} is known")
        counted = await asyncio.to_thread(decisions_under, settings)
        return view.json({"policy_number": number, "revisions": with_decisions(found, counted)})

    @app.page("/policies/{number}/revisions/{day}")
    @routed
    async def one_revision(view: View, _request: Request, number: str, day: str) -> Response:
        found = [one for one in revisions(number) if one["revision"] == day]
        if not found:
            return _absent(view, f"policy {number} has no revision of that date")
        counted = await asyncio.to_thread(decisions_under, settings)
        return view.json(with_decisions(found, counted)[0])

    @app.page("/policies/{number}/in-force")
    @routed
    async def revision_in_force(view: View, request: Request, number: str) -> Response:
        try:
            day = date.fromisoformat(request.query.get("on", ""))
            known_at = moment(request.query["known_at"]) if "known_at" in request.query else None
        except ValueError:
            sentence = "name a day as ?on=YYYY-MM-DD, and a day or an instant as &known_at=…"
            return view.json({"error": sentence}, status=400)
        found = in_force(revisions(number), day, known_at)
        return view.json(found) if found else _absent(view, f"no revision of policy {number} was in force on {day}")


def _absent(view: View, sentence: str) -> Response:
    return view.json({"error": sentence}, status=404)
