"""What a PAS message becomes: a request, or a refusal with everything that is wrong with it."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from events.adapters.canonical import canonical_errors
from events.adapters.partner import Partner
from events.adapters.pas import reading
from events.adapters.pas.bundle import Bundle, Tree, obj, objects, text
from events.adapters.pas.canonical_form import Parsed, digest
from events.adapters.pas.clinical_answers import Answers, answers
from events.adapters.pas.kept import echo
from events.adapters.pas.reading import Line, Message, Wrong
from events.adapters.pas.table import FIELDS, LINE_FIELDS
from events.adapters.submission import Kind, Refusal, SourceError, Submission, Trouble
from events.dead_letter import Reason
from events.request import MOST_LINES, AuthorizationRequest

_MOST_NOTES = 100


def unreadable(value: bytes, partner: Partner, message: str) -> Submission:
    """A record that is no JSON."""
    wrong = {"": Wrong("", "invalid", message)}
    return _submission(partner, sha256(value).hexdigest(), refused=_refusal("undecodable", wrong))


def submissions(found: Parsed, partner: Partner, received: int) -> tuple[Submission, ...]:
    """What a parsed record becomes: a request, or an inquiry for each Bundle of Parameters."""
    tree = found.tree
    if text(obj(tree).get("resourceType")) != "Parameters":
        return (_one(found, partner, received, "inquire" if _is_inquiry(obj(tree)) else "submit"),)
    given = objects(obj(tree).get("parameter"))
    bundles = [one["resource"] for one in given if isinstance(one.get("resource"), dict)]
    if not bundles:
        wrong = {"": Wrong("Parameters.parameter", "missing", "should have a Bundle")}
        refused = _refusal("unsupported_type", wrong)
        return (_submission(partner, found.digest, kind="inquire", refused=refused),)
    return tuple(_one(Parsed(bundle, digest(bundle)), partner, received, "inquire") for bundle in bundles)


def _is_inquiry(bundle: Tree) -> bool:
    given = bundle.get("entry")
    first = obj(obj(given[0]).get("resource")) if isinstance(given, list) and given else {}
    for resource in (bundle, first):
        profiles = obj(resource.get("meta")).get("profile")
        if isinstance(profiles, list) and any("inquiry" in text(one) for one in profiles):
            return True
    return False


def _one(found: Parsed, partner: Partner, received: int, kind: Kind) -> Submission:
    tree, own = found
    if text(obj(tree).get("resourceType")) != "Bundle":
        wrong = Wrong("resourceType", "invalid", "should be Bundle")
        return _unsupported(partner, own, kind, wrong, is_answer=text(obj(tree).get("resourceType")) in _ANSWERS)
    bundle = Bundle(obj(tree))
    claim = bundle.first
    if claim is None or claim.type != "Claim":
        wrong = Wrong("Bundle.entry[0]", "invalid", "should be a Claim")
        return _unsupported(partner, own, kind, wrong, is_answer=claim is not None and claim.type in _ANSWERS)
    message = Message(bundle, claim, received)
    if text(claim.resource.get("use")) != "preauthorization":
        return _unsupported(partner, own, kind, Wrong("Claim.use", "invalid", "should be preauthorization"))
    trace = reading.trace(message)
    read = _inquiry(message, trace) if kind == "inquire" else _read(message, partner, trace)
    return _submission(
        partner,
        own,
        kind=kind,
        trace=trace,
        request=read.request if read.refused is None else None,
        follows=kind == "submit" and read.refused is None and reading.follows(message, read.request["certification"]),
        cancelled_lines=read.cancelled,
        refused=read.refused,
        echo=echo(message, partner, own),
        notes=tuple(read.notes)[:_MOST_NOTES],
    )


_ANSWERS = ("ClaimResponse", "OperationOutcome")
"""What platforms answer with: two that answered each other's answers would never end."""


def _unsupported(partner: Partner, own: str, kind: Kind, wrong: Wrong, *, is_answer: bool = False) -> Submission:
    kept = {"zone": partner.time_zone} | ({"is_answer": True} if is_answer else {})
    return _submission(partner, own, kind=kind, refused=_refusal("unsupported_type", {"": wrong}), echo=kept)


@lru_cache(maxsize=64)
def _digest(partner: Partner) -> str:
    return partner.digest


def _submission(partner: Partner, own: str, **fields: Any) -> Submission:
    fields.setdefault("echo", {"zone": partner.time_zone})
    return Submission(format="pas", partner=partner.name, configuration=_digest(partner), message=own, **fields)


