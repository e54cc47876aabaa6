"""Verifies the decisions made from verdicts and extensions: each is made again and compared, byte for byte.

Such a decision stands behind the one that it supersedes, in the same partition, and names the position of its verdict,
which may be in any partition. So they are verified after the requests, and only where there are some: what they are
made of is gathered in a temporary database on disk, which no other process sees, and memory does not grow with the log.

    1  decisions   which were made from what
    2  verdicts    those that are named
    3  requests    those that are concerned
    4  decisions   each is made again from the one it supersedes
"""

import sqlite3
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pydantic import ValidationError

from events.decision import Decision, Trace
from events.decode import ReceivedReview, RejectedError, decode_review
from events.envelope import Headers, dumps
from events.field_types import instant_of, written_instant
from events.origin_headers import CAUSE, cause_of
from events.request_parts import RequestParts
from events.topics import DECISIONS, REQUESTS, VERDICTS
from events.typed_reader import read as read_request
from events.verdict import AuthorizationReviewed
from policy_core.evaluate.determine import Policy
from policy_core.review.actions import ADVERSE
from policy_core.review.verdicts import Reviewer, Role, adverse_problems, license_state
from workers.cases.final_decision import extended_decision, reviewed_decision
from workers.cases.handler import decision_record
from workers.configuration.settings import Settings
from workers.decide.handler import decide_parts
from workers.event_log.source import Damage, Source
from workers.kafka.records import Record
from workers.replay.documents import Documents
from workers.replay.redecide import Manner, Reading, read

NO_VERDICT = "its verdict or extension is not in the log"
NO_PREDECESSOR = "the decision that it supersedes is not in the log"
NO_REQUEST = "its request is not in the log, and the decision depends on it"
ABSENT = "made under a document that is not here: {}"
UNREADABLE = "what is recorded cannot be read as a decision"
UNREADABLE_PREDECESSOR = "the decision that it supersedes cannot be read"
REFUSED = "what it names is no verdict or extension: {}"
ELSEWHERE = "its verdict is on another request"
MAY_NOT_STAND = "its verdict may not refuse care: {}"
TWICE = "the decision that it supersedes has another successor"


class Outcome(NamedTuple):
    """What comes of one decision."""

    kind: str
    """`final_decision` if it is identical, else a kind of finding."""
    recorded: Record
    why: str | None = None
    expected: Record | None = None
    """The record as it is made again, if it can be."""


def is_reviewed(record: Record, prefix: bytes) -> bool:
    """Whether a decision was made from a verdict or an extension; `prefix` begins their positions."""
    return any(name == CAUSE and (value or b"").startswith(prefix) for name, value in record.headers)


def cause_prefix(source: Source) -> bytes:
    """How the position of every verdict begins."""
    return f"{source.topic(VERDICTS)}/".encode()


_TABLES = """
create table concerned (key blob primary key, request blob, headers blob);
create table wanted (partition integer, offset integer, value blob, time integer, headers blob, found integer,
                     primary key (partition, offset));
create table made (id text primary key, record blob, headers blob, superseded integer);
"""


