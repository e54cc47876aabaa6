"""Kafka's codecs for both clients: every one can be read, and no batch can take more than `LARGEST_BATCH` of memory.

A batch on the wire is bounded by its topic, but what it decompresses to is not: a megabyte can hold gigabytes of zeros.
Both clients decompress a whole batch at once, into memory, and a worker that dies of it would meet the same batch again
after its restart. So their decoders are replaced by those here, which stop at the limit. Whatever is wrong with a batch
shows as the client's own error for corrupt records, which readers know how to deal with.
"""

import gzip
import io
import struct
import zlib
from collections.abc import Callable
from functools import wraps
from types import ModuleType

import aiokafka.errors
import cramjam
import kafka.errors
import lz4.frame
import zstandard
from aiokafka.record import default_records as aiokafka_default
from aiokafka.record import legacy_records as aiokafka_legacy
from aiokafka.record._crecords import default_records as aiokafka_compiled
from aiokafka.record._crecords import legacy_records as aiokafka_compiled_legacy
from kafka.record import default_records, legacy_records

LARGEST_BATCH = 64 * 1024 * 1024
"""Bytes that a batch may decompress to: thirty-two times the largest that our topics take on the wire."""

_XERIAL = b"\x82SNAPPY\0"
"""How the framing of Java's snappy begins; four bytes each of version and compatibility follow."""
_XERIAL_HEADER = 16

Decoder = Callable[[bytes], bytes]


class UndecodableError(ValueError):
    """A batch that is not what its codec says, or decompresses to too much."""


def gzip_decode(payload: bytes) -> bytes:
    """What a gzip stream holds."""
    with gzip.GzipFile(fileobj=io.BytesIO(payload)) as stream:
        return _bounded(stream.read(LARGEST_BATCH + 1))


def snappy_decode(payload: bytes) -> bytes:
    """What snappy holds, in Java's framing of blocks or as one block, as librdkafka writes it."""
    if not payload.startswith(_XERIAL):
        return _snappy_block(payload, LARGEST_BATCH)
    whole = bytearray()
    at = _XERIAL_HEADER
    while at < len(payload):
        (size,) = struct.unpack_from("!i", payload, at)
        at += 4
        if not 0 <= size <= len(payload) - at:
            raise UndecodableError("a block of snappy ends behind the batch")
        whole += _snappy_block(payload[at : at + size], LARGEST_BATCH - len(whole))
        at += size
    return bytes(whole)


def _snappy_block(block: bytes, room: int) -> bytes:
    # It says first how much it holds, and the library holds it to that.
    if cramjam.snappy.decompress_raw_len(block) > room:
        raise _too_large()
    return bytes(cramjam.snappy.decompress_raw(block))


def lz4_decode(payload: bytes) -> bytes:
    """What a frame of lz4 holds."""
    with lz4.frame.LZ4FrameFile(io.BytesIO(payload)) as stream:
        return _bounded(stream.read(LARGEST_BATCH + 1))


def zstd_decode(payload: bytes) -> bytes:
    """What frames of zstd hold; they need not say how much that is, as those of streaming producers do not."""
    with zstandard.ZstdDecompressor().stream_reader(payload, read_across_frames=True) as stream:
        return _bounded(stream.read(LARGEST_BATCH + 1))


def _bounded(found: bytes) -> bytes:
    if len(found) > LARGEST_BATCH:
        raise _too_large()
    return found


def _too_large() -> UndecodableError:
    return UndecodableError(f"it decompresses to more than {LARGEST_BATCH:,} bytes")


_FAILURES = (
    UndecodableError,
    OSError,  # gzip.BadGzipFile is one
    EOFError,
    zlib.error,
    struct.error,
    cramjam.DecompressionError,
    zstandard.ZstdError,
    RuntimeError,  # lz4 has no error of its own
)


def _told(decode: Decoder, codec: str, corrupt: type[Exception]) -> Callable[[bytes | memoryview], bytes]:
    """The decoder as a client calls it: with a view of its buffer, and its own error for what it cannot use."""

    @wraps(decode)
    def decoded(payload: bytes | memoryview) -> bytes:
        try:
            return decode(bytes(payload))
        except _FAILURES as error:
            # Libraries' own texts may repeat what they read.
            why = str(error) if isinstance(error, UndecodableError) else f"{type(error).__name__} in it"
            raise corrupt(f"a batch compressed with {codec} cannot be read: {why}") from None

    return decoded


DECODERS: dict[str, Decoder] = {
    "gzip": gzip_decode,
    "snappy": snappy_decode,
    "lz4": lz4_decode,
    "zstd": zstd_decode,
}
"""By the name that producers and topics have for it."""

CLIENTS: dict[ModuleType, type[Exception]] = {
    aiokafka_compiled: aiokafka.errors.CorruptRecordException,
    aiokafka_compiled_legacy: aiokafka.errors.CorruptRecordException,
    aiokafka_default: aiokafka.errors.CorruptRecordException,
    aiokafka_legacy: aiokafka.errors.CorruptRecordException,
    default_records: kafka.errors.CorruptRecordError,
    legacy_records: kafka.errors.CorruptRecordError,
}
"""Where each client calls decoders, by the names that they have here, and what it raises."""


def install() -> None:
    """Have both clients decompress with what is here; again changes nothing."""
    for module, corrupt in CLIENTS.items():
        for codec, decode in DECODERS.items():
            name = f"{codec}_decode"
            # The formats from before Kafka 0.11 have no zstd.
            if hasattr(module, name):
                setattr(module, name, _told(decode, codec, corrupt))
