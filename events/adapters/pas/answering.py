"""What an answer says: one row for each part of a ClaimResponse, from which answers and the page are made."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from events.adapters.code_lists import (
    ACTIONS,
    ELECTRONICALLY,
    INFORMATION_REQUIRED,
    PENDED_BECAUSE,
    REASONS,
    REQUEST_FOR_INFORMATION,
    SUPPORTING_DATA,
)
from events.adapters.pas.systems import (
    ADJUDICATION,
    CONTROL_NUMBERS,
    DECISION_REASONS,
    NPI,
    PAS,
    WRITTEN_SYSTEMS,
    X12,
)
from events.decision import Action, Authorized, DecidedLine, Decision

NUMBERED: Final = ("A1", "A2", "A6")
"""Actions that certify something, under the review's number."""
Json = dict[str, Any]


class Decided(NamedTuple):
    """A decision in the words of the answer."""

    decision: Decision
    number: str
    """The control number."""
    submitted: date
    due: str
    """Until when it is decided, in the partner's zone; empty if there is no such time."""
    items: Mapping[str, Any]
    """What comes back of each item, by its number."""
    cancelled: Sequence[int]
    """Items that are cancelled beside the decision's lines."""
    notes: "Notes"
    requests: Mapping[int, str]
    """The fullUrl of the CommunicationRequest of each line that has one."""
    sayings: Mapping[str, str]
    """The words of the parts that lines cite, by id."""

    def lines(self) -> Iterator[tuple[int, Action, DecidedLine | None]]:
        """Every item that is answered, with its action, in the order of their numbers."""
        answered: dict[int, tuple[Action, DecidedLine | None]] = dict.fromkeys(self.cancelled, ("C", None))
        answered |= {line.line: (line.action, line) for line in self.decision.lines}
        for number in sorted(answered):
            yield number, *answered[number]


class Notes:
    """The texts of an answer, each once, by their numbers."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """A text's number."""
        return self._numbers.setdefault(text, len(self._numbers) + 1)

    def written(self) -> list[Json]:
        """All of them."""
        return [{"number": number, "type": "print", "text": text} for text, number in self._numbers.items()]


class Part(NamedTuple):
    """One part of a ClaimResponse."""

    part: str
    says: str
    canonical: str
    """The decision's fields, or empty for what comes back as it was sent."""


def coded(system: str, code: str, display: str | None = None) -> Json:
    """A CodeableConcept."""
    return {"coding": [{"system": system, "code": code} | ({"display": display} if display else {})]}


def extension(name: str, kind: str, value: Any) -> Json:
    """One of the guide's extensions."""
    return {"url": PAS + name, f"value{kind}": value}


def response(decided: Decided) -> Json:
    """The parts of a ClaimResponse that say what is decided."""
    decision = decided.decision
    items = [_item(decided, number, action, line) for number, action, line in decided.lines()]
    granted = [_granted(decided, line, line.authorized) for line in decision.lines if line.authorized is not None]
    if decided.due and any(line.action == "A4" for line in decision.lines):
        decided.notes.number(f"A decision is due by {decided.due}.")
    found: Json = {"extension": [_reviewer(decision)], "item": items}
    if granted:
        found["addItem"] = granted
    found["adjudication"] = [_whole(decided, decision.action, _reasons(decision.action, decision.lines))]
    if notes := decided.notes.written():
        found["processNote"] = notes
    if decided.requests:
        found["communicationRequest"] = [{"reference": url} for url in decided.requests.values()]
    return found


def is_asked(line: DecidedLine) -> bool:
    """Whether the answers to a line's questions are wanted."""
    return line.action == "A4" and line.determination == "information_needed"


def _item(decided: Decided, number: int, action: Action, line: DecidedLine | None) -> Json:
    item: Json = {}
    if extensions := [*_item_extensions(decided, number, action, line)]:
        item["extension"] = extensions
    item["itemSequence"] = number
    if line is not None and (noted := [decided.notes.number(text) for text in _sentences(decided, line)]):
        item["noteNumber"] = list(dict.fromkeys(noted))
    item["adjudication"] = [_adjudication(decided, action, _reasons(action, [line] if line else []))]
    return item


