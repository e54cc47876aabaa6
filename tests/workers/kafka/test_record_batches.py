"""Whatever a record batch holds, each of its records is read or stands for itself as unreadable."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition as KafkaTopicPartition

from workers.kafka import damaged_records
from workers.kafka.record_batches import Batches, parsed
from workers.kafka.records import Unreadable

Rec = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
TP = TopicPartition("requests", 0)


def batch(base: int, records: Sequence[Rec], codec_number: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec_number, 0, -1, -1, -1, 1 << 30)
    for number, (time, key, value, headers) in enumerate(records):
        assert builder.append(number, time, key, value, headers) is not None
    return at_offset(bytes(builder.build()), base)


def at_offset(raw: bytes, base: int) -> bytes:
    return base.to_bytes(8, "big") + raw[8:]


def with_checksum(raw: bytes) -> bytes:
    """The batch with a checksum that is right again."""
    checksum: bytes = calc_crc32c(raw[21:]).to_bytes(4, "big")
    return raw[:17] + checksum + raw[21:]


def plain(count: int = 3, start: int = 0) -> list[Rec]:
    return [(1000 + n, b"k%d" % n, b"v%d" % n, [("name", b"x")]) for n in range(start, start + count)]


NAMES = st.text(max_size=12)
PARTS = st.none() | st.binary(max_size=60)
RECORDS = st.lists(
    st.tuples(st.integers(-1, 2**50), PARTS, PARTS, st.lists(st.tuples(NAMES, PARTS), max_size=4)),
    min_size=1,
    max_size=8,
)
CODECS = range(5)


@given(RECORDS, st.sampled_from(CODECS), st.integers(0, 2**40))
def test_what_a_client_reads_is_read_alike(records: list[Rec], codec_number: int, base: int) -> None:
    raw = batch(base, records, codec_number)
    expected = [
        (one.offset, one.timestamp, one.timestamp_type, one.key, one.value, tuple(one.headers))
        for one in MemoryRecords(raw).next_batch()
    ]
    assert len(records) == len(expected)
    assert expected == list(parsed(raw, 0))


def from_offset(raw: bytes, position: int) -> bytes:
    """What a broker gives: from the batch on that by its header has the offset, or a later one."""
    at = 0
    while at + 27 <= len(raw):
        base, delta = (int.from_bytes(raw[a : a + n], "big", signed=True) for a, n in ((at, 8), (at + 23, 4)))
        if base + delta >= position:
            break
        at += 12 + max(int.from_bytes(raw[at + 8 : at + 12], "big", signed=True), 15)
    return raw[at:]


def reader(fetched: damaged_records.AiokafkaBatches, position: int) -> Any:
    return damaged_records.AiokafkaRecords(TP, fetched, [], position, None, None, True, READ_COMMITTED)


def read(raw: bytes, since: int = 0, rounds: int = 10) -> list[Any]:
    """What a consumer of aiokafka hands out of a log, fetch by fetch, until it stands behind it."""
    found: list[Any] = []
    position = since
    for _ in range(rounds):
        fetched = damaged_records.AiokafkaBatches(from_offset(raw, position))
        if not fetched.has_next():
            break
        one = reader(fetched, position)
        found += [record for record in one if record.offset >= position]
        position = one.next_fetch_offset
    return found


def told(records: Iterable[Any]) -> list[tuple[int, int, bool]]:
    return [(one.offset, getattr(one.value, "last", one.offset), isinstance(one.value, Unreadable)) for one in records]


def not_utf8(raw: bytes) -> bytes:
    return with_checksum(raw.replace(b"caf?", b"caf\xe9"))


def test_a_header_name_that_is_not_utf8_keeps_its_bytes() -> None:
    """A header name that is not UTF-8 ends nothing and keeps its bytes."""
    records = [*plain(), (5, b"key", b"value", [("caf?", b"1"), ("empty", b""), ("null", None)]), *plain()]
    raw = not_utf8(batch(10, records)) + batch(17, plain())
    found = read(raw, 11, rounds=1)
    assert list(range(11, 20)) == [one.offset for one in found]
    odd = found[2]
    assert (odd.key, odd.value, odd.timestamp) == (b"key", b"value", 5)
    assert [(name.encode("utf-8", "surrogateescape"), value) for name, value in odd.headers] == [
        (b"caf\xe9", b"1"),
        (b"empty", b""),
        (b"null", None),
    ]


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 0x40]) + raw[at + 1 :]


GOOD = batch(100, plain(4))
BEHIND = batch(104, plain(2))
DAMAGES = {
    "a byte of a record": flipped(GOOD, 70),
    "the checksum": flipped(GOOD, 18),
    "the format": flipped(GOOD, 16),
    "the number of records": flipped(GOOD, 58),
    "the last offset": flipped(GOOD, 24),
    "the codec": with_checksum(flipped(GOOD[:22] + bytes([GOOD[22] | 7]) + GOOD[23:], 70)),
    "zeros": bytes(len(GOOD) - 0)[:8] + GOOD[8:12] + bytes(len(GOOD) - 12),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_only_a_damaged_batch_is_stepped_over(damage: str) -> None:
    """A damaged batch is stepped over as what it is, and nothing else is."""
    found = read(batch(98, plain(2)) + DAMAGES[damage] + BEHIND, 98, rounds=4)
    offsets = [(offset, last) for offset, last, bad in told(found) if bad]
    assert [offset for offset, _, bad in told(found) if not bad] == [98, 99, 104, 105]
    assert offsets[0][0] == 100
    assert offsets[-1][1] == 103
    assert all(before[1] + 1 == after[0] for before, after in pairwise(offsets))


@pytest.mark.parametrize("damage", sorted(DAMAGES.keys() - {"zeros"}))  # which a broker itself does not find there
def test_at_the_end_of_the_log_no_step_passes_the_batch(damage: str) -> None:
    """At the end of the log a reader never steps further than the batch."""
    found = told(read(DAMAGES[damage], 100, rounds=3))
    assert found
    assert all(offset >= 100 and last <= 103 for offset, last, _ in found)


def test_a_checksum_that_was_wrong_only_on_the_way_costs_nothing() -> None:
    def fetch(raw: bytes, position: int) -> tuple[list[Any], int]:
        one = damaged_records.AiokafkaRecords(
            TP, damaged_records.AiokafkaBatches(raw), [], position, None, None, True, READ_COMMITTED
        )
        return list(one), one.next_fetch_offset

    assert fetch(DAMAGES["a byte of a record"], 100) == ([], 100)
    again, position = fetch(GOOD, 100)
    assert ([one.offset for one in again], position) == ([100, 101, 102, 103], 104)
    damaged_records.AiokafkaRecords.suspects.clear()


def test_one_record_without_structure_costs_itself_alone() -> None:
    raw = batch(0, [*plain(2), (5, b"bad", b"0123456789", [("h", b"v")]), *plain(2)])
    at = raw.index(b"0123456789")
    found = told(read(with_checksum(raw[: at - 1] + b"\x7f" + raw[at:]), rounds=1))
    assert found == [(0, 0, False), (1, 1, False), (2, 2, True), (3, 3, False), (4, 4, False)]


def test_records_that_cannot_be_told_apart_stand_as_one() -> None:
    raw = batch(0, plain(5))
    at = raw.index(b"k2") - 5
    cut = raw[:at] + b"\xff" * 12 + raw[at + 12 :]
    found = told(read(with_checksum(cut), rounds=2))
    assert found[:2] == [(0, 0, False), (1, 1, False)]
    assert found[-1][1:] == (4, True)


@given(st.binary(max_size=300), st.integers(0, 1000))
def test_no_bytes_whatever_end_a_reader(raw: bytes, since: int) -> None:
    for one in read(raw, since, rounds=5):
        assert one.offset >= since
    assert all(one.offset >= since for one in parsed(raw, since))
    damaged_records.AiokafkaRecords.suspects.clear()


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_any_byte_may_be_wrong(at: int, by: int) -> None:
    spoiled = GOOD[:at] + bytes([GOOD[at] ^ by]) + GOOD[at + 1 :]
    found = told(read(batch(98, plain(2)) + spoiled + BEHIND, 98, rounds=12))
    assert {98, 99} <= {offset for offset, _, bad in found if not bad}
    assert not any(bad and last > 2**62 for _, last, bad in found)
    damaged_records.AiokafkaRecords.suspects.clear()


def test_batches_end_where_the_fetch_was_cut_off() -> None:
    whole = Batches(GOOD + BEHIND[:30])
    assert whole.take() == GOOD
    assert whole.following == 104
    assert not whole.has_next()


# --- kafka-python ----------------------------------------------------------------------------------------------------


def read_by_kafka_python(raw: bytes, since: int, rounds: int = 10) -> list[Any]:
    found: list[Any] = []
    position = since
    for _ in range(rounds):
        fetched = damaged_records.KafkaBatches(from_offset(raw, position))
        if not fetched.has_next():
            break
        one = damaged_records.KafkaRecords(position, KafkaTopicPartition(*TP), fetched)
        found += one.take()
        position = one.next_fetch_offset
    return found


def test_the_other_client_hands_out_the_same() -> None:
    records = [*plain(), (5, b"key", b"value", [("caf?", b"1"), ("empty", b""), ("null", None)]), *plain()]
    raw = not_utf8(batch(10, records)) + batch(17, plain())
    ours, theirs = read(raw, 11), read_by_kafka_python(raw, 11)
    assert [(one.offset, one.timestamp, one.key, one.value, tuple(one.headers)) for one in ours] == [
        (one.offset, one.timestamp, one.key, one.value, tuple(one.headers)) for one in theirs
    ]


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_other_client_steps_over_the_same(damage: str) -> None:
    raw = batch(98, plain(2)) + DAMAGES[damage] + BEHIND
    assert told(read(raw, 98)) == told(read_by_kafka_python(raw, 98))


@given(st.binary(max_size=300), st.integers(0, 1000))
def test_no_bytes_whatever_end_the_other_reader(raw: bytes, since: int) -> None:
    assert all(one.offset >= since for one in read_by_kafka_python(raw, since, rounds=5))
