"""Decides what adapters read and reads what they answer, by the reader of another project."""

import io
from functools import lru_cache
from typing import NamedTuple

from pyx12.x12file import X12Reader

from events.adapters.adapter import Decided
from events.adapters.chain import Requested, resolve
from events.adapters.submission import Chain, Submission
from events.adapters.x12.adapter import X12
from events.decode import Received
from policy_core.history.library import PACKAGED, Library, load_library
from workers.decide.handler import decide

AT = 1_748_900_000_000


class Answer(NamedTuple):
    """A response, as pyx12 reads it."""

    segments: list[list[str]]
    """Every segment's name and elements, composites in the usual delimiters."""
    troubles: list[str]
    """What is wrong with its envelopes, counts, levels and segments."""

    def all(self, *begins: str) -> list[list[str]]:
        """The segments that begin so."""
        return [segment for segment in self.segments if tuple(segment[: len(begins)]) == begins]

    def loop(self, code: str, ordinal: int = 1) -> "Answer":
        """The n-th level of a kind."""
        starts = [index for index, segment in enumerate(self.segments) if segment[0] == "HL" and segment[3] == code]
        start = starts[ordinal - 1]
        ends = [i for i, segment in enumerate(self.segments) if i > start and segment[0] in ("HL", "SE")]
        return Answer(self.segments[start : ends[0]], [])


def answer(value: bytes, charset: str = "utf-8") -> Answer:
    """Reads a response."""
    reader = X12Reader(io.StringIO(value.decode(charset), newline=""))
    segments, troubles = [], []
    for segment in reader:
        text = segment.format(seg_term="", ele_term="\0", subele_term=":")
        segments.append(text.split("\0"))
        troubles += [trouble[2] for trouble in reader.pop_errors()]
    reader.cleanup()
    return Answer(segments, troubles + [trouble[2] for trouble in reader.pop_errors()])


@lru_cache(maxsize=1)
def library() -> Library:
    """The packaged policies."""
    return load_library([PACKAGED], "L.2.03.402")


def requested(submission: Submission, chain: Chain | None = None) -> Requested:
    """The request that a submission becomes."""
    found = resolve(submission, chain)
    assert isinstance(found, Requested), found
    return found


def answered(submission: Submission, chain: Chain | None = None) -> bytes:
    """The response to a submission under the packaged policies."""
    if submission.refused is not None:
        return X12.refuse(submission, submission.refused, AT)
    found = requested(submission, chain)
    return X12.answer(found.context, Decided(decide(Received(None, found.request), library()), AT))
