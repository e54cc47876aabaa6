"""Encodes planned results as decision JSON; `events.decision.Decision` is the contract.

A plan's results are made of parts that are one object for each value. So the JSON of each part is made once and
remembered by the object, and a decision is put together from them. It must parse as a `Decision` and encode to the same
bytes; a test checks this on thousands of requests.
"""

from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from events.decision import content_id
from events.request_parts import LinePart, RequestParts
from policy_core.document.models import Citation
from policy_core.evaluate.deadline import Deadline
from policy_core.evaluate.determine import Policy
from policy_core.evaluate.facts import Claim, Fact
from policy_core.evaluate.plan import (
    DerivedFact,
    LineOutcome,
    Memory,
    PatternFinding,
    PlannedResult,
    RequestOutcome,
    StatedFacts,
    Statuses,
)
from policy_core.loading.check import cited_parts


class Encoded(NamedTuple):
    """An encoded decision."""

    decision_id: str
    data: bytes


class DecisionEncoder:
    """Encodes the decisions made under one policy."""

    def __init__(self, policy: Policy) -> None:
        parts = [part for _, part in cited_parts(policy.document)]
        self._number = policy.number
        self._cites = {part.id: [sentence(citation) for citation in part.cites] or None for part in parts}
        self._references = {
            part.id: _json(_present({"id": part.id, "says": part.says, "cites": self._cites[part.id]}))
            for part in parts
        }
        document = {"number": policy.number, "sha256": policy.sha256, "known_through": policy.known_through}
        self._policies = b'],"policies":[%b]' % _json(document)
        self._deciding = {variable.path for variable in policy.variables}
        self._heads: Memory[tuple[str, str], bytes] = Memory()
        self._tails: Memory[LineOutcome, bytes] = Memory()
        self._clocks: Memory[Hashable, bytes] = Memory()
        self._ends: Memory[RequestOutcome, bytes] = Memory()
        self._editions: Memory[Statuses, bytes] = Memory()
        self._stated: Memory[StatedFacts, tuple[bytes, ...]] = Memory()
        self._derived: Memory[DerivedFact, bytes] = Memory()

    def encode(self, request: RequestParts, result: PlannedResult) -> Encoded:
        """The decision's id and canonical event data."""
        outcome = result.outcome
        heads, tails = self._heads, self._tails
        lines = b",".join(
            [
                b'{"line":%d%b%b'
                % (
                    line.line,
                    heads.get((line.system, line.code)) or self._head(line),
                    tails.get(found) or self._tail(found),
                )
                for line, found in zip(request.service_lines, outcome.lines, strict=True)
            ]
        )
        supersedes = b',"supersedes":%b' % _json(request.supersedes) if request.supersedes is not None else b""
        content = b'"request_id":%b%b,"stage":"%b","line_of_business":"%b","action":"%b"%b,"lines":[%b%b%b%b}' % (
            _json(request.request_id),
            supersedes,
            outcome.stage.encode(),
            request.line_of_business.encode(),
            outcome.action.encode(),
            self._clock(result.deadline),
            lines,
            self._policies,
            self._trace(result) if result.findings else b"",
            self._ends.get(outcome) or self._end(outcome),
        )
        decision_id = content_id(b"{" + content)
        return Encoded(decision_id, b'{"decision_id":"%b",%b' % (decision_id.encode(), content))

    # --- lines ---

    def _head(self, line: LinePart) -> bytes:
        """A line's JSON after its number, up to its code."""
        written = b"," + _json({"system": line.system, "code": line.code})[1:-1]
        return self._heads.remember((line.system, line.code), written)

    def _tail(self, outcome: LineOutcome) -> bytes:
        """A line's JSON after its code."""
        answer = outcome.answer
        missing = [
            _present({"fact": asked.path, "question": asked.question, "conflict": _claims(asked.conflict)})
            for asked in answer.missing
        ]
        revision = outcome.revision and outcome.revision.revision.date.isoformat()
        fields = {
            "determination": answer.determination.value,
            "reasons": answer.reasons,
            "action": outcome.action.value,
            "valid_through": outcome.valid_through and outcome.valid_through.isoformat(),
            "acts_next": outcome.acts_next.value,
            "step": answer.step.value,
            "rules": answer.rules or None,
            "rests_on": answer.rests_on or None,
            "guidance": outcome.guidance or None,
            "missing": missing,
            "program": answer.program and {"name": answer.program.name, "says": answer.program.says},
            "edition": answer.edition and answer.edition.isoformat(),
            "policy": _present({"number": self._number, "revision": revision}),
        }
        return self._tails.remember(outcome, b"," + _json(_present(fields))[1:])

    def _end(self, outcome: RequestOutcome) -> bytes:
        """The references of all lines."""
        named = [name for line in outcome.lines for name in (*line.answer.rests_on, *line.guidance)]
        references = b",".join([self._references[name] for name in dict.fromkeys(named)])
        return self._ends.remember(outcome, b',"references":[%b]' % references if references else b"")

    # --- clock ---

    def _clock(self, reading: Deadline) -> bytes:
        clock = reading.clock
        key = (clock and clock.id, reading.state)
        written = self._clocks.get(key)
        if written is None:
            named = {"name": clock.id, "rule": clock.rule} if clock is not None else {}
            written = self._clocks.remember(key, b',"clock":' + _json({**named, "state": reading.state.value}))
        return b',"due_at":"%b"%b' % (_instant(reading.due_at), written) if reading.due_at is not None else written

    # --- trace ---

    def _trace(self, result: PlannedResult) -> bytes:
        pieces = self._stated.get(result.stated) or self._state(result)
        facts = [pieces[0]]
        for derived, after in zip(result.derived, pieces[1:], strict=True):
            facts += (self._derived.get(derived) or self._derive(derived), after)
        editions = [self._edition(finding) for finding in result.findings]
        return b',"trace":{"facts":[%b],"editions":[%b]}' % (b",".join(filter(None, facts)), b",".join(editions))

    def _state(self, result: PlannedResult) -> tuple[bytes, ...]:
        """The JSON of the facts before, between and after those that codes may imply."""
        pieces: list[list[bytes]] = [[]]
        for fact, derives in zip(result.stated.facts, result.plan.derives, strict=True):
            if derives:
                pieces.append([])
            elif fact.path in self._deciding:
                pieces[-1].append(_json(_fact_fields(fact)))
        return self._stated.remember(result.stated, tuple(b",".join(piece) for piece in pieces))

    def _derive(self, derived: DerivedFact) -> bytes:
        fact = derived.fact
        written = _json(_fact_fields(fact)) if fact.path in self._deciding else b""
        return self._derived.remember(derived, written)

    def _edition(self, found: PatternFinding) -> bytes:
        written = self._editions.get(found.statuses)
        if written is None:
            statements = [
                _present({"id": name, "status": status.value, "cites": self._cites[name]})
                for name, status in found.statuses.statuses.items()
            ]
            edition = {"since": found.statuses.since.isoformat(), "statements": statements}
            written = self._editions.remember(found.statuses, _json(edition))
        return written


def sentence(citation: Citation) -> str:
    """A sentence of the published text by section and ordinal; the document has its digest."""
    return f"{citation.section} {citation.ordinal}"


def _instant(instant: datetime) -> bytes:
    text = instant.isoformat()
    return (f"{text[:-6]}Z" if text.endswith("+00:00") else text).encode()


def _fact_fields(fact: Fact) -> dict[str, Any]:
    return _present(
        {
            "fact": fact.path,
            "origin": fact.origin.value,
            "value": fact.value,
            "diagnoses": [diagnosis._asdict() for diagnosis in fact.diagnoses] or None,
            "conflict": _claims(fact.claims),
        }
    )


def _claims(claims: Iterable[Claim]) -> list[dict[str, Any]] | None:
    return [
        _present({"value": claim.value, "diagnoses": [code._asdict() for code in claim.diagnoses] or None})
        for claim in claims
    ] or None


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _json(value: Any) -> bytes:
    return orjson.dumps(value)
