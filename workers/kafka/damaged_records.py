"""Every record is handed out, by the readers of both Kafka clients, whatever is wrong with it.

A client gives up a partition for good at a record that it cannot read, such as one with a header whose name is not
UTF-8, and at a batch with a wrong checksum. Here such a batch is read again with more patience (`record_batches`), and
what cannot be read at all comes as a record with an `Unreadable` value: logged, counted, for its reader to put aside.

`stream.faust_assumptions` lists what this leans on in aiokafka; the tests of this module hold both clients to it.
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

from workers import metrics
from workers.kafka import record_batches
from workers.kafka.record_batches import Batches, Parsed
from workers.records import Unreadable

log = logging.getLogger(__name__)

_READ_AGAIN = 2  # times that a batch with a wrong checksum is fetched anew: bytes may be changed on the way here, too


def install() -> None:
    """Have every consumer of this process hand out what it cannot read, too, and go on behind it."""
    aiokafka_fetcher.MemoryRecords = AiokafkaBatches
    aiokafka_fetcher.PartitionRecords = AiokafkaRecords
    kafka_fetcher.MemoryRecords = KafkaBatches
    kafka_fetcher.Fetcher.PartitionRecords = KafkaRecords


def _spoiled(fetched: Batches, since: int, error: Exception) -> list[Parsed]:
    why = f"its batch is damaged: {type(error).__name__}"
    found = record_batches.spoiled(fetched.current, fetched.following, since, why)
    return [found] if found is not None else []


def _last(one: Parsed, topic: str, partition: int) -> int:
    """The last offset that a record stands for; what stands for what cannot be read is told of."""
    if not isinstance(one.value, Unreadable):
        return one.offset
    metrics.UNREADABLE.labels(topic).inc()
    log.error(
        "%s-%d: offsets %d to %d cannot be read and are stepped over: %s",
        *(topic, partition, one.offset, one.value.last, one.value.why),
    )
    return one.value.last


def _sizes(one: Parsed) -> list[int]:
    return [len(part) if part is not None else -1 for part in (one.key, one.value)]


# --- aiokafka ------------------------------------------------------------------------------------------------------


def _opened(batch: bytes) -> Any:
    if not record_batches.is_known(batch):  # a client would read a later format as the one it knows
        raise CorruptRecordException("of a later format")
    return MemoryRecords(batch).next_batch()


def _is_whole(batch: bytes) -> bool:
    try:
        found = _opened(batch)
        return found is not None and bool(found.validate_crc())
    except Exception:  # noqa: BLE001 (no batch at all)
        return False


class AiokafkaBatches(Batches):
    """Fetched bytes as aiokafka's reader wants them: each batch is one of its own."""

    def size_in_bytes(self) -> int:
        """How much was fetched."""
        return len(self.raw)

    def next_batch(self) -> Any:
        """The next batch.

        Raises:
            CorruptRecordException: It is none.
        """
        return _opened(self.take())


class AiokafkaRecords(PartitionRecords):  # type: ignore[misc]  # aiokafka ships no types
    """aiokafka's reader of one fetch; where it gives up a batch, the batch is read with more patience."""

    suspects: ClassVar[Counter[tuple[TopicPartition, int]]] = Counter()
    """How often a batch was fetched with a wrong checksum."""

    def _unpack_records(self) -> Iterator[ConsumerRecord[Any, Any]]:
        while True:
            try:
                yield from super()._unpack_records()
            except Exception as error:  # noqa: BLE001 (whatever it is, it must not end the partition)
                if _is_whole(self._records.current):
                    yield from self._told(record_batches.parsed(self._records.current, self.next_fetch_offset))
                elif self._fetched_again():
                    return
                else:
                    yield from self._told(_spoiled(self._records, self.next_fetch_offset, error))
            else:
                return

    def _fetched_again(self) -> bool:
        """Whether the batch is to be fetched anew: the next fetch begins where this one ends, which is before it."""
        if not record_batches.holds(self._records.current, self.next_fetch_offset):
            return False  # by what it says of itself the broker may pass over it, and nobody would have heard of it
        batch = self._tp, self.next_fetch_offset
        self.suspects[batch] += 1
        again = self.suspects[batch] <= _READ_AGAIN
        if not again:
            del self.suspects[batch]
        return again

    def _told(self, found: Iterable[Parsed]) -> Iterator[ConsumerRecord[Any, Any]]:
        topic, partition = self._tp
        for one in found:
            self.next_fetch_offset = _last(one, topic, partition) + 1
            where = topic, partition, one.offset, one.timestamp, one.timestamp_type
            yield ConsumerRecord(*where, one.key, one.value, None, *_sizes(one), one.headers)


# --- kafka-python --------------------------------------------------------------------------------------------------


class KafkaBatches(Batches):
    """Fetched bytes as kafka-python's reader wants them."""

    def size_in_bytes(self) -> int:
        """How much was fetched."""
        return len(self.raw)

    def next_batch(self) -> Any:
        """The next batch; None behind the last one.

        Raises:
            CorruptRecordError: It is none.
        """
        if not self.has_next():
            return None
        batch = self.take()
        if not record_batches.is_known(batch):
            raise CorruptRecordError("of a later format")
        return KafkaMemoryRecords(batch).next_batch()


class KafkaRecords(kafka_fetcher.Fetcher.PartitionRecords):  # type: ignore[misc]  # nor does kafka-python
    """kafka-python's reader of one fetch, with the same patience."""

    def _unpack_records(self, tp: Any, records: KafkaBatches, *deserializers: Any) -> Iterator[Any]:
        while True:
            try:
                yield from super()._unpack_records(tp, records, *deserializers)
            except Exception as error:  # noqa: BLE001 (as above)
                whole = _is_whole(records.current)
                since = self.next_fetch_offset
                found = record_batches.parsed(records.current, since) if whole else _spoiled(records, since, error)
                yield from self._told(tp, found)
            else:
                return

    def _told(self, tp: Any, found: Iterable[Parsed]) -> Iterator[Any]:
        for one in found:
            self.next_fetch_offset = _last(one, tp.topic, tp.partition) + 1
            self.records_read += 1
            size = sum(len(name) + len(value or b"") for name, value in one.headers)
            where = tp.topic, tp.partition, self.leader_epoch, one.offset, one.timestamp, one.timestamp_type
            yield KafkaRecord(*where, one.key, one.value, list(one.headers), None, *_sizes(one), size)
