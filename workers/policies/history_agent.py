"""The policy-history agent: attests every accepted revision, stores it in a table, and serves it over HTTP.

The worker that has the topic's one partition runs this; the verdicts come from its follower and are the same on every
worker. Refused revisions go to the dead letters. The table is in memory and rebuilt from its changelog at every start.
Workers without the table forward requests to the one that has it.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import date, datetime
from hashlib import sha256
from typing import Any

import faust
import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from faust.exceptions import ProducerSendError
from faust.types import TableT
from faust.web import Request, Response, View

from events.attestation import PolicyAttestation
from events.decode import LARGEST, RejectedError
from events.envelope import JSON, SPECVERSION, Attributes, write
from events.field_types import written_instant
from events.topics import DEAD_LETTERS, POLICY_ATTESTATIONS, POLICY_REVISIONS
from policy_core.compare.answers import compare
from policy_core.history.chain import policy_of
from policy_core.history.library import Knowledge
from policy_core.work_limit import TooComplexError
from workers.accounts.account import decisions_under
from workers.configuration.settings import Settings
from workers.dead_letters.write import defect, rejection, too_large
from workers.kafka.records import OutgoingRecord, Record
from workers.policies.attestation import attestation
from workers.policies.register import Row, in_force, key_of, of_day, of_policy, row_of, with_decisions, written
from workers.policies.revision_events import Outcome, Verdict, moment
from workers.policies.revision_follower import Follower
from workers.process import metrics
from workers.process.logs import frames

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 2.0
"""Pause before a refused record is sent again."""
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
ROUTING_KEY = "register"
"""Any key routes to the table's one partition, and so to its worker."""


def add_agent(app: faust.App, settings: Settings, follower: Follower) -> None:
    """Add the agent, its table, its views and the follower to the app."""
    # Raw: Faust acknowledges and drops what it cannot decode.
    topic = app.topic(settings.topic(POLICY_REVISIONS), partitions=1, key_serializer="raw", value_serializer="raw")
    letters = app.topic(settings.topic(DEAD_LETTERS), key_serializer="raw", value_serializer="raw")
    attested = app.topic(settings.topic(POLICY_ATTESTATIONS), key_serializer="raw", value_serializer="raw")
    sending = _Sending(letters, attested, settings)
    table = app.Table("policy-register", partitions=1, key_type=bytes, value_type=bytes)

    async def policy_history(stream: faust.StreamT[bytes]) -> AsyncIterator[bytes]:
        """Attest and store every accepted revision; send refused ones to the dead letters."""
        # Faust would acknowledge a record even if this failed midway, and its dead letter would be lost.
        stream.enable_acks = False
        async for event in stream.events():
            record = _record(event.message)
            verdict = await follower.verdict(record.offset)
            row = await sending.kept(record, verdict) if verdict is not None else None
            if verdict is not None and verdict.publication is not None and row is not None:
                table[key_of(verdict.publication)] = written(row)
                yield key_of(verdict.publication)
            event.ack()

    app.agent(topic, name="policy-history")(policy_history)
    app.task(follower.follow)
    _views(app, table, settings, follower)


class _Sending:
    """Sends the agent's output for a record before the record is acknowledged."""

    def __init__(self, letters: faust.TopicT, attested: faust.TopicT, settings: Settings) -> None:
        self._letters = letters
        self._attested = attested
        self._settings = settings

    async def kept(self, record: Record, verdict: Verdict) -> Row | None:
        """The row of an accepted revision, once its output is sent; None if refused."""
        if verdict.outcome is Outcome.REPEATED:
            return None
        if verdict.rejected is not None:
            log.warning("revision_refused", reason=verdict.rejected.reason, offset=record.offset)
            await self._put_aside(record, verdict.rejected)
            return None
        try:
            row, outgoing = await asyncio.to_thread(row_and_attestation, verdict, self._settings)
        except Exception as error:  # noqa: BLE001 (a defect must not stop the partition or lose the event)
            log.error("defect", error=type(error).__name__, at=frames(error), offset=record.offset)  # noqa: TRY400 (a traceback may contain data)
            metrics.ERRORS.labels("evaluate", type(error).__name__).inc()
            await self._put_aside(record, defect())
            return None
        if outgoing is not None and not await sent(self._attested, outgoing):
            await self._put_aside(record, too_large())
        return row

    async def _put_aside(self, record: Record, rejected: RejectedError) -> None:
        """Send the record's dead letter, or its smallest form if that is too large."""
        whole = rejection(record, rejected, self._settings)
        while not await sent(self._letters, whole):
            metrics.OVERSIZED.labels(whole.topic).inc()
            log.error("answer_too_large", topics=[whole.topic], offset=record.offset)
            if await sent(self._letters, rejection(record, rejected, self._settings, small=True)):
                break
            await asyncio.sleep(PAUSE_SECONDS)  # the topic is misconfigured: an operator must fix it
        metrics.DEAD_LETTERS.labels(rejected.reason).inc()


