"""A trace as readable text."""

import json
from collections.abc import Iterator

from pydantic import TypeAdapter, ValidationError
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from events.dead_letter import DeadLetter
from events.deadline import Deadline
from events.decision import Decision
from events.field_types import instant_of
from events.verdict import AuthorizationExtended, ReviewEvent
from policy_core.document.models import PolicyDocument
from policy_core.publications.signatures import SHOWN
from workers.console.printable import printable, words
from workers.decide.decision_text import ACTIONS, STYLES, explanation, rejection, section
from workers.ledger.trace import Answer, Event, Trace

REVIEW: TypeAdapter[ReviewEvent] = TypeAdapter(ReviewEvent)
NO_LONGER = "no longer kept there"


def trace_text(trace: Trace) -> RenderableType:
    """The whole trace, for printing."""
    parts: list[RenderableType] = [Text.assemble("Trace of request ", (printable(trace.request_id), "bold"))]
    parts += [Text("\nThe chain, each after the one that it supersedes", style="bold"), _chain(trace)]
    parts += section("Of its links", links(trace))
    for answer in trace.asked.answers:
        if answer.review is None:
            parts += section("What was asked", _asked(answer))
        else:
            parts += section("What the review system sent", sent(answer.review))
        parts += section("Where the answer stands", _stands(answer))
        parts += [Text(""), _answered(answer, trace.revisions)]
    parts += section("What was announced of its deadlines", deadlines(trace))
    parts += section("The events that made these revisions known", revision_events(trace.revisions))
    return Group(*parts)


def _chain(trace: Trace) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("", "request", "supersedes", "answer", "", "stands at"):
        table.add_column(column, header_style="dim", overflow="fold")
    for member in trace.chain:
        for index, answer in enumerate(member.answers or (None,)):
            newest = member.newest and answer is not None and answer is member.decision
            table.add_row(
                "►" if index == 0 and member.request_id == trace.request_id else "",
                member.request_id if index == 0 else "",
                member.supersedes or "" if index == 0 else "",
                short_answer(answer),
                Text("newest", style="bold") if newest else "",
                str(answer.event.place) if answer is not None else "",
            )
    return table


def short_answer(answer: Answer | None) -> Text:
    """An answer in a few words."""
    if answer is None:
        return Text("unknown here", style="dim")
    data = answer.event.data
    if data is None:
        return Text(NO_LONGER, style="dim")
    if answer.kind == "dead_letter":
        return Text(printable(words(str(data.get("reason")))), style="red")
    action = str(data.get("action"))
    return Text(f"{action} {ACTIONS.get(action, '')}", style=STYLES.get(action, "bold"))


def links(trace: Trace) -> Iterator[tuple[str, str]]:
    """What is special about links of the chain, by request."""
    known = {member.request_id for member in trace.chain if member.answers}
    for member in trace.chain:
        if member.refused:
            yield member.request_id, f"its link to {member.supersedes} is refused: it would close a circle"
        elif member.supersedes is not None and member.supersedes not in known:
            yield member.request_id, f"supersedes {member.supersedes}, which is unknown here"


def _stands(answer: Answer) -> Iterator[tuple[str, str]]:
    yield "record", str(answer.event.place)
    yield "sent", instant_of(answer.timestamp)


def _asked(answer: Answer) -> Iterator[tuple[str, str]]:
    if answer.request is None:
        if answer.kind == "decision":
            yield "record", "the answer does not say where it stood"
        return
    yield "record", str(answer.request.place)
    data = answer.request.data
    if data is None:
        yield "", NO_LONGER
        return
    for name in ("certification", "urgency", "submitted_at", "supersedes", "policy_number"):
        if isinstance(data.get(name), str):
            yield words(name), data[name]


def sent(review: Event) -> Iterator[tuple[str, str]]:
    """A verdict or an extension: what it is, and which request and decision it concerns."""
    yield "record", str(review.place)
    data = review.data
    if data is None:
        yield "", NO_LONGER
        return
    yield "received", instant_of(review.timestamp)
    try:
        yield from _review(REVIEW.validate_json(json.dumps(data)))
    except ValidationError:
        yield "", "is no valid verdict or extension"


def _review(event: ReviewEvent) -> Iterator[tuple[str, str]]:
    if isinstance(event, AuthorizationExtended):
        yield "extension", event.extension_id
        yield "until", event.until.isoformat()
        return
    yield "verdict", event.verdict_id
    yield "made", event.decided_at.isoformat()
    yield "on decision", event.decision_id
    if event.amends is not None:
        yield "corrects", f"verdict {event.amends}"


def deadlines(trace: Trace) -> Iterator[tuple[str, str]]:
    """What was announced of a request's deadlines, and when."""
    for announced in trace.asked.deadlines:
        yield instant_of(announced.timestamp), _deadline(announced)


def _deadline(announced: Event) -> str:
    if announced.data is None:
        return f"{NO_LONGER}: {announced.place}"
    try:
        deadline = Deadline.model_validate_json(json.dumps(announced.data))
    except ValidationError:
        return f"of a shape that this version does not know: {announced.place}"
    late = ", announced late" if deadline.late else ""
    return f"{words(deadline.kind)}: due {deadline.due_at.isoformat()} by the clock {deadline.clock}{late}"


def _answered(answer: Answer, revisions: tuple[Event, ...]) -> RenderableType:
    data = answer.event.data
    if data is None:
        return Text(NO_LONGER)
    text = json.dumps(data)
    try:
        if answer.kind == "decision":
            decision = Decision.model_validate_json(text)
            return explanation(decision, _document(decision, revisions))
        return rejection(DeadLetter.model_validate_json(text))
    except ValidationError:
        return Text("of a shape that this version does not know; -o json shows it")


def _document(decision: Decision, revisions: tuple[Event, ...]) -> PolicyDocument | None:
    """The document that a decision names, from the event that published it; None if it is not known here."""
    named = {policy.known_through for policy in decision.policies}
    published = (revision.data for revision in revisions if revision.data is not None)
    document = next((data.get("document") for data in published if data.get("digest") in named), None)
    if document is None:
        return None
    try:
        return PolicyDocument.model_validate_json(json.dumps(document))
    except ValidationError:
        # Of a newer version: the decision can be shown without it.
        return None


def revision_events(events: tuple[Event, ...]) -> Iterator[tuple[str, str]]:
    """The events that published revisions, with their digests and who signed them."""
    for event in events:
        data = event.data or {}
        yield f"{data.get('policy_number')} {data.get('revision')}", str(event.place)
        yield "", f"sha256 {data.get('digest')}"
        if event.signed_by is not None:
            yield "", f"signed by {printable(str(data.get('author')))}, key {event.signed_by[:SHOWN]}"