class _Read(NamedTuple):
    request: dict[str, Any]
    refused: Refusal | None
    cancelled: tuple[int, ...] = ()
    notes: Sequence[str] = ()


_NO_TRACE = Wrong("Claim.identifier", "missing", "should have a trace: an identifier with its organization")
_NO_PATIENT = Wrong("Claim.patient", "missing", "missing: a Claim names its patient")


def _lacking(message: Message, trace: str | None) -> dict[str, Wrong]:
    """What every Claim must have: a trace, and a patient, even where the coverage has a member's number."""
    wrong = {"request_id": _NO_TRACE} if trace is None else {}
    if not obj(message.claim.resource.get("patient")):
        wrong["member.member_id"] = _NO_PATIENT
    return wrong


def _inquiry(message: Message, trace: str | None) -> _Read:
    member = message.member_id
    wrong = _lacking(message, trace)
    if member is None and "member.member_id" not in wrong:
        wrong["member.member_id"] = Wrong("Patient.identifier", "missing", "missing")
    if wrong:
        return _Read({}, _refusal("schema_violation", wrong))
    return _Read({"member": {"member_id": member}}, None)


def _read(message: Message, partner: Partner, trace: str | None) -> _Read:
    wrong: dict[str, Wrong] = {}
    request: dict[str, Any] = {}
    _take_fields(message, partner, request, wrong)
    if "member_id" not in request.get("member", {}):
        wrong.pop("member.line_of_business", None)  # which follows from the id
    wrong |= _lacking(message, trace)
    coded = reading.coded(message)
    stated = reading.diagnoses(coded)
    if stated:
        request["diagnoses"] = [{"system": one.system, "code": one.code} for one in stated]
    # Without a time of submission the message is refused.
    past = reading.past_procedures(message, str(request.get("submitted_at", ""))[:10])
    if done := [one for one in past if one.read is not None]:
        request["procedures"] = [one.read for one in done]
    said = answers(message, partner)
    is_cancellation = request.get("certification") == "cancellation"
    asked, cancelled = _asked(message, is_cancellation)
    lines = asked[: MOST_LINES + 1]
    if lines:
        request["service_lines"] = [
            _line(message, line, partner, f"service_lines.{index}", said, wrong) for index, line in enumerate(lines)
        ]
    elif is_cancellation and (prior := _prior_lines(message, partner)):
        request["service_lines"] = prior
    wrong |= said.wrong
    if said.clinical:
        request["clinical"] = said.clinical
    places = _Places(stated, [one.place for one in done], lines)
    found = {error.path: error for error in canonical_errors(request, places.of, lines_follow=is_cancellation)}
    if not wrong and not found:
        return _Read(request, None, cancelled, _notes(message, said, coded, past))
    return _Read({}, _merged(found, wrong), cancelled, _notes(message, said, coded, past))


def _take_fields(message: Message, partner: Partner, request: dict[str, Any], wrong: dict[str, Wrong]) -> None:
    for field, (outer, inner) in _PATHS:
        value = field.read(message, partner)
        if isinstance(value, Wrong):
            wrong[field.path] = value
        elif value is not None and inner:
            request.setdefault(outer, {})[inner] = value
        elif value is not None:
            request[outer] = value


_PATHS = [(field, field.path.partition(".")[::2]) for field in FIELDS]


def _asked(message: Message, is_cancellation: bool) -> tuple[list[Line], tuple[int, ...]]:
    """The items that are asked for, and the numbers of those that are cancelled beside them."""
    lines = message.items
    if is_cancellation:
        return lines, ()
    cancelled = [line.sequence for line in lines if line.is_cancelled]
    return [line for line in lines if not line.is_cancelled], tuple(one for one in cancelled if one)


def _prior_lines(message: Message, partner: Partner) -> list[dict[str, Any]]:
    """The lines of the Claim that is cancelled; none if the Bundle has no such Claim, or not all can be read."""
    prior = reading.prior_claim(message)
    if prior is None:
        return []
    wrong: dict[str, Wrong] = {}
    asked = [line for line in reading.items(prior) if not line.is_cancelled]
    lines = [_line(message, line, partner, "", Answers({}, {}, {}, []), wrong) for line in asked[:MOST_LINES]]
    is_whole = not wrong and all({"line", "units", "service_date"} <= line.keys() for line in lines)
    is_each_once = len({line.get("line") for line in lines}) == len(lines)
    return lines if is_whole and is_each_once else []


