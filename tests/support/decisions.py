"""Decisions of generated requests under the packaged policy, made without a broker."""

from collections.abc import Iterator
from functools import cache

from events.decision import Decision
from events.decode import decode
from policy_core.history.library import Library
from tests.support import generator
from tests.support.packaged import packaged_library
from workers.decide.handler import decide


@cache
def library() -> Library:
    return packaged_library()


def decided(value: bytes) -> Decision:
    return decide(decode(value, bare_allowed=True), library())


def generated(count: int = 300) -> Iterator[bytes]:
    return (generator.encode(item) for item in generator.requests(41, count))
