"""A request's trace on a page: how its case stands, its chain, and every answer with its reasons."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, get_args

from pydantic import ValidationError

from events.dead_letter import DeadLetter
from events.decision import Decision, PolicyDocumentReference
from events.field_types import instant_of, is_instant, read_day
from events.request import Certification, Channel, LineOfBusiness, ProcedureSystem, Urgency
from policy_core.document.models import PolicyDocument
from workers.console.printable import words
from workers.decide.decision_text import ACTIONS, LINE, line_of, sections
from workers.ledger.trace import Answer, Event, Trace
from workers.ledger.trace_text import NO_LONGER, deadlines, links, revision_events, sent, short_answer
from workers.work_list.columns import row
from workers.work_list.open_cases import OpenCase

Documents = Callable[[PolicyDocumentReference], PolicyDocument | None]
"""Finds the document that a decision names."""
Rows = tuple[tuple[str, str], ...]
KNOWN: Mapping[str, tuple[Any, ...]] = {
    "certification": get_args(Certification),
    "urgency": get_args(Urgency),
    "channel": get_args(Channel),
    "plan": get_args(LineOfBusiness),
    "diagnoses": ("icd-10-cm", "icd-9-cm"),
    "past procedures": get_args(ProcedureSystem),
}
"""The values that are shown of a request."""
CODE = re.compile(r"\s*[A-Za-z0-9]{2,3}\.?[A-Za-z0-9]{0,4}\s*", re.ASCII)
CHAIN = ("request", "supersedes", "answer", "newest", "record")
FACTS = frozenset({"The facts, and where they come from", "What is missing"})
"""The parts whose rows are named by facts."""


class Standing(NamedTuple):
    """How the request's case stands."""

    known: bool
    """Whether the open cases are known now."""
    case: OpenCase | None = None
    """None if it is not open."""


class Section(NamedTuple):
    """One part of a trace: names with values, or a table."""

    title: str
    rows: Rows = ()
    columns: tuple[str, ...] = ()
    lines: tuple[tuple[str, ...], ...] = ()


class TracePage(NamedTuple):
    """A whole trace."""

    headline: str
    sections: tuple[Section, ...]


def trace_page(trace: Trace, documents: Documents, standing: Standing, now: datetime) -> TracePage:
    """The trace for display: the case, the chain, the answers, and the events behind them."""
    answers = trace.asked.answers
    parts = [Section("The case", tuple(_case(trace, standing, now))), _chain(trace)]
    parts.append(Section("Of its links", tuple(links(trace))))
    for number, answer in enumerate(answers, 1):
        which = f"Answer {number} of {len(answers)}: " if len(answers) > 1 else "The answer: "
        if answer.review is not None:
            parts.append(Section("What the review system sent", tuple(sent(answer.review))))
        parts += _answer(answer, which + short_answer(answer).plain, documents)
    parts.append(Section("What was announced of its deadlines", tuple(deadlines(trace))))
    parts.append(Section("The events that made these revisions known", tuple(revision_events(trace.revisions))))
    found = tuple(part for part in parts if part.rows or part.lines)
    return TracePage(_headline(trace, standing), found)


def _headline(trace: Trace, standing: Standing) -> str:
    last = trace.asked.answers[-1] if trace.asked.answers else None
    if last is not None and last.kind == "dead_letter":
        reason = words(str((last.event.data or {}).get("reason", "its reason is no longer kept")))
        return f"Request {trace.request_id}: not decided, {reason}"
    decision = trace.asked.decision
    data = decision.event.data if decision is not None else None
    action = str(data.get("action")) if data is not None else ""
    due = standing.case.due if standing.case is not None else None
    says = f"{action} {ACTIONS.get(action, '')}".strip() or NO_LONGER
    return f"Request {trace.request_id}: {says}" + (f", due {due.isoformat()}" if due is not None else "")


# --- the case ---------------------------------------------------------------------------------------------------------


def _case(trace: Trace, standing: Standing, now: datetime) -> Iterator[tuple[str, str]]:
    yield "stands", _stands(standing)
    if standing.case is not None:
        cells = row(standing.case, now)
        yield "acts next", cells["acts_next"]
        if standing.case.due is not None:
            yield "due", cells["due"]
        yield "age", cells["age"]
    request = next((answer.request for answer in reversed(trace.asked.answers) if answer.request is not None), None)
    if request is not None:
        yield from _request(request)


