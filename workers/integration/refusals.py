"""What senders are told of a message or a request that became a dead letter."""

from collections.abc import Sequence

from events.adapters.submission import Refusal, SourceError
from events.dead_letter import DeadLetter, FieldError, Reason
from events.decode import RejectedError


def undecodable(message: str) -> RejectedError:
    """The rejection of a record in which no adapter finds a message."""
    return RejectedError("undecodable", [FieldError(path="", message=message)])


def refusal_of(letter: DeadLetter) -> Refusal:
    """What a dead letter of the decision agent tells the sender."""
    return refusal_by_path(letter.reason, letter.errors)


def refusal_by_path(reason: Reason, errors: Sequence[FieldError]) -> Refusal:
    """A refusal by the paths of the canonical request alone."""
    return Refusal(
        reason=reason,
        errors=tuple(
            SourceError(
                path=error.path,
                place="",
                trouble="missing" if error.message == "missing" else "invalid",
                message=error.message,
            )
            for error in errors
        ),
    )
