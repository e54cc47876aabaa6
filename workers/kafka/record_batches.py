"""A tolerant parser of Kafka record batches.

A client rejects a whole batch, and with it the partition, if a header's name is not UTF-8 or a byte is wrong. This
parser reads every record that can be recognized. The rest becomes an `Unreadable` value with its offsets and raw bytes,
which readers handle like any other record.

A header's name that is not UTF-8 is decoded with `surrogateescape`.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from workers.kafka.compression import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from workers.kafka.records import Headers, Unreadable

_HEADER = struct.Struct(">qiibIhiqqqhii")
_OFFSET = struct.Struct(">q")
_LENGTH = struct.Struct(">i")
_PREFIX = _OFFSET.size + _LENGTH.size
"""Bytes of a batch not counted in its length."""
_MAGIC_AT = 16
_SMALLEST = 26
"""Bytes of the smallest batch of the oldest format: a smaller length is invalid."""
_CURRENT = 2
_CODEC = 0x07
_LOG_APPEND_TIME = 0x08
_VARINT_BITS = 70
_PLAUSIBLE = 1_000
"""Offsets that any batch may span; a larger batch may span as many as it has bytes."""

_DECOMPRESS: Mapping[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: gzip_decode,
    2: snappy_decode,
    3: lz4_decode,
    4: zstd_decode,
}


class Parsed(NamedTuple):
    """One record of a batch."""

    offset: int
    timestamp: int
    """In milliseconds since the epoch; -1 if the producer set none."""
    timestamp_type: int
    """0 if the producer set it, 1 if the broker did."""
    key: bytes | None
    value: bytes | None
    headers: Headers


class Batches:
    """Fetched bytes of a partition, split into batches, including ones with an invalid length."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.current = b""
        """The raw bytes of the last batch returned."""
        self._at = 0

    def has_next(self) -> bool:
        """Whether there is another batch; a truncated one counts only if it is the first."""
        left = len(self.raw) - self._at
        if left < _PREFIX:
            return False
        length = self._length()
        return length + _PREFIX <= left or self._at == 0

    def take(self) -> bytes:
        """The raw bytes of the next batch; everything left if its length is invalid."""
        length = self._length()
        end = self._at + _PREFIX + length if length + _PREFIX >= _SMALLEST else len(self.raw)
        self.current = self.raw[self._at : end]
        self._at = min(end, len(self.raw))
        return self.current

    @property
    def following(self) -> int | None:
        """The first offset of the next batch; None if it was not fetched."""
        if len(self.raw) - self._at < _OFFSET.size:
            return None
        found: int = _OFFSET.unpack_from(self.raw, self._at)[0]
        return found

    def _length(self) -> int:
        found: int = _LENGTH.unpack_from(self.raw, self._at + _OFFSET.size)[0]
        return found


def is_known(batch: bytes) -> bool:
    """Whether a batch claims a supported format."""
    return len(batch) > _MAGIC_AT and batch[_MAGIC_AT] <= _CURRENT


def holds(batch: bytes, offset: int) -> bool:
    """Whether a batch claims to contain an offset, so that a broker finds it there."""
    if len(batch) < _HEADER.size:
        return False
    base, *_, delta, _, _, _, _, _, _ = _HEADER.unpack_from(batch)
    return bool(base <= offset <= base + delta)


def parsed(batch: bytes, since: int) -> Iterator[Parsed]:
    """The records of one batch from an offset, damaged or not; its checksum is already verified."""
    if len(batch) < _HEADER.size or batch[_MAGIC_AT] != _CURRENT:
        yield unreadable(batch, since, since, "it is of no format that is read here")
        return
    base, _, _, _, _, attributes, delta, first_time, max_time, _, _, _, count = _HEADER.unpack_from(batch)
    appended = bool(attributes & _LOG_APPEND_TIME)
    last = base + delta
    try:
        body = _DECOMPRESS[attributes & _CODEC](batch[_HEADER.size :])
    except Exception as error:  # noqa: BLE001 (each codec fails in its own ways)
        yield unreadable(batch, max(base, since), max(last, since), f"it does not decompress: {type(error).__name__}")
        return
    at, expected = 0, base
    for _ in range(count):
        bounds = _bounds(body, at)
        if bounds is None:
            if last >= max(expected, since):
                yield unreadable(body[at:], max(expected, since), last, "its records cannot be told apart")
            return
        start, end = bounds
        try:
            record = _record(body, start, end, base, max_time if appended else first_time, appended=appended)
        except (ValueError, IndexError):
            record = unreadable(body[at:end], expected, expected, "it has not the structure of a record")
        at, expected = end, record.offset + 1
        if record.offset >= since:
            yield record


def unreadable(raw: bytes, first: int, last: int, why: str) -> Parsed:
    """A record in place of what cannot be read."""
    return Parsed(first, -1, 0, None, Unreadable(raw, last, why), ())


def spoiled(batch: bytes, following: int | None, since: int, why: str) -> Parsed | None:
    """A whole batch whose content and header cannot be trusted; None if it ends before the offset `since`.

    It spans the offsets up to the next batch, if that was fetched. Otherwise its own length counts if both fields
    agree; if not, one offset is skipped at a time, so that no good record is skipped.
    """
    base = _OFFSET.unpack_from(batch)[0] if len(batch) >= _OFFSET.size else since
    reach = max(_PLAUSIBLE, len(batch))
    if following is not None and 0 <= since - following <= reach:
        return None
    if following is not None and 0 < following - since <= reach:
        return unreadable(batch, base if since < base < following else since, following - 1, why)
    last = since
    if len(batch) >= _HEADER.size:
        *_, delta, _, _, _, _, _, count = _HEADER.unpack_from(batch)
        if count == delta + 1 and 0 <= base + delta - since <= reach:
            last = base + delta
    return unreadable(batch, since, last, why)


def _bounds(body: bytes, at: int) -> tuple[int, int] | None:
    """The start of the record's first field and its end; None if its length is invalid."""
    try:
        length, start = _varint(body, at)
    except (ValueError, IndexError):
        return None
    return (start, start + length) if 0 <= length <= len(body) - start else None


def _record(body: bytes, at: int, end: int, base: int, time: int, *, appended: bool) -> Parsed:
    _, at = _varint(body, at)  # attributes, unused
    time_delta, at = _varint(body, at)
    offset_delta, at = _varint(body, at)
    key, at = _bytes(body, at, end)
    value, at = _bytes(body, at, end)
    count, at = _varint(body, at)
    headers = []
    for _ in range(count):
        name, at = _bytes(body, at, end)
        text, at = _bytes(body, at, end)
        if name is None:
            raise ValueError("a header has no name")
        headers.append((name.decode("utf-8", "surrogateescape"), text))
    if at != end or count < 0:
        raise ValueError("a record's length is not that of its parts")
    timestamp = time if appended else time + time_delta
    return Parsed(base + offset_delta, timestamp, int(appended), key, value, tuple(headers))


def _bytes(body: bytes, at: int, end: int) -> tuple[bytes | None, int]:
    length, at = _varint(body, at)
    if length < 0:
        return None, at
    if at + length > end:
        raise ValueError("a part is longer than its record")
    return body[at : at + length], at + length


def _varint(body: bytes, at: int) -> tuple[int, int]:
    found = 0
    for shift in range(0, _VARINT_BITS, 7):
        byte = body[at]
        at += 1
        found |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return (found >> 1) ^ -(found & 1), at
    raise ValueError("a number does not end")
