"""Every codec of Kafka's, read by both clients, and no batch that takes a process's memory."""

import gzip
import io
import struct
import subprocess
import sys
from types import ModuleType
from typing import Any

import aiokafka.codec
import aiokafka.errors
import cramjam
import kafka.codec
import kafka.errors
import lz4.frame
import pytest
import zstandard
from aiokafka.record import default_records as aiokafka_python
from aiokafka.record._crecords import default_records as aiokafka_compiled
from hypothesis import example, given
from hypothesis import strategies as st
from kafka.record import default_records as kafka_python

from workers.configuration.settings import read
from workers.kafka import compression, connect

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""By their numbers in a batch's attributes."""
CORRUPT = (aiokafka.errors.CorruptRecordException, kafka.errors.CorruptRecordError)
DATA = st.one_of(
    st.binary(max_size=300), st.builds(lambda one, times: one * times, st.binary(max_size=50), st.integers(0, 4_000))
)


def encoders(codec: str) -> list[Any]:
    """What both clients write of a codec."""
    return [getattr(client, f"{codec}_encode") for client in (aiokafka.codec, kafka.codec)]


@pytest.mark.parametrize("codec", CODECS)
@given(data=DATA)
def test_what_either_client_writes_is_read_back(codec: str, data: bytes) -> None:
    for encode in encoders(codec):
        assert compression.DECODERS[codec](bytes(encode(data))) == data


def _blocks(data: bytes, size: int, version: bytes = b"\0\0\0\1\0\0\0\1") -> bytes:
    """Java's framing of snappy."""
    parts = [bytes(cramjam.snappy.compress_raw(data[at : at + size])) for at in range(0, len(data), size)]
    return b"\x82SNAPPY\0" + version + b"".join(struct.pack("!i", len(one)) + one for one in parts)


def _streamed(data: bytes) -> bytes:
    """A frame of zstd that does not say how much it holds: producers that compress while they fill a batch write it."""
    sink = io.BytesIO()
    with zstandard.ZstdCompressor(write_content_size=False).stream_writer(sink, closefd=False) as stream:
        for at in range(0, len(data), 1000):
            stream.write(data[at : at + 1000])
            stream.flush()
    return sink.getvalue()


