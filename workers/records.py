"""The seam between Kafka and the plain functions: a record that came in, a record that is to go out.

Every agent's handler has the shape `Handler`, so how records are fetched, batched, sent and
acknowledged can change without a handler noticing.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

Headers = tuple[tuple[str, bytes], ...]


class Record(NamedTuple):
    """One record as it was read from a topic."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since the epoch, as the broker has it."""
    key: bytes | None
    value: bytes | None
    """None for a tombstone."""
    headers: Headers = ()


class Outgoing(NamedTuple):
    """One record that is to be sent."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers = ()


Handler = Callable[[Sequence[Record]], Sequence[Outgoing]]
"""Records of one partition in offset order, to all that is to be sent because of them."""