def _item_extensions(decided: Decided, number: int, action: Action, line: DecidedLine | None) -> Iterator[Json]:
    for identifier in decided.items.get(str(number), {}).get("traces", ()):
        yield extension("extension-itemTraceNumber", "Identifier", identifier)
    if line is not None and is_asked(line):
        yield extension("extension-itemTraceNumber", "Identifier", control_number(decided.number))
    if action == "A4":
        yield extension("extension-administrationReferenceNumber", "String", decided.number)
    if line is not None and action in NUMBERED and (period := _valid(decided, line)):
        yield extension("extension-itemPreAuthPeriod", "Period", period)


def control_number(number: str) -> Json:
    """One of our numbers as an Identifier."""
    return {"system": CONTROL_NUMBERS, "value": number}


def _valid(decided: Decided, line: DecidedLine) -> Json:
    granted = line.authorized
    last = line.valid_through or (granted.through if granted else None)
    if last is None:
        return {}
    first = granted.from_ if granted and granted.from_ else decided.submitted
    return {"start": min(first, last).isoformat(), "end": last.isoformat()}


def _adjudication(decided: Decided, action: Action, reasons: Sequence[str]) -> Json:
    review = [_CODES[action], *_details(decided, action, reasons)]
    return {"extension": [{"url": f"{PAS}extension-reviewAction", "extension": review}], "category": _SUBMITTED}


def _whole(decided: Decided, action: Action, reasons: Sequence[str]) -> Json:
    """Of the whole: the guide does not allow reviewActionCode here, so the action is the adjudication's reason."""
    found: Json = {"category": _SUBMITTED, "reason": _ACTIONS[action]}
    if details := [*_details(decided, action, reasons)]:
        found["extension"] = [{"url": f"{PAS}extension-reviewAction", "extension": details}]
    return found


_SUBMITTED: Final = coded(ADJUDICATION, "submitted")


_ACTIONS: Final = {action: coded(f"{X12}306", action, says) for action, says in ACTIONS.items()}
_CODES: Final = {
    action: extension("extension-reviewActionCode", "CodeableConcept", _ACTIONS[action]) for action in ACTIONS
}


def _details(decided: Decided, action: Action, reasons: Sequence[str]) -> Iterator[Json]:
    if action in NUMBERED:
        yield {"url": "number", "valueString": decided.number}
    for reason in reasons:
        yield {"url": "reasonCode", "valueCodeableConcept": coded(DECISION_REASONS, reason, REASONS.get(reason))}


def _reasons(action: Action, lines: Sequence[DecidedLine]) -> list[str]:
    """A reviewer's, else why it is pended; of several lines only that information is needed, if any needs it."""
    given = [reason for line in lines if line.review is not None for reason in line.review.reasons]
    if given:
        return list(dict.fromkeys(given))
    if action != "A4":
        return []
    pended = {PENDED_BECAUSE.get(line.determination, "") for line in lines if line.action == "A4"} - {""}
    return [INFORMATION_REQUIRED] if INFORMATION_REQUIRED in pended else sorted(pended)[:1]


def _sentences(decided: Decided, line: DecidedLine) -> Iterator[str]:
    if line.program is not None:
        yield f"{line.program.name}: {line.program.says}"
    for missing in line.missing:
        yield f"Question: {missing.question}"
    if line.review is not None and line.review.text and line.review.text.strip():
        yield line.review.text.strip()
    for part in line.guidance:
        if said := decided.sayings.get(part):
            yield said


def _reviewer(decision: Decision) -> Json:
    review = next((line.review for line in decision.lines if line.review is not None), None)
    stated: list[Json] = [{"url": "wasHumanReviewedFlag", "valueBoolean": review is not None}]
    if review is not None and review.npi:
        stated.append({"url": "reviewerNPI", "valueIdentifier": {"system": NPI, "value": review.npi}})
    if review is not None and review.specialty:
        stated.append({"url": "reviewerSpecialty", "valueCodeableConcept": {"text": review.specialty}})
    return {"url": f"{PAS}extension-claimResponseReviewer", "extension": stated}