@pytest.mark.parametrize(
    ("codec", "encode"),
    [
        ("snappy", lambda data: bytes(cramjam.snappy.compress_raw(data))),
        ("snappy", lambda data: _blocks(data, 32_768)),
        ("snappy", lambda data: _blocks(data, 100, b"\1\0\0\0\1\0\0\0")),
        ("lz4", lambda data: lz4.frame.compress(data, block_linked=True, store_size=True)),
        ("lz4", lambda data: lz4.frame.compress(data, block_linked=False, store_size=False, content_checksum=True)),
        ("lz4", lambda data: lz4.frame.compress(data, block_size=lz4.frame.BLOCKSIZE_MAX4MB, block_checksum=True)),
        ("zstd", _streamed),
        ("zstd", lambda data: _streamed(data[:500]) + _streamed(data[500:])),
        ("gzip", lambda data: gzip.compress(data[:500]) + gzip.compress(data[500:])),
    ],
    ids=[
        "one block of snappy",
        "blocks of snappy",
        "small blocks of snappy, version the other way round",
        "linked blocks with their size",
        "blocks without their size",
        "large blocks with check sums",
        "zstd without its size",
        "two frames of zstd",
        "two members of gzip",
    ],
)
@pytest.mark.parametrize("size", [0, 1, 999, 100_000])
def test_every_framing_that_producers_have_is_read(codec: str, encode: Any, size: int) -> None:
    data = (b'{"request_id": "PA-1"}' * (size // 22 + 1))[:size]

    assert compression.DECODERS[codec](encode(data)) == data


# --- what cannot be read -------------------------------------------------------------------------------------------


def bomb(codec: str, megabytes: int) -> bytes:
    """Zeros, compressed without ever having them all."""
    zeros = bytes(1024 * 1024)
    if codec == "gzip":
        sink = io.BytesIO()
        with gzip.GzipFile(fileobj=sink, mode="wb") as stream:
            for _ in range(megabytes):
                stream.write(zeros)
        return sink.getvalue()
    if codec == "lz4":
        with lz4.frame.LZ4FrameCompressor() as compressor:
            parts = [compressor.begin(), *(compressor.compress(zeros) for _ in range(megabytes)), compressor.flush()]
        return b"".join(parts)
    if codec == "zstd":
        sink = io.BytesIO()
        with zstandard.ZstdCompressor().stream_writer(sink, closefd=False) as stream:
            for _ in range(megabytes):
                stream.write(zeros)
        return sink.getvalue()
    block = bytes(cramjam.snappy.compress_raw(zeros))
    return b"\x82SNAPPY\0" + b"\0\0\0\1" * 2 + (struct.pack("!i", len(block)) + block) * megabytes


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_may_decompress_to_the_limit_and_to_no_byte_more(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "LARGEST_BATCH", 10_000)
    for encode in encoders(codec):
        assert len(compression.DECODERS[codec](bytes(encode(bytes(10_000))))) == 10_000
        with pytest.raises(compression.UndecodableError, match="more than 10,000 bytes"):
            compression.DECODERS[codec](bytes(encode(bytes(10_001))))


_UNDER_A_LIMIT = """
import resource, sys
from workers.kafka import compression
payload = open(sys.argv[2], "rb").read()
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    compression.DECODERS[sys.argv[1]](payload)
except compression.UndecodableError as error:
    print(error)
"""


@pytest.mark.parametrize("codec", CODECS)
def test_a_decompression_bomb_is_refused_in_little_memory(codec: str, tmp_path: Any) -> None:
    """A gigabyte of zeros is refused by a process that has less memory."""
    (tmp_path / "bomb").write_bytes(bomb(codec, 1024))
    ran = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", _UNDER_A_LIMIT, codec, str(tmp_path / "bomb")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, "more than 67,108,864 bytes" in ran.stdout) == (0, True), ran.stderr


@given(
    codec=st.sampled_from(sorted(CODECS)), payload=st.binary(max_size=200), whole=st.booleans(), cut=st.integers(1, 40)
)
@example(codec="snappy", payload=b"\x82SNAPPY\0" + b"\0\0\0\1" * 2 + b"\x7f\xff\xff\xff", whole=False, cut=1)
@example(codec="snappy", payload=b"\x82SNAPPY\0" + b"\0\0\0\1" * 2 + b"\xff\xff\xff\xff", whole=False, cut=1)
@example(codec="snappy", payload=b"\xff\xff\xff\xff\x0f", whole=False, cut=1)
def test_a_malformed_batch_is_the_clients_own_error(codec: str, payload: bytes, whole: bool, cut: int) -> None:
    """A malformed batch gives the client's own error, which repeats nothing of its content."""
    compression.patch_clients()
    wrong = payload if not whole else bytes(encoders(codec)[0](b"Doe, Jane" + payload))[:-cut]
    for client, corrupt in zip((aiokafka_compiled, kafka_python), CORRUPT, strict=True):
        said = _refused(getattr(client, f"{codec}_decode"), wrong, corrupt)
        assert said is None or f"compressed with {codec}" in said
        assert "Jane" not in (said or "")


def _refused(decode: Any, payload: bytes, corrupt: type[Exception]) -> str | None:
    try:
        decode(payload)
    except corrupt as error:
        return str(error)
    return None  # some bytes are a batch by chance


# --- both clients --------------------------------------------------------------------------------------------------


def test_getting_into_kafka_is_what_installs_the_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (connect.client, connect.faust_arguments):
        done: list[bool] = []
        monkeypatch.setattr(compression, "patch_clients", lambda done=done: done.append(True))
        arguments(read())
        assert done == [True]


def test_every_decoder_that_a_client_calls_is_one_of_ours() -> None:
    """A client that learns another codec, or calls them from elsewhere, is noticed here."""
    compression.patch_clients()
    for module in compression.CLIENTS:
        for name in vars(module):
            if name.endswith("_decode"):
                assert getattr(module, name).__wrapped__ is compression.DECODERS[name.removesuffix("_decode")], module
    assert hasattr(aiokafka_compiled, "zstd_decode")


def batch(codec: str, values: list[bytes]) -> bytes:
    builder = aiokafka_compiled.DefaultRecordBatchBuilder(
        magic=2,
        compression_type=CODECS[codec],
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 30,
    )
    for offset, value in enumerate(values):
        builder.append(offset, timestamp=1, key=b"k", value=value, headers=[])
    return bytes(builder.build())


@pytest.mark.parametrize(
    "client", [aiokafka_compiled, aiokafka_python, kafka_python], ids=["compiled", "python", "kafka-python"]
)
@pytest.mark.parametrize("codec", CODECS)
def test_each_client_reads_each_codec_and_refuses_large_batches(
    client: ModuleType, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each client reads batches of each codec and refuses those that take too much."""
    compression.patch_clients()
    reads = getattr(client, "_DefaultRecordBatchPy", client.DefaultRecordBatch)
    values = [b"value %d" % number for number in range(50)]
    assert [one.value for one in reads(batch(codec, values))] == values

    monkeypatch.setattr(compression, "LARGEST_BATCH", 1_000)
    with pytest.raises(
        CORRUPT, match=f"compressed with {codec} cannot be read: it decompresses to more than 1,000 bytes"
    ):
        list(reads(batch(codec, [bytes(2_000)])))
