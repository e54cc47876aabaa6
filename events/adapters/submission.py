"""What crosses the wire between the adapters: a message as it was read, and what its answer needs.

`Submission` is one message, a PAS Bundle or one transaction set of an interchange, as `Adapter.read` gives it.
`Context` is what is kept beside the canonical request so that its decisions can be answered in the sender's words.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from events.dead_letter import Reason
from events.field_types import RequestId, Sha256
from events.personal_types import Model, Private

Format = Literal["pas", "x12-278"]
Kind = Literal["submit", "inquire"]
Trouble = Literal["missing", "invalid", "no_such_day", "no_such_procedure", "no_such_provider"]
_A_LIST = Field(strict=False)


class SourceError(Model):
    """What is wrong with one field of a message; no part ever repeats a value."""

    path: str
    """The path in the canonical request, `service_lines.0.units`; empty for the whole message."""
    place: str
    """Where it stands in the message: `2010B NM108`, `Claim.item[1].quantity`."""
    trouble: Trouble
    message: str


class Refusal(Model):
    """Why a message becomes no request."""

    reason: Reason
    errors: Annotated[tuple[SourceError, ...], _A_LIST] = ()
    """In the order of the canonical request's fields."""


class Submission(Private):
    """One message as it was read."""

    format: Format
    partner: str
    configuration: Sha256
    """The digest of the partner's configuration under which it was read."""
    kind: Kind = "submit"
    message: Sha256
    """Of the message in its normalised form: equal messages are the same message."""
    trace: str | None = None
    """`{TRN03}:{TRN02}`; absent only if the message is refused before its trace is known."""
    request: Mapping[str, Any] | None = None
    """The canonical request without `request_id`, `supersedes` and `first_submitted_at`. A cancellation without lines
    has no `service_lines`: they come from its trace. Of an inquiry only the member is known. Absent if the message is
    refused."""
    follows: bool = False
    """Whether it says that it follows an earlier message of its trace."""
    cancelled_lines: Annotated[tuple[int, ...], _A_LIST] = ()
    """Lines that the message cancels although it asks for others: answered C without a decision."""
    refused: Refusal | None = None
    echo: Mapping[str, Any] = {}
    """What the answer repeats: the format's own business."""
    notes: Annotated[tuple[str, ...], _A_LIST] = ()
    """What was left out, by its place and without its value."""


class Context(Private):
    """What is kept beside a canonical request."""

    format: Format
    partner: str
    configuration: Sha256
    message: Sha256
    trace: str
    request: Mapping[str, Any]
    """The whole canonical request."""
    cancelled_lines: Annotated[tuple[int, ...], _A_LIST] = ()
    echo: Mapping[str, Any] = {}

    @property
    def request_id(self) -> str:
        """The canonical request's id."""
        return str(self.request["request_id"])


class Chain(Private):
    """What is known of one trace of one partner, for one member."""

    newest: RequestId
    """The newest request of the trace."""
    first_submitted_at: str
    service_lines: Annotated[tuple[Mapping[str, Any], ...], _A_LIST]
    """Those of the newest request."""
    messages: Annotated[tuple[Sha256, ...], _A_LIST]
    """The digest of every message of the trace."""
