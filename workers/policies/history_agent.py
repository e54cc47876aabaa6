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
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from faust.exceptions import ProducerSendError
from faust.types import TableT
from faust.web import Request, Response, View

from events.attestation import PolicyAttestation
from events.decode import LARGEST, RejectedError
from events.envelope import JSON, SPECVERSION, Attributes, write
from events.topics import DEAD_LETTERS, POLICY_ATTESTATIONS, POLICY_REVISIONS
from policy_core.compare.answers import compare
from policy_core.history.chain import policy_of
from policy_core.history.library import Knowledge
from policy_core.work_limit import TooComplexError
from workers import metrics
from workers.accounts.account import decisions_under
from workers.dead_letters.write import defect, rejection, too_large
from workers.logs import frames
from workers.policies.attestation import attestation
from workers.policies.register import Row, in_force, key_of, of_day, of_policy, row_of, with_decisions, written
from workers.policies.revision_events import Outcome, Verdict, moment
from workers.policies.revision_follower import Follower
from workers.records import OutgoingRecord, Record
from workers.settings import Settings

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 2.0
"""Before something is sent again that the broker did not take."""
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
ROUTING_KEY = "register"
"""Any key leads to the table's one partition, and so to the worker that holds it."""


def install(app: faust.App, settings: Settings, follower: Follower) -> None:
    """Add the agent, its table, its views and the follower to the app."""
    # Raw: what Faust fails to decode it acknowledges and drops before the agent sees it.
    topic = app.topic(settings.topic(POLICY_REVISIONS), partitions=1, key_serializer="raw", value_serializer="raw")
    letters = app.topic(settings.topic(DEAD_LETTERS), key_serializer="raw", value_serializer="raw")
    attested = app.topic(settings.topic(POLICY_ATTESTATIONS), key_serializer="raw", value_serializer="raw")
    sending = _Sending(letters, attested, settings)
    table = app.Table("policy-register", partitions=1, key_type=bytes, value_type=bytes)

    async def policy_history(stream: faust.StreamT[bytes]) -> AsyncIterator[bytes]:
        """Attest and keep every revision that its chain accepts; send what it refuses to the dead letters; go on."""
        # Faust would acknowledge a record also where this fails in the middle of it: its letter would never be sent.
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
    """What the agent sends because of a record: the broker has it before the record is acknowledged."""

    def __init__(self, letters: faust.TopicT, attested: faust.TopicT, settings: Settings) -> None:
        self._letters = letters
        self._attested = attested
        self._settings = settings

    async def kept(self, record: Record, verdict: Verdict) -> Row | None:
        """The row of an accepted revision, once the broker has what is sent because of it; None where there is none."""
        if verdict.outcome is Outcome.REPEATED:
            return None
        if verdict.rejected is not None:
            log.warning("revision_refused", reason=verdict.rejected.reason, offset=record.offset)
            await self._put_aside(record, verdict.rejected)
            return None
        try:
            row, outgoing = await asyncio.to_thread(_kept, verdict, self._settings)
        except Exception as error:  # noqa: BLE001 (a defect must neither stop the partition nor lose the event)
            log.error("defect", error=type(error).__name__, at=frames(error), offset=record.offset)  # noqa: TRY400 (a traceback may repeat what it choked on)
            metrics.ERRORS.labels("evaluate", type(error).__name__).inc()
            await self._put_aside(record, defect())
            return None
        if outgoing is not None and not await sent(self._attested, outgoing):
            await self._put_aside(record, too_large())
        return row

    async def _put_aside(self, record: Record, rejected: RejectedError) -> None:
        """Return once the broker has the record's letter, or, where that is too large, its smallest one."""
        whole = rejection(record, rejected, self._settings)
        while not await sent(self._letters, whole):
            metrics.OVERSIZED.labels(whole.topic).inc()
            log.error("answer_too_large", topics=[whole.topic], offset=record.offset)
            if await sent(self._letters, rejection(record, rejected, self._settings, small=True)):
                break
            await asyncio.sleep(PAUSE_SECONDS)  # a topic that takes nothing at all: an operator's to mend
        metrics.DEAD_LETTERS.labels(rejected.reason).inc()


def _kept(verdict: Verdict, settings: Settings) -> tuple[Row, OutgoingRecord | None]:
    """The row of an accepted revision, and the record that attests what it changes; none for a policy's first."""
    published, chain = verdict.publication, verdict.chain
    if published is None or chain is None:
        raise TypeError("an accepted revision has its publication and its chain")
    before = chain.before(published)
    if before is None:
        return row_of(published, None), None
    try:
        compared = compare(policy_of(before), policy_of(published))
    except TooComplexError as error:
        # Of packaged documents alone, whose past is not proved: what is accepted from others can be compared.
        log.warning("revision_not_compared", policy=published.policy, revision=str(published.revision), why=str(error))
        return row_of(published, None), None
    found = attestation(compared, before.digest, published.digest)
    found = found.model_copy(update={"corrects": published.corrects}) if published.corrects is not None else found
    return row_of(published, found), attested_record(found, settings)


def attested_record(found: PolicyAttestation, settings: Settings) -> OutgoingRecord:
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
    if len(value) > LARGEST:
        shorter = found.model_copy(update={"changes": (), "parts": (), "shortened": True})
        return attested_record(shorter, settings)
    return OutgoingRecord(settings.topic(POLICY_ATTESTATIONS), found.key, value, headers)


async def sent(topic: faust.TopicT, one: OutgoingRecord) -> bool:
    """Return True once the broker has it, however long that takes; False where it takes it for too large."""
    while True:
        try:
            await (await topic.send(key=one.key, value=one.value, headers=list(one.headers)))
        except (ProducerSendError, KafkaError, OSError) as error:
            # What the client itself turns away, Faust wraps.
            if any(isinstance(one, TOO_LARGE) for one in (error, error.__cause__, error.__context__)):
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
        # Faust has seconds, and none where nobody gave a time.
        round(message.timestamp * 1000) if message.timestamp is not None else -1,
        message.key,
        message.value,
        tuple(pairs),
    )


# --- the register on the web ---------------------------------------------------------------------------------------


def _views(app: faust.App, table: TableT[bytes, bytes], settings: Settings, known: Knowledge) -> None:
    routed = app.table_route(table=table, exact_key=ROUTING_KEY)

    def revisions(number: str) -> list[Row]:
        # A row may be of what does not count any more: it was skipped since, or the terms are others.
        counts = {one.digest for one in known.snapshot().chain(number)}
        rows = (json.loads(value) for value in table.values())
        return of_policy((one for one in rows if one["digest"] in counts), number)

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
