"""The FHIR Da Vinci PAS format: requests in, answers out."""

from datetime import date
from typing import NamedTuple

from events.adapters.adapter import Decided
from events.adapters.numbers import control_number
from events.adapters.partner import Partner
from events.adapters.pas import answering
from events.adapters.pas.answering import Json, Notes, communication_request, is_asked, response
from events.adapters.pas.canonical_form import parsed
from events.adapters.pas.received import submissions, unreadable
from events.adapters.pas.writing import Kept, errors, instant, operation_outcome, written
from events.adapters.submission import Context, Format, Refusal, Submission


class _Profiles(NamedTuple):
    bundle: str
    response: str


_SUBMIT = _Profiles("profile-pas-response-bundle", "profile-claimresponse")
_INQUIRE = _Profiles("profile-pas-inquiry-response-bundle", "profile-claiminquiryresponse")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class _PAS:
    """Implements `events.adapters.adapter.Adapter`."""

    format: Format = "pas"

    def read(self, value: bytes, partner: Partner, received: int) -> tuple[Submission, ...]:
        """The request of a record, or the inquiries of one; at least one submission."""
        try:
            found = parsed(value.removeprefix(_BYTE_ORDER_MARK))
        except ValueError:
            return (unreadable(value, partner, "should be JSON, no key twice in an object, at most 200 deep"),)
        return submissions(found, partner, received)

    def answer(self, context: Context, decided: Decided) -> bytes:
        """The Bundle with the ClaimResponse to a request that was decided."""
        return written(_decided(context, decided, _SUBMIT))

    def refuse(self, refused: Submission | Context, refusal: Refusal, at: int) -> bytes:
        """A ClaimResponse that names what is wrong; an OperationOutcome if no Claim was found.

        Empty for a message that is itself a response.
        """
        if refused.echo.get("is_answer"):
            return b""
        kept = Kept(refused.echo, refused.message)
        if not kept.is_claim:
            return written(operation_outcome(refusal))
        is_inquiry = isinstance(refused, Submission) and refused.kind == "inquire"
        profiles = _INQUIRE if is_inquiry else _SUBMIT
        resource = kept.response((), at, "error", errors(refusal), profiles.response)
        return written(kept.bundle("refusal", at, [(kept.url("refusal", "ClaimResponse"), resource)], profiles.bundle))

    def report(self, inquiry: Submission, context: Context | None, decided: Decided | None, at: int) -> bytes:
        """Parameters with the newest answer of the trace; empty ones if there is none."""
        if inquiry.refused is not None:
            return self.refuse(inquiry, inquiry.refused, at)
        if context is None or decided is None:
            return written({"resourceType": "Parameters"})
        found = _decided(context, decided, _INQUIRE)
        return written({"resourceType": "Parameters", "parameter": [{"name": "return", "resource": found}]})


PAS = _PAS()


def _decided(context: Context, decided: Decided, profiles: _Profiles) -> Json:
    kept, decision = Kept(context.echo, context.message), decided.decision
    number, own = control_number(decision.decision_id), decision.decision_id
    # An inquiry's answer has no CommunicationRequest.
    asked = [line.line for line in decision.lines if is_asked(line)] if profiles is _SUBMIT else []
    requests = {line: kept.url(own, "CommunicationRequest", str(line)) for line in asked}
    said = answering.Decided(
        decision=decision,
        number=number,
        submitted=date.fromisoformat(str(context.request["submitted_at"])[:10]),
        due=instant(decision.due_at.astimezone(kept.zone)) if decision.due_at else "",
        items=kept.items,
        cancelled=context.cancelled_lines,
        notes=Notes(),
        requests=requests,
        sayings={reference.id: reference.says for reference in decision.references},
    )
    identifiers = [answering.control_number(number)]
    resource = kept.response(identifiers, decided.timestamp, "complete", response(said), profiles.response)
    resources = [(kept.url(own, "ClaimResponse"), resource)]
    resources += [(url, communication_request(number, line, kept.named)) for line, url in requests.items()]
    return kept.bundle(own, decided.timestamp, resources, profiles.bundle)