def row_and_attestation(verdict: Verdict, settings: Settings) -> tuple[Row, OutgoingRecord | None]:
    """The row of an accepted revision and its attestation record; the first revision has none."""
    published, chain = verdict.publication, verdict.chain
    if published is None or chain is None:
        raise TypeError("an accepted revision has its publication and its chain")
    before = chain.before(published)
    if before is None:
        return row_of(published, None), None
    try:
        compared = compare(policy_of(before), policy_of(published))
    except TooComplexError as error:
        # Only packaged documents may have unproven history; other accepted ones can be compared.
        log.warning("revision_not_compared", policy=published.policy, revision=str(published.revision), why=str(error))
        return row_of(published, None), None
    found = attestation(compared, before.digest, published.digest)
    found = found.model_copy(update={"corrects": published.corrects}) if published.corrects is not None else found
    return row_of(published, found), attested_record(found, published.published, settings)


def attested_record(found: PolicyAttestation, published: datetime, settings: Settings) -> OutgoingRecord:
    """The record of an attestation of the revision published then; deterministic."""
    attributes = Attributes(
        id=sha256(found.to_json()).hexdigest()[:32],
        source=settings.source,
        specversion=SPECVERSION,
        type=PolicyAttestation.TYPE,
        subject=found.key.decode(),
        datacontenttype=JSON,
    )
    value, headers = write(attributes, written_instant(published), found.to_json(), settings.mode)
    if len(value) > LARGEST:
        shorter = found.model_copy(update={"changes": (), "parts": (), "shortened": True})
        return attested_record(shorter, published, settings)
    return OutgoingRecord(settings.topic(POLICY_ATTESTATIONS), found.key, value, headers)


async def sent(topic: faust.TopicT, record: OutgoingRecord) -> bool:
    """Retry until the broker has the record; False if it is too large."""
    while True:
        try:
            await (await topic.send(key=record.key, value=record.value, headers=list(record.headers)))
        except (ProducerSendError, KafkaError, OSError) as error:
            # Faust wraps errors of the client itself.
            if any(isinstance(cause, TOO_LARGE) for cause in (error, error.__cause__, error.__context__)):
                return False
            log.warning("answer_not_sent", error=type(error).__name__, next_try_in_seconds=PAUSE_SECONDS)
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return True


def _record(message: Any) -> Record:
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Record(
        message.topic,
        message.partition,
        message.offset,
        # Faust uses seconds, or None without a timestamp.
        round(message.timestamp * 1000) if message.timestamp is not None else -1,
        message.key,
        message.value,
        tuple(pairs),
    )


# --- the register on the web ---------------------------------------------------------------------------------------


def _views(app: faust.App, table: TableT[bytes, bytes], settings: Settings, known: Knowledge) -> None:
    routed = app.table_route(table=table, exact_key=ROUTING_KEY)

    def revisions(number: str) -> list[Row]:
        # A row may be obsolete: skipped since, or the terms have changed.
        counts = {revision.digest for revision in known.snapshot().chain(number)}
        rows = (json.loads(value) for value in table.values())
        return of_policy((row for row in rows if row["digest"] in counts), number)

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
        found = of_day(revisions(number), day)
        if found is None:
            return _absent(view, f"policy {number} has no revision of that date")
        counted = await asyncio.to_thread(decisions_under, settings)
        return view.json(with_decisions([found], counted)[0])

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
