"""However large a record or its answer is: what is said of it fits, and its partition goes on."""

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.dead_letter import DeadLetter, FieldError
from events.decode import RejectedError, decode
from events.envelope import Attributes
from events.topics import ANSWERED, CASE_EVENTS, DEAD_LETTERS, DECISIONS, LARGEST_RECORD, SHADOW
from tests.support.packaged import packaged_library
from tests.support.requests import record, request
from tests.support.sizes import size
from workers.configuration.settings import read
from workers.dead_letters.write import rejection
from workers.decide.handler import DecisionHandler
from workers.kafka.records import Headers, OutgoingRecord, PartitionListener, Record, Unreadable, name_bytes
from workers.stream.faust_internals import Chunk, Kept
from workers.stream.partition_loop import PartitionLoop
from workers.stream.partition_output import OversizedError
from workers.stream.processor import BATCHES_AT_ONCE, Turns

SETTINGS = read()
SMALLEST = 12_000
"""Bytes that a small letter has at most."""


def letter_of(one: OutgoingRecord) -> DeadLetter:
    return DeadLetter.model_validate_json(json.dumps(json.loads(one.value)["data"]))


def raw(value: bytes | None = b"v", key: bytes | None = b"k", headers: Headers = ()) -> Record:
    return Record("authorization.requests", 3, 41, -1, key, value, headers)


MANY_ERRORS = RejectedError("schema_violation", [FieldError(path="x" * 9_000, message="\U0001f600" * 900)] * 500)
LONG = Attributes(
    id="\x01" * 512, source="\x01" * 2048, specversion="1.0", type="\x01" * 512,
    correlationid="\x01" * 512, traceparent=f"01-{'1' * 32}-{'1' * 16}-01-{'x' * 900_000}",
)  # fmt: skip
MANY_ERRORS.cause = LONG.cause()
MANY_ERRORS.request_id = "\U0001f600" * 256
EXTREMES = {
    "all large": raw(b"\x00" * 1_000_000, b"\xff" * 2_000_000, (("h", b"y" * 2_000_000),)),
    "a large value": raw(b"\x00" * 2_000_000),
    "a large key": raw(b"nope", b"k" * 900_000),
    "headers": raw(b"x" * 990_000, b"k", tuple((f"h{n}", b"y" * 100_000) for n in range(9))),
    "many headers": raw(b"x" * 990_000, b"k", (("", None),) * 300_000),
    "long names": raw(b"x" * 990_000, b"k", (("\x01" * 500_000, b""), ("\udce9" * 500_000, None))),
    "what cannot be read": raw(Unreadable(b"\x00" * 2_000_000, 99, "it is damaged")),
}


@pytest.mark.parametrize("kind", EXTREMES)
@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_a_letter_fits_its_topic_whatever_it_is_about(kind: str, mode: Any) -> None:
    assert size(rejection(EXTREMES[kind], MANY_ERRORS, read(mode=mode))) <= LARGEST_RECORD


@pytest.mark.parametrize("kind", EXTREMES)
def test_a_small_letter_is_small_whatever_it_is_about(kind: str) -> None:
    assert size(rejection(EXTREMES[kind], MANY_ERRORS, SETTINGS, small=True)) <= SMALLEST


