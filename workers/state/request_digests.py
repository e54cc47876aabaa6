"""Digests of what must not be stored itself: request ids and request content."""

from hashlib import blake2b

DIGEST_BYTES = 16


def digest(content: bytes) -> bytes:
    """The digest of a request's id or content."""
    return blake2b(content, digest_size=DIGEST_BYTES).digest()


def partition_of(key: bytes, partitions: int) -> int:
    """The ledger partition of a request's pointers; the key is a digest and evenly distributed."""
    return int.from_bytes(key[:4], "big") % partitions
