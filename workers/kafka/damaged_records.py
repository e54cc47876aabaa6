"""Makes both Kafka clients return every record, even damaged ones.

A client stops reading a partition at a record that it cannot read, such as record with a header name that is not UTF-8,
or at a batch with a wrong checksum. Here such a batch is read again by a more tolerant parser (`record_batches`); what
is unreadable becomes a record with an `Unreadable` value, logged and counted, which its reader turns into a dead
letter.

`stream.faust_assumptions` lists the aiokafka internals used here; this module's tests check both clients.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord, TopicPartition
from kafka.consumer import fetcher as kafka_fetcher
from kafka.consumer.fetcher import ConsumerRecord as KafkaRecord
from kafka.errors import CorruptRecordError
from kafka.record import MemoryRecords as KafkaMemoryRecords

from workers.kafka import record_batches
from workers.kafka.record_batches import Batches, Parsed
from workers.kafka.records import Unreadable
from workers.process import metrics

log = logging.getLogger(__name__)

_READ_AGAIN = 2  # refetches of a batch with a wrong checksum: it may have been damaged in transit


def patch_clients() -> None:
    """Make every consumer of this process return unreadable records too, and continue after them."""
    aiokafka_fetcher.MemoryRecords = AiokafkaBatches
    aiokafka_fetcher.PartitionRecords = AiokafkaRecords
    kafka_fetcher.MemoryRecords = KafkaBatches
    kafka_fetcher.Fetcher.PartitionRecords = KafkaRecords


def _spoiled(fetched: Batches, since: int, error: Exception) -> list[Parsed]:
    why = f"its batch is damaged: {type(error).__name__}"
    found = record_batches.spoiled(fetched.current, fetched.following, since, why)
    return [found] if found is not None else []


def _last(record: Parsed, topic: str, partition: int) -> int:
    """The last offset that a record stands for; unreadable records are logged and counted."""
    if not isinstance(record.value, Unreadable):
        return record.offset
    metrics.UNREADABLE.labels(topic).inc()
    log.error(
        "%s-%d: offsets %d to %d cannot be read and are stepped over: %s",
        *(topic, partition, record.offset, record.value.last, record.value.why),
    )
    return record.value.last


def _sizes(record: Parsed) -> list[int]:
    return [len(part) if part is not None else -1 for part in (record.key, record.value)]


# --- aiokafka ------------------------------------------------------------------------------------------------------


def _opened(batch: bytes) -> Any:
    if not record_batches.is_known(batch):  # a client would misread a later format
        raise CorruptRecordException("of a later format")
    return MemoryRecords(batch).next_batch()


def _is_whole(batch: bytes) -> bool:
    try:
        found = _opened(batch)
        return found is not None and bool(found.validate_crc())
    except Exception:  # noqa: BLE001 (no batch at all)
        return False


class AiokafkaBatches(Batches):
    """Fetched bytes for aiokafka's reader, batch by batch."""

    def size_in_bytes(self) -> int:
        """The number of bytes fetched."""
        return len(self.raw)

    def next_batch(self) -> Any:
        """The next batch.

        Raises:
            CorruptRecordException: It is not a batch.
        """
        return _opened(self.take())


class AiokafkaRecords(PartitionRecords):  # type: ignore[misc]  # aiokafka ships no types
    """aiokafka's reader of one fetch, with a tolerant parser for batches it cannot read."""

    suspects: ClassVar[Counter[tuple[TopicPartition, int]]] = Counter()
    """How often each batch was fetched with a wrong checksum."""

    def _unpack_records(self) -> Iterator[ConsumerRecord[Any, Any]]:
        while True:
            try:
                yield from super()._unpack_records()
            except Exception as error:  # noqa: BLE001 (no error may stop the partition)
                if _is_whole(self._records.current):
                    yield from self._as_records(record_batches.parsed(self._records.current, self.next_fetch_offset))
                elif self._fetched_again():
                    return
                else:
                    yield from self._as_records(_spoiled(self._records, self.next_fetch_offset, error))
            else:
                return

    def _fetched_again(self) -> bool:
        """Whether to fetch the batch again: the next fetch begins before it."""
        if not record_batches.holds(self._records.current, self.next_fetch_offset):
            return False  # with a damaged header the broker might skip it silently
        batch = self._tp, self.next_fetch_offset
        self.suspects[batch] += 1
        again = self.suspects[batch] <= _READ_AGAIN
        if not again:
            del self.suspects[batch]
        return again

    def _as_records(self, found: Iterable[Parsed]) -> Iterator[ConsumerRecord[Any, Any]]:
        topic, partition = self._tp
        for record in found:
            self.next_fetch_offset = _last(record, topic, partition) + 1
            where = topic, partition, record.offset, record.timestamp, record.timestamp_type
            yield ConsumerRecord(*where, record.key, record.value, None, *_sizes(record), record.headers)


# --- kafka-python --------------------------------------------------------------------------------------------------


class KafkaBatches(Batches):
    """Fetched bytes for kafka-python's reader."""

    def size_in_bytes(self) -> int:
        """The number of bytes fetched."""
        return len(self.raw)

    def next_batch(self) -> Any:
        """The next batch; None after the last one.

        Raises:
            CorruptRecordError: It is not a batch.
        """
        if not self.has_next():
            return None
        batch = self.take()
        if not record_batches.is_known(batch):
            raise CorruptRecordError("of a later format")
        return KafkaMemoryRecords(batch).next_batch()


class KafkaRecords(kafka_fetcher.Fetcher.PartitionRecords):  # type: ignore[misc]  # kafka-python ships no types
    """kafka-python's reader of one fetch, with the same tolerance."""

    def _unpack_records(self, tp: Any, records: KafkaBatches, *deserializers: Any) -> Iterator[Any]:
        while True:
            try:
                yield from super()._unpack_records(tp, records, *deserializers)
            except Exception as error:  # noqa: BLE001 (as above)
                whole = _is_whole(records.current)
                since = self.next_fetch_offset
                found = record_batches.parsed(records.current, since) if whole else _spoiled(records, since, error)
                yield from self._as_records(tp, found)
            else:
                return

    def _as_records(self, tp: Any, found: Iterable[Parsed]) -> Iterator[Any]:
        for record in found:
            self.next_fetch_offset = _last(record, tp.topic, tp.partition) + 1
            self.records_read += 1
            size = sum(len(name) + len(value or b"") for name, value in record.headers)
            where = tp.topic, tp.partition, self.leader_epoch, record.offset, record.timestamp, record.timestamp_type
            yield KafkaRecord(*where, record.key, record.value, list(record.headers), None, *_sizes(record), size)
