"""Decides what the PAS adapter reads and reads what it answers, by the reader of another project."""

from functools import lru_cache

import fhirkit

from events.adapters.adapter import Decided
from events.adapters.chain import Requested, resolve
from events.adapters.pas.adapter import PAS
from events.adapters.submission import Chain, Submission
from events.decode import Received
from policy_core.history.library import PACKAGED, Library, load_library
from workers.decide.handler import decide

AT = 1_748_900_000_000


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
        return PAS.refuse(submission, submission.refused, AT)
    found = requested(submission, chain)
    return PAS.answer(found.context, Decided(decide(Received(None, found.request), library()), AT))


def first_answer(submission: Submission) -> bytes | None:
    """The response to whatever was read, as the first of its trace.

    None for a cancellation without lines, which takes them from its trace.
    """
    if submission.kind == "inquire":
        return PAS.report(submission, None, None, AT)
    if submission.refused is None and "service_lines" not in (submission.request or {}):
        return None
    return answered(submission)


def troubles(response: bytes) -> list[str]:
    """What another project's reader of R4 finds wrong with a response."""
    return [f"{issue.path}: {issue.message}" for issue in fhirkit.validate(response)]