def _stands(standing: Standing) -> str:
    if not standing.known:
        return "not known: the open cases cannot be read now"
    if standing.case is None:
        return "not open: nobody has to act"
    return "waits for the provider" if standing.case.state == "waiting" else "waits for reviewers"


def _request(request: Event) -> Iterator[tuple[str, str]]:
    """What was asked; of an event that is not valid, only what is: anything else could be personal."""
    data = request.data
    if data is None:
        yield "request", NO_LONGER
        return
    yield "received", instant_of(request.timestamp)
    for name in ("submitted_at", "first_submitted_at"):
        if isinstance(data.get(name), str) and is_instant(data[name]):
            yield words(name), data[name]
    member = data.get("member")
    plan = member.get("line_of_business") if isinstance(member, dict) else None
    for name, value in (*((name, data.get(name)) for name in ("certification", "urgency", "channel")), ("plan", plan)):
        if value in KNOWN[name]:
            yield name, words(str(value))
    days = [one.get("service_date") for one in _objects(data.get("service_lines"))]
    diagnoses, procedures = (
        [(one.get("system"), one.get("code")) for one in _objects(data.get(name))]
        for name in ("diagnoses", "procedures")
    )
    for title, texts in (
        ("service dates", [day for day in days if isinstance(day, str) and read_day(day) is not None]),
        ("diagnoses", [f"{system} {code}" for system, code in diagnoses if _is_code("diagnoses", system, code)]),
        (
            "past procedures",
            [f"{system} {code}" for system, code in procedures if _is_code("past procedures", system, code)],
        ),
    ):
        if texts:
            yield title, ", ".join(dict.fromkeys(texts))


def _objects(found: Any) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _is_code(kind: str, system: Any, code: Any) -> bool:
    return system in KNOWN[kind] and isinstance(code, str) and CODE.fullmatch(code) is not None


# --- the chain and the answers ----------------------------------------------------------------------------------------


def _chain(trace: Trace) -> Section:
    lines = []
    for member in trace.chain:
        for answer in member.answers or (None,):
            newest = member.newest and answer is not None and answer is member.decision
            place = str(answer.event.place) if answer is not None else ""
            cells = (short_answer(answer).plain, "newest" if newest else "", place)
            lines.append((member.request_id, member.supersedes or "", *cells))
    return Section("The chain, each after the one that it supersedes", columns=CHAIN, lines=tuple(lines))


def _answer(answer: Answer, title: str, documents: Documents) -> list[Section]:
    place: Rows = (("record", str(answer.event.place)), ("written", instant_of(answer.timestamp)))
    data = answer.event.data
    if data is None:
        return [Section(title, (*place, ("", NO_LONGER)))]
    try:
        if answer.kind == "decision":
            return _decision(Decision.model_validate_json(json.dumps(data)), title, place, documents)
        letter = DeadLetter.model_validate_json(json.dumps(data))
    except ValidationError:
        return [Section(title, (*place, ("", "of a shape that this version does not know")))]
    errors = ((error.path or "the whole event", error.message) for error in letter.errors)
    return [Section(title, (("why", letter.message), *errors, *place))]


def _decision(decision: Decision, title: str, place: Rows, documents: Documents) -> list[Section]:
    document = next(map(documents, decision.policies), None)
    parts = [Section(title, columns=LINE, lines=tuple(map(line_of, decision.lines)))]
    for name, rows in sections(decision, document):
        found = tuple((_fact_name(left), right) for left, right in rows) if name in FACTS else tuple(rows)
        parts.append(Section(name, found))
    clock = decision.clock
    timed = (("clock", f"{clock.name}: {clock.rule}"),) if clock.name is not None else ()
    return [*parts, Section("Where it stands", (*place, *timed))]


def _fact_name(path: str) -> str:
    """A fact by its name: `clinical.transplant.type` as `transplant type`."""
    return words(path.removeprefix("clinical.").replace(".", " "))
