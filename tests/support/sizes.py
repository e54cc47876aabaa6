"""How large a record is on the wire."""

from workers.kafka.records import OutgoingRecord

BATCH_OVERHEAD = 100
"""Bytes that a batch of one record has beside its parts, at most."""


def size(one: OutgoingRecord) -> int:
    headers = sum(len(name.encode()) + len(value) + 10 for name, value in one.headers)
    return len(one.key) + len(one.value) + headers + BATCH_OVERHEAD