NAMES = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20) | st.binary(max_size=9).map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)
LENGTHS = st.sampled_from([0, 1, 1_024, 1_025, 300_000, 1_000_000, 1_000_001, 1_900_000])
PARTS = st.none() | st.binary(max_size=40) | LENGTHS.map(lambda length: b"\xff" * length)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=40)
@given(PARTS, PARTS, st.lists(st.tuples(NAMES, PARTS), max_size=4))
def test_a_letter_has_each_part_whole_or_cut_with_its_digest(
    value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    """A dead letter has each part whole, or its beginning with its length and digest."""
    sent = rejection(raw(value, key, tuple(headers)), RejectedError("undecodable"), SETTINGS)
    original = letter_of(sent).original
    assert size(sent) <= LARGEST_RECORD
    assert len(sent.key) <= 1_024
    for name, part in (("key", key), ("value", value)):
        kept = getattr(original, f"{name}_base64")
        begun = b64decode(kept.get_secret_value()) if kept is not None else None
        if name not in original.cut:
            assert part == begun
        else:
            assert part is not None
            assert begun is not None
            assert part.startswith(begun)
            told = getattr(original, f"{name}_bytes"), getattr(original, f"{name}_sha256")
            assert (len(part), sha256(part).hexdigest()) == told
    if "headers" in original.cut:
        assert len(headers) == original.headers_count
        assert sum(len(name_bytes(name)) + len(text or b"") for name, text in headers) == original.headers_bytes
    else:
        assert [(name_bytes(name), text) for name, text in headers] == [
            (
                b64decode(one.name_base64.get_secret_value()) if one.name_base64 else one.name.encode(),
                b64decode(one.value_base64.get_secret_value()) if one.value_base64 is not None else None,
            )
            for one in original.headers
        ]


def test_a_null_header_is_kept_as_null_and_an_empty_one_as_empty() -> None:
    found = letter_of(rejection(raw(headers=(("null", None), ("empty", b""))), RejectedError("undecodable"), SETTINGS))
    kept = [one.value_base64 and one.value_base64.get_secret_value() for one in found.original.headers]
    assert [None if one is None else one or "" for one in kept] == [None, ""]
    assert found.original.headers[0].value_base64 is None
    assert found.original.headers[1].value_base64 is not None


def test_errors_are_the_first_hundred_and_their_number() -> None:
    found = letter_of(rejection(raw(), MANY_ERRORS, SETTINGS))
    assert (len(found.errors), found.error_count) == (100, 500)


WIDE: dict[str, dict[str, Any]] = {
    "lines": {"service_lines": [1] * 300_000},
    "diagnoses": {"diagnoses": [1] * 300_000},
    "fields": {"x": {f"f{n}": 1 for n in range(60_000)}},
    "purposes": {"clinical": {"purposes": ["nonsense"] * 60_000}},
    "facts": {"clinical": {f"f{n}": 1 for n in range(60_000)}},
}


@pytest.mark.parametrize("kind", WIDE)
def test_a_list_is_bounded_before_its_items_are_looked_at(kind: str) -> None:
    handler = DecisionHandler(packaged_library(), SETTINGS)
    [sent] = handler([record(request(**WIDE[kind]))])
    found = letter_of(sent)
    assert (found.reason, 1) == ("schema_violation", len(found.errors))


# --- what Kafka refuses all the same --------------------------------------------------------------------------------


class _Limited:
    """Takes a batch unless one of its outputs is too large, as a topic with a small limit does."""

    unsettled = False

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken: list[OutgoingRecord] = []
        self.uptos: list[int] = []

    async def deliver(self, outputs: Sequence[OutgoingRecord], upto: int, note: str) -> dict[str, int]:  # noqa: ARG002
        refused = {one.topic for one in outputs if len(one.value) > self.limit}
        if refused:
            raise OversizedError(frozenset(refused))
        self.taken += outputs
        self.uptos.append(upto)
        return {}


class _Handler:
    """Sends each record's value on; a short word in place of what is too large."""

    def __call__(self, records: Sequence[Record]) -> list[OutgoingRecord]:
        return [OutgoingRecord("out", b"k", one.value or b"") for one in records]

    def instead(self, record: Record, refused: frozenset[str]) -> list[OutgoingRecord]:
        return [OutgoingRecord("letters", b"k", b"%d %s" % (record.offset, ",".join(refused).encode()))]


def through(monkeypatch: pytest.MonkeyPatch, values: Sequence[bytes], limit: int, handler: Any) -> tuple[_Limited, Any]:
    """What a loop makes of records, and why it gave up, if it did."""
    output = _Limited(limit)
    gave_up: list[str] = []

    @asynccontextmanager
    async def entered(*_: object) -> AsyncIterator[Any]:
        yield output

    async def go() -> None:
        position = 0

        async def committed(*_: object) -> tuple[int, str]:
            nonlocal position
            position = output.uptos[-1] if output.uptos else 0
            return position, ""

        async def kept(*_: object) -> Kept:
            return Kept(0, len(values))

        async def record_at(_tp: Any, offset: int) -> Record:
            return Record("in", 0, offset, 0, None, values[offset])

        async def read_from(_tp: Any, wanted: int, limit: int) -> Chunk:
            await asyncio.sleep(0)
            found = [Record("in", 0, n, 0, None, values[n]) for n in range(wanted, min(wanted + limit, len(values)))]
            return Chunk(found, wanted + len(found), 0)

        async def acquire() -> None:
            pass

        async def give_up(sentence: str) -> None:
            gave_up.append(sentence)

        thread = SimpleNamespace(committed=committed, kept=kept, record_at=record_at, read_from=read_from)
        owner: Any = SimpleNamespace(
            topic="in",
            handler=handler,
            instead=getattr(handler, "instead", None),
            max_batch=100,
            room=200,
            behind=None,
            turns=Turns(BATCHES_AT_ONCE, 5.0),
            listener=PartitionListener(),
            give_up=give_up,
            app=SimpleNamespace(
                flow_control=SimpleNamespace(acquire=acquire),
                consumer=SimpleNamespace(thread=thread),
            ),
        )
        monkeypatch.setattr("workers.stream.partition_loop.opened_output", entered)
        loop = PartitionLoop(owner, 0)
        while not gave_up and (not output.uptos or output.uptos[-1] < len(values)):  # noqa: ASYNC110 (the output says so)
            await asyncio.sleep(0.01)
        await loop.close()

    asyncio.run(asyncio.wait_for(go(), 60))
    return output, gave_up


def test_only_oversized_records_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that is too large is found and replaced, and everything else is sent once."""
    values = [b"x" * 50 if n in {0, 7, 63, 64, 199} else b"%d" % n for n in range(200)]
    output, gave_up = through(monkeypatch, values, 40, _Handler())
    assert gave_up == []
    assert [one.value for one in output.taken] == [
        b"%d out" % n if len(value) > 40 else value for n, value in enumerate(values)
    ]


def test_a_topic_that_takes_nothing_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic that takes nothing ends the worker with a sentence."""
    output, gave_up = through(monkeypatch, [b"x" * 50], 2, _Handler())
    assert output.taken == []
    assert "max.message.bytes" in gave_up[0]


def test_a_worker_without_a_short_replacement_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anything short to send instead, the worker ends with a sentence."""
    output, gave_up = through(monkeypatch, [b"1", b"x" * 50, b"2"], 40, _Handler().__call__)
    assert [one.value for one in output.taken] == [b"1"]
    assert "in-0" in gave_up[0]


def handled(delivery: str = "exactly_once") -> DecisionHandler:
    return DecisionHandler(packaged_library(), read(delivery=delivery))


@pytest.mark.parametrize("topic", [DECISIONS, DEAD_LETTERS])
def test_a_small_letter_replaces_an_oversized_decision(topic: str) -> None:
    """A small dead letter goes in place of an oversized decision, and the account balances."""
    answers = handled().instead(record(request(request_id="R-1")), frozenset({topic}))
    [sent] = answers
    found = letter_of(sent)
    assert (sent.topic, found.reason, found.request_id) == (DEAD_LETTERS, "internal_error", "R-1")
    assert found.original.cut == ("key", "value", "headers")
    assert found.original.value_sha256 == sha256(record(request(request_id="R-1")).value or b"").hexdigest()
    assert (answers.counters.rejected["internal_error"], answers.counters.oversized[topic]) == (1, 1)


def test_instead_of_a_letter_goes_a_small_one_with_its_reason() -> None:
    [sent] = handled().instead(raw(b"nope"), frozenset({DEAD_LETTERS}))
    assert letter_of(sent).reason == "undecodable"


def test_a_draft_that_says_too_much_costs_the_draft_alone() -> None:
    answers = handled().instead(record(request()), frozenset({SHADOW}))
    assert [one.topic for one in answers] == [DECISIONS, ANSWERED, CASE_EVENTS]
    assert answers.counters.shadow["failed"] == 1


def test_a_refused_answer_is_forgotten_again() -> None:
    """What was remembered before its answer was refused is forgotten again."""
    answers = handled("at_least_once").instead(record(request()), frozenset({DECISIONS}))
    assert [(one.topic, one.value is None) for one in answers] == [(ANSWERED, True), (DEAD_LETTERS, False)]


def test_an_unreadable_record_is_set_aside_with_its_offsets() -> None:
    """The record that stands for what cannot be read is set aside with its offsets."""
    [sent] = handled()([raw(Unreadable(b"kept bytes", 99, "it is damaged"))])
    found = letter_of(sent)
    assert (found.reason, found.original.offset, found.original.last_offset) == ("undecodable", 41, 99)
    assert found.original.value_base64 is not None
    assert b64decode(found.original.value_base64.get_secret_value()) == b"kept bytes"
    assert "it is damaged" in found.errors[0].message


def test_a_record_without_a_timestamp_is_decided_and_remembered() -> None:
    answers = handled()([record(request())._replace(timestamp=-1)])
    assert [one.topic for one in answers] == [DECISIONS, ANSWERED, CASE_EVENTS]


def test_a_trace_context_without_end_is_not_handed_on() -> None:
    assert LONG.cause().traceparent is None
    assert decode(record(request()).value, record(request()).headers).request
