"""Reads and answers platforms' messages again: the same bytes must come of them.

    pas.requests, x12.278.requests ─► ReadMessages ─► integration.submissions
    integration.submissions ─► ResolveTraces ─► authorization.requests, integration.events
    authorization.decisions, authorization.dead-letters ─► ForwardAnswers ─► integration.events
    integration.events ─► AnswerPlatforms
    all but ForwardAnswers ─► pas.responses, x12.278.responses

The agents' handlers run over their recorded input, with what they remember kept in memory, and each record that they
would send must be among the recorded ones. Every stage starts from what was recorded, so a difference shows in the
stage that makes it. A recorded record that no stage makes is a finding too, if its cause is in this log.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from events.adapters.formats import FORMATS
from events.case_event import CarriedRecord
from events.envelope import header, is_binary, written
from events.integration_event import Answered, integration_event_of, read_of
from events.origin_headers import CAUSE, RecordPosition, place_of
from events.topics import (
    CHAINS,
    CONTEXTS,
    DEAD_LETTERS,
    DECISIONS,
    INTEGRATION_EVENTS,
    MESSAGES,
    REQUESTS,
    SUBMISSIONS,
)
from workers.configuration.settings import Settings
from workers.event_log.progress import SILENT, Reporter
from workers.event_log.source import Damage, Extent, ReplayError, Source
from workers.integration.answer_platforms import AnswerPlatforms
from workers.integration.forward_answers import ForwardAnswers
from workers.integration.partners import Partners
from workers.integration.read_messages import ReadMessages
from workers.integration.resolve_traces import ResolveTraces
from workers.kafka.records import OutgoingRecord, Record, name_bytes

MADE = (SUBMISSIONS, REQUESTS, INTEGRATION_EVENTS, *(form.responses for form in FORMATS.values()))
"""The topics whose records are made again."""
TOPICS = (*MESSAGES, REQUESTS, DECISIONS, DEAD_LETTERS)
"""The topics that are read."""

KINDS = {
    "different": "the recorded bytes differ",
    "missing": "made again, and not recorded: lost, in a damaged range, or not answered yet when the log was taken",
    "unexplained": "recorded, and nothing in this log makes it",
    "damaged": "cannot be read",
}
"""What is found."""

Handler = Callable[[Sequence[Record]], Sequence[OutgoingRecord]]


@dataclass
class Report:
    """What was found in a log."""

    messages: int = 0
    """Records that platforms sent."""
    identical: Counter[str] = field(default_factory=Counter)
    """Records made again with the same bytes, by topic."""
    before: int = 0
    """Records that depend on what happened before this log begins: they cannot be made again."""
    findings: list[dict[str, Any]] = field(default_factory=list)
    """Each with its `kind`, the stage's record and the topic of the record that is concerned; no message is shown."""

    @property
    def differs(self) -> bool:
        """Whether anything is not identical."""
        return bool(self.findings)

    def as_json(self) -> dict[str, Any]:
        """The counts."""
        found = Counter(one["kind"] for one in self.findings)
        return {
            "messages": self.messages,
            "identical": {"all": self.identical.total()} | dict(sorted(self.identical.items())),
            "before_this_log": self.before,
            **{kind: found[kind] for kind in KINDS},
        }


def verify(source: Source, settings: Settings, partners: Partners, reporter: Reporter = SILENT) -> Report:
    """Make every record of the integration agents again.

    Args:
        source: A log with all `TOPICS`.
        settings: The deployment's.
        partners: The trading partners as they were when the messages were read.
        reporter: Takes the progress.

    Raises:
        ReplayError: The log lacks topics, or cannot be read.
    """
    lacking = [name for name in TOPICS if not source.partitions(source.topic(name))]
    if lacking:
        raise ReplayError(
            f"the log has no topic {', '.join(map(source.topic, lacking))}; an archive has them if it was made with "
            "`dli archive --messages`"
        )
    # Requests are made in one mode, and compared in both: the setting may have changed.
    settings = settings.model_copy(update={"topic_prefix": source.topic(""), "mode": "structured"})
    run = _Verification(source, settings, partners, reporter)
    run.index()
    for name, handler, remembers in run.stages():
        run.make_again(name, handler, remembers=remembers)
    return run.report()


class _Recorded(NamedTuple):
    """One recorded output."""

    topic: str
    partition: int
    offset: int
    origin: str
    """The position of the record that it came from; of an event between the agents, its key."""

    def place(self) -> dict[str, Any]:
        """Where it is."""
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset}


class _Made(NamedTuple):
    """An output that is not among the recorded ones."""

    by: Record
    topic: str
    origin: str


