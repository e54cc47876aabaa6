"""What came of a counted log: for every request, how often it was answered and with which bytes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple


class Answer(NamedTuple):
    """One decision that is on the topic."""

    request: bytes
    """The record's key: the request's id."""
    digest: bytes
    """Of the record's value, envelope and all."""


class Counted(NamedTuple):
    """What came of a number of requests."""

    requests: int
    lost: int
    """Requests without an answer."""
    duplicated: int
    """Answers beyond a request's first."""
    different: int
    """Answers with other bytes than the pure decider gives."""
    foreign: int
    """Answers to what was never asked."""

    @property
    def clean(self) -> bool:
        """Whether each request has exactly one answer, and the right one."""
        return not (self.lost or self.duplicated or self.different or self.foreign)

    @property
    def repeated_at_most(self) -> bool:
        """Whether nothing is wrong but that answers came again as the same bytes."""
        return not (self.lost or self.different or self.foreign)


def digest(value: bytes) -> bytes:
    """What stands for a decision's bytes."""
    return blake2b(value, digest_size=16).digest()


def count(expected: Mapping[bytes, bytes], answers: Iterable[Answer]) -> Counted:
    """Hold the answers against the digest that each request's answer should have."""
    times: Counter[bytes] = Counter()
    different = foreign = 0
    for answer in answers:
        wanted = expected.get(answer.request)
        if wanted is None:
            foreign += 1
            continue
        times[answer.request] += 1
        different += wanted != answer.digest
    lost = len(expected) - len(times)
    return Counted(len(expected), lost, times.total() - len(times), different, foreign)
