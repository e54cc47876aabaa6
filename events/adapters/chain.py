"""Joins the messages of one matter: what a submission becomes, given what is known of its trace.

A trace counts within its partner and for one member only: copied identifiers never supersede another's request.
"""

from hashlib import sha256
from typing import Any, NamedTuple

from pydantic import ValidationError

from events.adapters.numbers import request_id
from events.adapters.submission import Chain, Context, Refusal, SourceError, Submission
from events.decode import field_errors
from events.field_types import instant, written_instant
from events.request import AuthorizationRequest

MOST_MESSAGES = 10_000
"""Of one trace: what is known of it must fit in a record."""


class Requested(NamedTuple):
    """A new request."""

    request: AuthorizationRequest
    context: Context
    chain: Chain
    """What is known of the trace from now on."""


class Again(NamedTuple):
    """The same message as before, or an inquiry: answered with what was decided on that request."""

    request_id: str | None
    """None if an inquiry's trace is not known."""


def chain_key(submission: Submission) -> bytes:
    """Identifies a submission's chain: its partner, trace and member.

    The submission must not be refused.
    """
    parts = (submission.partner, submission.trace or "", _member(submission))
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


def _member(submission: Submission) -> str:
    member = (submission.request or {}).get("member")
    return str(member.get("member_id", "")) if isinstance(member, dict) else ""


def resolve(submission: Submission, chain: Chain | None) -> Requested | Again | Refusal:
    """What a submission becomes. `chain` is what is known under its `chain_key`."""
    if submission.refused is not None:
        return submission.refused
    if submission.kind == "inquire":
        return Again(chain.newest if chain is not None else None)
    trace = submission.trace or ""
    this = request_id(trace, submission.message)
    if chain is not None and submission.message in chain.messages:
        return Again(this)
    if chain is not None and len(chain.messages) >= MOST_MESSAGES:
        return _refusal("request_id", f"has more than {MOST_MESSAGES:,} messages of one trace")
    asked: dict[str, Any] = {"request_id": this, **(submission.request or {})}
    if chain is not None and submission.follows:
        asked["supersedes"] = chain.newest
        if _earlier(chain.first_submitted_at, asked.get("submitted_at")):
            asked["first_submitted_at"] = chain.first_submitted_at
    if chain is not None and "service_lines" not in asked:
        asked["service_lines"] = list(chain.service_lines)
    try:
        request = AuthorizationRequest.model_validate(asked)
    except ValidationError as error:
        return Refusal(
            reason="schema_violation",
            errors=tuple(
                SourceError(
                    path=found.path,
                    place="",
                    trouble="missing" if found.message == "missing" else "invalid",
                    message=found.message,
                )
                for found in field_errors(error, AuthorizationRequest)
            ),
        )
    context = Context(
        format=submission.format,
        partner=submission.partner,
        configuration=submission.configuration,
        message=submission.message,
        trace=trace,
        request=asked,
        cancelled_lines=submission.cancelled_lines,
        echo=submission.echo,
    )
    return Requested(request, context, _continued(chain, request, asked, submission))


def _earlier(first: str, submitted: object) -> bool:
    return isinstance(submitted, str) and instant(first) < instant(submitted)


def _continued(
    chain: Chain | None, request: AuthorizationRequest, asked: dict[str, Any], submission: Submission
) -> Chain:
    joined = chain is not None and submission.follows
    return Chain(
        newest=request.request_id,
        first_submitted_at=chain.first_submitted_at if chain and joined else written_instant(request.submitted_at),
        service_lines=tuple(asked["service_lines"]),
        messages=(*(chain.messages if chain is not None else ()), submission.message),
    )


def _refusal(path: str, message: str) -> Refusal:
    return Refusal(
        reason="schema_violation", errors=(SourceError(path=path, place="", trouble="invalid", message=message),)
    )