class _Verification:
    def __init__(self, source: Source, settings: Settings, partners: Partners, reporter: Reporter) -> None:
        self._source, self._settings, self._partners, self._reporter = source, settings, partners, reporter
        self._submissions = settings.topic(SUBMISSIONS)
        self._outputs = frozenset(settings.topic(name) for name in MADE)
        self._recorded: dict[bytes, list[_Recorded]] = {}
        self._claimed: Counter[bytes] = Counter()
        self._absent: list[_Made] = []
        self._excused: set[str] = set()
        """Origins whose outputs depend on what happened before this log begins."""
        self._memories: dict[str, dict[bytes, bytes]] = {}
        self._found = Report()
        self._horizon = 0
        self._begins: dict[tuple[str, int], int] = {}
        """The first offset of each input that is not older than the horizon."""

    # --- what was recorded ---

    def index(self) -> None:
        """Read all recorded outputs, and find out from when on all topics have their records."""
        self._horizon = max(self._firsts(), default=0)
        for topic in sorted(self._outputs):
            with self._reporter.counting(topic, None) as progress:
                for record in self._records(topic):
                    found = _Recorded(topic, record.partition, record.offset, self._origin(topic, record))
                    self._recorded.setdefault(_digest(record), []).append(found)
                    progress.add(1)

    def _firsts(self) -> Iterator[int]:
        """The time of the first record of each partition whose beginning this log lacks."""
        for (topic, partition), extent in self._extents.items():
            if not extent.whole:
                first = next((record for part in self._batches(topic, partition) for record in part), None)
                if first is not None:
                    yield first.timestamp

    def _records(self, topic: str) -> Iterator[Record]:
        for partition in self._source.partitions(topic):
            for part in self._batches(topic, partition):
                yield from part

    def _batches(self, topic: str, partition: int) -> Iterator[Sequence[Record]]:
        first = self._source.extent(topic, partition).first
        for piece in self._source.read(topic, partition, first):
            if piece.damage is not None:
                self._damaged(piece.damage)
            if piece.chunk is not None:
                yield piece.chunk.records

    def _damaged(self, damage: Damage) -> None:
        """A range that cannot be read, once: what one stage sends, the next one reads."""
        if (finding := {"kind": "damaged", **damage._asdict()}) not in self._found.findings:
            self._found.findings.append(finding)

    def _origin(self, topic: str, record: Record | OutgoingRecord) -> str:
        name = topic.removeprefix(self._settings.topic_prefix)
        try:
            if name == SUBMISSIONS:
                return _position(read_of(record.value).record)
            if name == INTEGRATION_EVENTS:
                event = integration_event_of(record.value)
                return _position(event.record) if isinstance(event, Answered) else (record.key or b"").hex()
            if name == REQUESTS:
                return _causation(record)
        except (ValueError, msgspec.MsgspecError):
            return ""
        return header(record.headers, CAUSE) or ""

    # --- what is made again ---

    def stages(self) -> Iterator[tuple[str, Handler, bool]]:
        """Each stage's input, its handler, and whether it remembers earlier records of a key."""
        settings = self._settings
        for name, form in FORMATS.items():
            yield form.requests, ReadMessages(name, self._partners, settings), False
        yield SUBMISSIONS, ResolveTraces(settings, self._memory(CHAINS)), True
        yield DECISIONS, ForwardAnswers("decision", settings), False
        yield DEAD_LETTERS, ForwardAnswers("dead_letter", settings), False
        yield INTEGRATION_EVENTS, AnswerPlatforms(settings, self._memory(CONTEXTS)), True

    def _memory(self, name: str) -> Callable[[int, bytes], bytes | None]:
        memory = self._memories.setdefault(self._settings.topic(name), {})
        return lambda _partition, key: memory.get(key)

    def make_again(self, name: str, handler: Handler, *, remembers: bool) -> None:
        """Run a stage over its recorded input."""
        topic = self._settings.topic(name)
        is_raw = name in {form.requests for form in FORMATS.values()}
        with self._reporter.counting(topic, None) as progress:
            for partition in self._source.partitions(topic):
                is_whole = not remembers or self._extents[topic, partition].whole
                known: set[bytes | None] = set()
                for records in self._batches(topic, partition):
                    for record in records:
                        is_old = record.timestamp < self._horizon
                        if not is_old:
                            self._begins.setdefault((topic, partition), record.offset)
                        is_known = is_whole or record.key in known
                        self._make(record, handler, known, is_known=is_known, is_old=is_old)
                    self._found.messages += len(records) if is_raw else 0
                    progress.add(len(records))

    def _make(
        self, record: Record, handler: Handler, known: set[bytes | None], *, is_known: bool, is_old: bool
    ) -> None:
        """Compare what becomes of one record.

        Where the log lacks a partition's beginning, a key's first record may depend on earlier ones: if anything of it
        differs, or nothing comes of it, its history is before this log. What becomes of a record that is older than
        some topic's first may be before that.
        """
        absent: list[_Made] = []
        outputs = handler([record])
        for made in outputs:
            if (memory := self._memories.get(made.topic)) is not None:
                memory[made.key] = made.value
            elif made.topic in self._outputs and not self._is_recorded(made):
                absent.append(_Made(record, made.topic, self._origin(made.topic, made)))
        if is_known:
            self._absent += () if is_old else absent
            self._found.before += is_old and bool(absent)
        elif absent or not outputs:
            self._excused.add(_answered_position(record))
            self._found.before += 1
        else:
            known.add(record.key)

    def _is_recorded(self, made: OutgoingRecord) -> bool:
        for form in (made, _in_binary_mode(made)) if made.topic == self._settings.topic(REQUESTS) else (made,):
            found = _digest(form)
            # The same message twice is twice the same event: each needs a record of its own.
            if self._claimed[found] < len(self._recorded.get(found, ())):
                self._claimed[found] += 1
                self._found.identical[made.topic.removeprefix(self._settings.topic_prefix)] += 1
                return True
        return False

    # --- what that says ---

    def report(self) -> Report:
        """The findings, in the order of the stages, then what is left.

        A record that is there more often than it was made was delivered more than once.
        """
        left: dict[tuple[str, str], list[_Recorded]] = {}
        for digest, found in self._recorded.items():
            if digest not in self._claimed:
                for one in found:
                    left.setdefault((one.topic, one.origin), []).append(one)
        for made in self._absent:
            others = left.get((made.topic, made.origin))
            self._found.findings.append(
                {
                    "kind": "different" if others else "missing",
                    **made.by.position._asdict(),
                    "of": made.topic,
                    "recorded": others.pop(0).place() if others else None,
                }
            )
        for others in left.values():
            self._unexplained(others)
        return self._found

    def _unexplained(self, others: Sequence[_Recorded]) -> None:
        for one in others:
            if one.origin not in self._excused and self._is_in_log(one):
                self._found.findings.append({"kind": "unexplained", **one.place()})

    def _is_in_log(self, one: _Recorded) -> bool:
        """Whether what it came from is in this log; a request that a platform published itself came from elsewhere."""
        origin = place_of(one.origin)
        if origin is None and one.topic == self._settings.topic(INTEGRATION_EVENTS):
            return all(extent.whole for (topic, _), extent in self._extents.items() if topic == self._submissions)
        if origin is None or (origin.topic, origin.partition) not in self._begins:
            return False
        first = self._begins[origin.topic, origin.partition]
        return first <= origin.offset < self._extents[origin.topic, origin.partition].end

    @cached_property
    def _extents(self) -> Mapping[tuple[str, int], Extent]:
        topics = map(self._settings.topic, TOPICS)
        return {
            (topic, one): self._source.extent(topic, one) for topic in topics for one in self._source.partitions(topic)
        }