def _line(
    message: Message, line: Line, partner: Partner, path: str, said: Answers, wrong: dict[str, Wrong]
) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for field in LINE_FIELDS:
        value = field.read(message, line, partner)
        if isinstance(value, Wrong):
            wrong[f"{path}.{field.path}"] = value
        elif field.path == "code":
            read["system"], read["code"] = value
        elif value is not None:
            read[field.path] = value
    if (number := line.sequence) is not None and number in said.performed_on:
        read["performed_on"] = said.performed_on[number]
    return read


def _merged(found: Mapping[str, SourceError], wrong: Mapping[str, Wrong]) -> Refusal:
    """Everything that is wrong, once for each field."""
    ours = {path: _error(path, one) for path, one in wrong.items()}
    theirs = {
        path: error.model_copy(update={"trouble": _trouble(error)})
        for path, error in found.items()
        if not _follows_from(path, ours)
    }
    both = sorted((theirs | ours).values(), key=lambda error: _order(error.path))
    return Refusal(reason="schema_violation", errors=tuple(both))


def _follows_from(path: str, ours: Mapping[str, SourceError]) -> bool:
    # Where the code is wrong its system is unknown, and where the member is, so is their line of business.
    if path == "member.line_of_business":
        return True
    return path.endswith(".system") and f"{path.removesuffix('system')}code" in ours


_TROUBLES: Mapping[str, Trouble] = {field.path: field.trouble for field in FIELDS} | {
    f"service_lines.N.{field.path}": field.trouble for field in LINE_FIELDS
}


def _trouble(error: SourceError) -> Trouble:
    general = _INDEX.sub("N", error.path)
    if error.trouble == "missing" and general != "provider.npi":
        return "missing"
    return _TROUBLES.get(general, error.trouble)


def _refusal(reason: Reason, wrong: Mapping[str, Wrong]) -> Refusal:
    return Refusal(reason=reason, errors=tuple(_error(path, one) for path, one in wrong.items()))


def _error(path: str, wrong: Wrong) -> SourceError:
    return SourceError(path=path, place=wrong.place, trouble=wrong.trouble, message=wrong.message)


_INDEX = re.compile(r"(?<=\.)\d+(?=\.|$)")
_NAMES = {
    name: index
    for index, name in enumerate(
        (*AuthorizationRequest.model_fields, "line", "system", "code", "units", "service_date", "performed_on")
    )
}


def _order(path: str) -> tuple[int, ...]:
    """The canonical order of a path."""
    parts = path.split(".")
    return tuple(int(part) if part.isdigit() else _NAMES.get(part, 0) for part in parts)


class _Places:
    """Where canonical fields stand in a message."""

    def __init__(self, stated: list[reading.Stated], done: list[str], asked: list[Line]) -> None:
        self._stated = [one.place for one in stated]
        self._done = done
        self._asked = asked

    def of(self, path: str) -> str:
        """The place of a canonical path."""
        outer, _, inner = path.partition(".")
        index, _, name = inner.partition(".")
        listed = {"diagnoses": self._stated, "procedures": self._done}.get(outer)
        if listed is not None:
            at_index = index.isdigit() and int(index) < len(listed)
            return listed[int(index)] if at_index else f"Claim.{'diagnosis' if outer == 'diagnoses' else 'procedure'}"
        if outer == "service_lines" and index.isdigit() and int(index) < len(self._asked):
            element = _ELEMENTS.get("code" if name == "system" else name)
            place = self._asked[int(index)].place
            return f"{place}.{element}" if element else place
        return _PLACES.get(path) or _PLACES.get(outer, "")


_ELEMENTS = {field.path: field.element for field in LINE_FIELDS}
_PLACES = {field.path: field.place for field in FIELDS} | {
    "request_id": "Claim.identifier",
    "diagnoses": "Claim.diagnosis",
    "member": "Claim.patient",
    "provider": "Claim.provider",
    "service_lines": "Claim.item",
    "clinical": "QuestionnaireResponse.item",
}


def _notes(message: Message, said: Answers, coded: Sequence[reading.Stated], past: Sequence[reading.Past]) -> list[str]:
    """What was left out, by its place."""
    notes = [*said.notes]
    other = [one.place for one in coded if not one.system]
    notes += [f"{place}: no diagnosis of ICD-10-CM or ICD-9-CM; left out" for place in other]
    notes += [f"{one.place}: {one.why}; left out" for one in past if one.read is None]
    given = message.claim.resource.get("supportingInfo")
    for index, info in enumerate(given if isinstance(given, list) else ()):
        if any(name in obj(info) for name in ("valueString", "valueAttachment")):
            notes.append(f"Claim.supportingInfo[{index}]: what people wrote is never read as a fact")
    if text(message.claim.resource.get("status")) != "active":
        notes.append("Claim.status: not active; read as if it were")
    return notes