def _granted(decided: Decided, line: DecidedLine, granted: Authorized) -> Json:
    """What is granted of a line instead of what was asked."""
    item: Json = {}
    if period := _valid(decided, line):
        item["extension"] = [extension("extension-itemPreAuthPeriod", "Period", period)]
    item["itemSequence"] = [line.line]
    item["productOrService"] = coded(WRITTEN_SYSTEMS[line.system], granted.code)
    if modifiers := decided.items.get(str(line.line), {}).get("modifiers"):
        item["modifier"] = modifiers
    if granted.from_ is not None and granted.through is not None:
        item["servicedPeriod"] = {"start": granted.from_.isoformat(), "end": granted.through.isoformat()}
    elif granted.from_ is not None:
        item["servicedDate"] = granted.from_.isoformat()
    item["quantity"] = {"value": granted.units}
    item["adjudication"] = [_adjudication(decided, line.action, _reasons(line.action, [line]))]
    return item


def communication_request(number: str, line: int, named: Mapping[str, Any]) -> Json:
    """The request for the answers to one line's questions: the questionnaire that is known as a form definition."""
    found: Json = {
        "resourceType": "CommunicationRequest",
        "meta": {"profile": [f"{PAS}profile-communicationrequest"]},
        "extension": [extension("extension-serviceLineNumber", "PositiveInt", line)],
        "identifier": [control_number(number)],
        "status": "active",
        "category": [coded(f"{X12}755", SUPPORTING_DATA)],
        "medium": [coded(f"{X12}756", ELECTRONICALLY)],
        "payload": [{"contentString": REQUEST_FOR_INFORMATION}],
        "requester": named["insurer"],
        "recipient": [named["insurer"]],
    }
    if "sender" in named:
        found["sender"] = named["sender"]
    return found


PARTS: Final = (
    Part("identifier", "The control number; then the Claim's.", "decision_id"),
    Part("status, use", "active, preauthorization.", ""),
    Part("type, patient, insurer, requestor", "As sent; one that is not here by its number.", ""),
    Part("request", "The Claim's fullUrl.", ""),
    Part("created", "The decision record's timestamp, in the partner's zone.", ""),
    Part("outcome", "complete, for what is pended too; error for a refused message.", ""),
    Part(
        "extension(claimResponseReviewer)",
        "wasHumanReviewedFlag, reviewerNPI and reviewerSpecialty of a verdict; false on a machine's answer.",
        "lines.N.review",
    ),
    Part(
        "adjudication",
        "category submitted; the action is its reason, because the guide has reviewActionCode on items only; "
        "reviewAction with the number on A1, A2 and A6, and the reasons.",
        "action",
    ),
    Part(
        "item.adjudication",
        "category submitted; reviewAction with the code, the number on A1, A2 and A6, and the reasons: "
        "a reviewer's; of A4 0U or 0V. Before a verdict never 0F, 0N or 0T. "
        "Items that the message cancels: C.",
        "lines.N.action, lines.N.determination, lines.N.review.reasons",
    ),
    Part(
        "item.extension(itemTraceNumber)", "As sent; where something is asked, the control number too.", "decision_id"
    ),
    Part("item.extension(administrationReferenceNumber)", "The control number, on A4.", "decision_id"),
    Part(
        "item.extension(itemPreAuthPeriod)",
        "From the day of the request, or the first that is granted, to the last day of the approval.",
        "lines.N.valid_through",
    ),
    Part("addItem", "What is granted instead of what was asked.", "lines.N.authorized"),
    Part(
        "processNote, item.noteNumber",
        "The other program, the questions, a reviewer's words, guidance, and when a decision is due.",
        "lines.N.program, lines.N.missing, lines.N.review.text, lines.N.guidance, references, due_at",
    ),
    Part(
        "communicationRequest",
        "For each line with questions: serviceLineNumber, the control number, LOINC 102089-0; "
        "supporting data (OZ), electronically (EL), to the insurer.",
        "lines.N.missing",
    ),
    Part("error", "Of a refused message: the reason of list 901, errorPath, errorElement, followup C.", ""),
)
"""In FHIR's order, as far as it matters."""