class ReviewedDecisions:
    """The decisions of one partition that were made from verdicts and extensions."""

    def __init__(
        self,
        source: Source,
        partition: int,
        documents: Documents,
        settings: Settings,
        damaged: Callable[[Damage], None],
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            source: The log.
            partition: The partition of requests and decisions.
            documents: What decisions may name.
            settings: The deployment's; source and mode are taken from each record.
            damaged: Hears of what cannot be read in this partition, of verdicts too; may hear of it repeatedly.
        """
        self._source, self._partition = source, partition
        self._documents, self._settings = documents, settings
        self._prefix = cause_prefix(source)
        self._damaged = damaged

    def outcomes(self) -> Iterator[Outcome]:
        """One for each such decision, in order."""
        # Without a name: a file that goes with the connection. Its cache is bounded.
        self._database = sqlite3.connect("", isolation_level=None)
        try:
            self._database.executescript(f"pragma synchronous=off; begin; {_TABLES}")
            if not self._gather():
                return
            self._gather_verdicts()
            self._gather_requests()
            for record in self._records(DECISIONS, self._partition):
                yield from self._take(record)
        finally:
            self._database.close()

    # --- gathering ---

    def _records(self, name: str, partition: int) -> Iterator[Record]:
        source, topic = self._source, self._source.topic(name)
        if partition not in source.partitions(topic):
            return
        for piece in source.read(topic, partition, source.extent(topic, partition).first):
            # The verdicts of other partitions are read for each partition, and their damage is told once.
            if piece.damage is not None and partition == self._partition:
                self._damaged(piece.damage)
            if piece.chunk is not None:
                yield from piece.chunk.records

    def _gather(self) -> bool:
        """Note which requests and verdicts are concerned; returns whether any is."""
        some = False
        for record in self._records(DECISIONS, self._partition):
            if not is_reviewed(record, self._prefix):
                continue
            some = True
            self._database.execute("insert or ignore into concerned (key) values (?)", [record.key or b""])
            position = cause_of(record.headers)
            if position is not None:
                self._database.execute(
                    "insert or ignore into wanted (partition, offset, found) values (?, ?, 0)",
                    [position.partition, position.offset],
                )
        return some

    def _gather_verdicts(self) -> None:
        update = "update wanted set value = ?, time = ?, headers = ?, found = 1 where partition = ? and offset = ?"
        for partition in self._source.partitions(self._source.topic(VERDICTS)):
            for one in self._records(VERDICTS, partition):
                self._database.execute(
                    update, [one.value, one.timestamp, _packed(one.headers), one.partition, one.offset]
                )

    def _gather_requests(self) -> None:
        # The first request with an id is the one that was decided.
        update = "update concerned set request = ?, headers = ? where key = ? and request is null"
        for one in self._records(REQUESTS, self._partition):
            if one.key is not None:
                self._database.execute(update, [one.value, _packed(one.headers), one.key])

    # --- making again ---

    def _take(self, record: Record) -> Iterator[Outcome]:
        concerned = self._database.execute(
            "select request, headers from concerned where key = ?", [record.key or b""]
        ).fetchone()
        if concerned is None:
            return
        reading = read(record)
        if is_reviewed(record, self._prefix):
            yield self._compared(record, reading, concerned)
        decision_id = reading.data.get("decision_id")
        if isinstance(decision_id, str):
            self._database.execute(
                "insert or ignore into made values (?, ?, ?, 0)", [decision_id, record.value, _packed(record.headers)]
            )

    def _compared(self, record: Record, reading: Reading, concerned: tuple[bytes | None, bytes | None]) -> Outcome:
        try:
            made = self._parts(record, reading, _request(concerned))
            expected = made.record(record, self._settings)
        except _OtherwiseError as otherwise:
            return Outcome(otherwise.kind, record, otherwise.why)
        if (lacks := made.lacks()) is not None:
            return Outcome("different", record, lacks)
        if made.request is None and not made.stands_alone(record, expected, self._settings):
            return Outcome("not_replayable", record, NO_REQUEST)
        same = (expected.key, expected.value, expected.headers) == (record.key, record.value, record.headers)
        return Outcome("final_decision", record) if same else Outcome("different", record, None, expected)

    def _parts(self, record: Record, reading: Reading, request: RequestParts | None) -> "_Parts":
        """What the decision is made of."""
        named, before_id = reading.named(), reading.data.get("supersedes_decision")
        if named is None or reading.manner is None or not isinstance(before_id, str):
            raise _OtherwiseError("different", UNREADABLE)
        policy = self._documents.named(named)
        if policy is None:
            raise _OtherwiseError("not_replayable", ABSENT.format(named))
        verdict, before = self._verdict(record), self._predecessor(before_id)
        try:
            recorded = Decision.model_validate_json(dumps(before.data))
            received = decode_review(verdict.value, verdict.headers)
        except ValidationError:
            raise _OtherwiseError("not_replayable", UNREADABLE_PREDECESSOR) from None
        except RejectedError as rejected:
            raise _OtherwiseError("different", REFUSED.format(rejected.reason)) from None
        if received.event.request_id != recorded.request_id:
            raise _OtherwiseError("different", ELSEWHERE)
        correlation = before.attributes.get("correlationid")
        return _Parts(recorded, correlation, verdict, received, policy, request, reading.manner)

    def _verdict(self, record: Record) -> Record:
        position = cause_of(record.headers)
        found = (
            position
            and self._database.execute(
                "select value, time, headers from wanted where partition = ? and offset = ? and found = 1",
                [position.partition, position.offset],
            ).fetchone()
        )
        if position is None or found is None:
            raise _OtherwiseError("not_replayable", NO_VERDICT)
        value, time, headers = found
        return Record(position.topic, position.partition, position.offset, time, None, value, _unpacked(headers))

    def _predecessor(self, before_id: str) -> Reading:
        """The decision that is superseded, once."""
        found = self._database.execute("select record, headers, superseded from made where id = ?", [before_id])
        row = found.fetchone()
        if row is None:
            raise _OtherwiseError("not_replayable", NO_PREDECESSOR)
        value, headers, superseded = row
        if superseded:
            raise _OtherwiseError("second_decision", TWICE)
        self._database.execute("update made set superseded = 1 where id = ?", [before_id])
        return read(Record("", 0, 0, 0, None, value, _unpacked(headers)))


class _OtherwiseError(Exception):
    """It cannot be made again."""

    def __init__(self, kind: str, why: str) -> None:
        self.kind, self.why = kind, why
        super().__init__(why)


class _Parts(NamedTuple):
    """What a decision is made of."""

    recorded: Decision
    """The one that it supersedes."""
    correlation: str | None
    verdict: Record
    received: ReceivedReview
    policy: Policy
    request: RequestParts | None
    manner: Manner

    def record(self, like: Record, settings: Settings, urgency: str = "standard") -> Record:
        """The record as the case agent writes it; with this urgency if there is no request."""
        event = self.received.event
        if isinstance(event, AuthorizationReviewed):
            asked = self.request.urgency if self.request is not None else urgency
            beside = self._beside() if event.reviewer.role == "case_management" else None
            decision = reviewed_decision(self.recorded, event, self.policy, asked, beside)
            at = written_instant(event.decided_at)
        else:
            decision = extended_decision(self.recorded, event)
            at = instant_of(self.verdict.timestamp)
        manner = settings.model_copy(update={"source": self.manner.source, "mode": self.manner.mode})
        cause = self.received.attributes.cause()
        value, headers = decision_record(decision, self.verdict.position, at, cause, self.correlation, manner)
        return like._replace(key=self.recorded.request_id.encode(), value=value, headers=headers)

    def lacks(self) -> str | None:
        """What the verdict lacks to refuse care; None if nothing, or if it refuses none.

        Whatever else a case checks, such as its state, follows from the order of events, which no log of decisions has.
        """
        event = self.received.event
        if not isinstance(event, AuthorizationReviewed) or not any(line.action in ADVERSE for line in event.lines):
            return None
        reviewer = event.reviewer
        stated = Reviewer(Role(reviewer.role), reviewer.license_state, event.evaluated, event.concurrence)
        business = self.recorded.line_of_business
        problems = list(adverse_problems(stated, license_state(self.policy.document, business)))
        paths = [problem.path for problem in problems]
        if stated.role is not Role.PHYSICIAN:
            paths.insert(0, "reviewer.role")
        return MAY_NOT_STAND.format(", ".join(paths)) if paths else None

    def stands_alone(self, like: Record, expected: Record, settings: Settings) -> bool:
        """Whether the record is the same whatever the request said."""
        event = self.received.event
        if isinstance(event, AuthorizationReviewed) and event.reviewer.role == "case_management":
            return self.recorded.trace is not None
        return self.record(like, settings, "expedited") == expected

    def _beside(self) -> Trace | None:
        """The trace of the clinical statements, as the case keeps it beside an administrative determination."""
        recorded, request = self.recorded, self.request
        administrative = any(line.determination == "no_prior_authorization" for line in recorded.lines)
        if request is None or not administrative or recorded.stage == "final":
            return None
        return decide_parts(request._replace(has_prior_authorization=True), self.policy).trace


def _request(concerned: tuple[bytes | None, bytes | None]) -> RequestParts | None:
    value, headers = concerned
    if value is None or headers is None:
        return None
    try:
        return read_request(value, _unpacked(headers)).request
    except RejectedError:
        return None


def _packed(headers: Headers) -> bytes:
    return b"".join(
        len(part).to_bytes(4) + part
        for name, value in headers
        for part in (name.encode(), b"\0" if value is None else b"\1" + value)
    )


def _unpacked(packed: bytes) -> tuple[tuple[str, bytes | None], ...]:
    parts, at = [], 0
    while at < len(packed):
        length = int.from_bytes(packed[at : at + 4])
        parts.append(packed[at + 4 : at + 4 + length])
        at += 4 + length
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return tuple((name.decode(), None if value == b"\0" else value[1:]) for name, value in pairs)
