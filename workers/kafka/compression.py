"""Kafka's codecs for both clients, with decompression limited to `LARGEST_BATCH`.

A batch's size on the wire is limited by its topic, but a megabyte can decompress to gigabytes. Both clients decompress
a whole batch into memory, and a worker that dies of it would read the same batch after its restart. So these bounded
decoders replace theirs. Every decoding failure is raised as the client's own error for corrupt records, which readers
handle.
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
"""Maximum decompressed size of a batch, in bytes: 32 times the largest batch of our topics."""

_XERIAL = b"\x82SNAPPY\0"
"""The magic bytes of Java's snappy framing; version and compatibility, four bytes each, follow."""
_XERIAL_HEADER = 16

Decoder = Callable[[bytes], bytes]


class UndecodableError(ValueError):
    """A batch that cannot be decompressed, or is too large decompressed."""


def gzip_decode(payload: bytes) -> bytes:
    """Decompress a gzip stream."""
    with gzip.GzipFile(fileobj=io.BytesIO(payload)) as stream:
        return _bounded(stream.read(LARGEST_BATCH + 1))


def snappy_decode(payload: bytes) -> bytes:
    """Decompress snappy, in Java's block framing or as one block, as librdkafka writes it."""
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
    # The block states its size first, and the library enforces it.
    if cramjam.snappy.decompress_raw_len(block) > room:
        raise _too_large()
    return bytes(cramjam.snappy.decompress_raw(block))


def lz4_decode(payload: bytes) -> bytes:
    """Decompress an lz4 frame."""
    with lz4.frame.LZ4FrameFile(io.BytesIO(payload)) as stream:
        return _bounded(stream.read(LARGEST_BATCH + 1))


def zstd_decode(payload: bytes) -> bytes:
    """Decompress zstd frames, including those of streaming producers, which do not state their size."""
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


def _adapted(decode: Decoder, codec: str, corrupt: type[Exception]) -> Callable[[bytes | memoryview], bytes]:
    """Adapt a decoder to a client: accepts a memoryview, and raises the client's own error."""

    @wraps(decode)
    def decoded(payload: bytes | memoryview) -> bytes:
        try:
            return decode(bytes(payload))
        except _FAILURES as error:
            # Libraries' messages may contain data.
            why = str(error) if isinstance(error, UndecodableError) else f"{type(error).__name__} in it"
            raise corrupt(f"a batch compressed with {codec} cannot be read: {why}") from None

    return decoded


DECODERS: dict[str, Decoder] = {
    "gzip": gzip_decode,
    "snappy": snappy_decode,
    "lz4": lz4_decode,
    "zstd": zstd_decode,
}
"""By the codec name of producers and topics."""

CLIENTS: dict[ModuleType, type[Exception]] = {
    aiokafka_compiled: aiokafka.errors.CorruptRecordException,
    aiokafka_compiled_legacy: aiokafka.errors.CorruptRecordException,
    aiokafka_default: aiokafka.errors.CorruptRecordException,
    aiokafka_legacy: aiokafka.errors.CorruptRecordException,
    default_records: kafka.errors.CorruptRecordError,
    legacy_records: kafka.errors.CorruptRecordError,
}
"""The modules in which clients call decoders, with the error each client raises."""


def patch_clients() -> None:
    """Make both clients use these decoders; idempotent."""
    for module, corrupt in CLIENTS.items():
        for codec, decode in DECODERS.items():
            name = f"{codec}_decode"
            # Formats before Kafka 0.11 have no zstd.
            if hasattr(module, name):
                setattr(module, name, _adapted(decode, codec, corrupt))
