"""Reads, decides and answers messages in the order given, without a broker.

    bytes ─► read ─► resolve ─► decide ─► answer

The chain of traces is that of the messages given so far.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from events.adapters.adapter import Adapter, Decided
from events.adapters.chain import Again, Requested, chain_key, resolve
from events.adapters.formats import FORMATS, NEITHER, format_of
from events.adapters.partner import Partner
from events.adapters.submission import Chain, Context, Format, Refusal, Submission
from events.dead_letter import DeadLetter
from events.decision import Decision
from events.decode import LARGEST, Received, RejectedError
from events.envelope import dumps
from policy_core.history.library import Library
from workers.dead_letters.write import dead_letter, defect
from workers.decide.handler import decide
from workers.integration.records import rejected_of
from workers.integration.refusals import refusal_of, undecodable
from workers.process.logs import frames

log = structlog.get_logger(__name__)

_ALONE = "follows an earlier message; none of its trace, for the same member, is before it in these files"


@dataclass(frozen=True)
class Adapted:
    """What became of one message."""

    message: str | None = None
    """The message's digest, by which answers on Kafka name it; None if no message is found."""
    request: Mapping[str, Any] | None = None
    """The canonical request; of a repeat and an inquiry, none."""
    dead_letter: DeadLetter | None = None
    decision: Decision | None = None
    """Of a repeat and an inquiry, the one that it is answered with."""
    response: bytes | None = None
    format: Format | None = None
    ignored: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The object that is printed."""
        return {
            "message": self.message,
            "request": self.request,
            "dead_letter": _loaded(self.dead_letter.to_json()) if self.dead_letter is not None else None,
            "decision": _loaded(self.decision.to_json()) if self.decision is not None else None,
            "response": shown_response(self.format, self.response),
            "ignored": list(self.ignored),
        }


def shown_response(of: Format | None, response: bytes | None) -> Any:
    """A response as JSON: an object for PAS, a text for X12; None if there is none."""
    if not response:  # also of a message that is itself an answer
        return None
    if of == "pas":
        return _loaded(response)
    try:
        return response.decode()
    except UnicodeDecodeError:  # in the sender's character set
        return response.decode("latin-1")


def _loaded(raw: bytes) -> Any:
    return json.loads(raw)


@dataclass
class _Known:
    """A request of this run."""

    context: Context
    decided: Decided | None = None
    letter: DeadLetter | None = None
    response: bytes | None = None


@dataclass
class Adaptor:
    """Adapts messages one after the other."""

    library: Library
    partner: Partner
    received: int
    """When every message was received, in milliseconds since the epoch."""
    _chains: dict[bytes, Chain] = field(default_factory=dict)
    _known: dict[str, _Known] = field(default_factory=dict)

    def adapt(self, value: bytes) -> Iterator[Adapted]:
        """What becomes of each message in these bytes; at least one."""
        kind = format_of(value)
        if len(value) > LARGEST or kind is None:
            message = f"larger than {LARGEST:,} bytes" if len(value) > LARGEST else NEITHER
            yield Adapted(dead_letter=dead_letter(None, value, undecodable(message)))
            return
        adapter = FORMATS[kind].adapter
        for submission in adapter.read(value, self.partner, self.received):
            yield self._guarded(value, adapter, submission)

    def _guarded(self, value: bytes, adapter: Adapter, submission: Submission) -> Adapted:
        try:
            return self._adapted(value, adapter, submission)
        except Exception as error:  # noqa: BLE001 (one message's defect must not affect the others)
            log.error("defect", error=type(error).__name__, at=frames(error))  # noqa: TRY400 (may contain personal data)
            return Adapted(
                message=submission.message,
                dead_letter=dead_letter(None, value, defect()),
                format=adapter.format,
                ignored=submission.notes,
            )

    def _adapted(self, value: bytes, adapter: Adapter, submission: Submission) -> Adapted:
        chain = None if submission.refused else self._chains.get(chain_key(submission))
        found = resolve(submission, chain)
        if isinstance(found, Refusal):
            return Adapted(
                message=submission.message,
                dead_letter=dead_letter(None, value, rejected_of(found)),
                response=adapter.refuse(submission, found, self.received),
                format=adapter.format,
                ignored=submission.notes,
            )
        if isinstance(found, Again):
            return self._again(adapter, submission, found)
        self._chains[chain_key(submission)] = found.chain
        return self._decided(adapter, submission, found, alone=submission.follows and chain is None)

    def _again(self, adapter: Adapter, submission: Submission, again: Again) -> Adapted:
        known = self._known.get(again.request_id or "")
        if submission.kind == "submit" and known is not None:
            response = known.response
        else:
            context, decided = (known.context, known.decided) if known is not None else (None, None)
            response = adapter.report(submission, context, decided, self.received)
        return Adapted(
            message=submission.message,
            decision=known.decided.decision if known is not None and known.decided is not None else None,
            dead_letter=known.letter if known is not None else None,
            response=response,
            format=adapter.format,
            ignored=submission.notes,
        )

    def _decided(self, adapter: Adapter, submission: Submission, found: Requested, *, alone: bool) -> Adapted:
        known = self._known[found.request.request_id] = _Known(found.context)
        try:
            decision = decide(Received(None, found.request), self.library)
        except RejectedError as rejected:
            known.letter = dead_letter(None, dumps(found.context.request), rejected)
            known.response = adapter.refuse(found.context, refusal_of(known.letter), self.received)
        else:
            known.decided = Decided(decision, self.received)
            known.response = adapter.answer(found.context, known.decided)
        return Adapted(
            message=submission.message,
            request=found.context.request,
            dead_letter=known.letter,
            decision=known.decided.decision if known.decided is not None else None,
            response=known.response,
            format=adapter.format,
            ignored=(*submission.notes, *((_ALONE,) if alone else ())),
        )