def _digest(record: Record | OutgoingRecord) -> bytes:
    """Of everything but the position."""
    made = blake2b(digest_size=16)
    parts = [record.topic.encode(), record.key or b"", record.value or b""]
    for name, value in record.headers:
        parts += [name_bytes(name), value or b""]
    for part in parts:
        made.update(len(part).to_bytes(4, "big") + part)
    return made.digest()


def _position(carried: CarriedRecord) -> str:
    return str(RecordPosition(carried.topic, carried.partition, carried.offset))


def _causation(record: Record | OutgoingRecord) -> str:
    """A request's cause, as it says."""
    if is_binary(record.headers):
        return header(record.headers, "ce_causationid") or ""
    return _caused.decode(record.value or b"").causationid


class _Caused(msgspec.Struct):
    causationid: str = ""


_caused: msgspec.json.Decoder[_Caused] = msgspec.json.Decoder(_Caused)
_attributes: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _in_binary_mode(made: OutgoingRecord) -> OutgoingRecord:
    """A request that was made in structured mode, as the other mode writes it."""
    fields = _attributes.decode(made.value)
    data = bytes(fields.pop("data"))
    present = {name: msgspec.json.decode(value, type=str) for name, value in fields.items()}
    value, headers = written(present, data, "binary")
    return made._replace(value=value, headers=(*headers, *made.headers[1:]))


def _answered_position(record: Record) -> str:
    """What the answers to a stage's record name as their cause."""
    try:
        if record.topic.endswith(SUBMISSIONS):
            return _position(read_of(record.value).record)
        event = integration_event_of(record.value)
    except ValueError:
        return str(record.position)
    return _position(event.record) if isinstance(event, Answered) else str(record.position)
