"""Encodes planned results as decision JSON; `events.decision.Decision` is the contract.

A plan's results are made of parts that are one object for each value. So the JSON of each part is made once and
remembered by the object, and a decision is put together from them. It must parse as a `Decision` and encode to the same
bytes; a test checks this on thousands of requests.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from events.code_spelling import DIAGNOSES
from events.decision import content_id
from events.request_parts import LinePart, RequestParts
from policy_core.document.models import Citation
from policy_core.evaluate.case import Diagnosis
from policy_core.evaluate.deadline import Deadline
from policy_core.evaluate.determine import Policy
from policy_core.evaluate.facts import Claim, Fact
from policy_core.evaluate.plan import (
    DerivedFacts,
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
        self._wholes: Memory[RequestOutcome, _Whole] = Memory()
        self._editions: Memory[Statuses, bytes] = Memory()
        self._stated: Memory[StatedFacts, tuple[bytes, ...]] = Memory()
        self._derived: Memory[DerivedFacts, tuple[bytes, ...]] = Memory()

    def encode(self, request: RequestParts, result: PlannedResult) -> Encoded:
        """The decision's id and canonical event data."""
        outcome = result.outcome
        whole = self._wholes.get(outcome) or self._whole(outcome)
        # Long texts are copied once, into the whole.
        pieces = [b'{"request_id":', _json(request.request_id)]
        if request.supersedes is not None:
            pieces += (b',"supersedes":', _json(request.supersedes))
        pieces += (whole.stage, request.line_of_business.encode(), whole.action)
        pieces += (self._clock(result.deadline), b',"lines":[')
        heads = self._heads
        for line, tail in zip(request.service_lines, whole.tails, strict=True):
            head = heads.get((line.system, line.code)) or self._head(line)
            pieces += (b'{"line":%d' % line.line, head, tail, b",")
        pieces[-1] = self._policies
        if result.findings:
            self._trace(result, pieces)
        pieces.append(whole.end)
        content = b"".join(pieces)
        decision_id = content_id(content)
        data = b"".join((b'{"decision_id":"', decision_id.encode(), b'",', memoryview(content)[1:]))
        return Encoded(decision_id, data)

    def _whole(self, outcome: RequestOutcome) -> "_Whole":
        """What all decisions with the same outcome have in common."""
        named = [name for line in outcome.lines for name in (*line.answer.rests_on, *line.guidance)]
        references = b",".join([self._references[name] for name in dict.fromkeys(named)])
        made = _Whole(
            b',"stage":"%b","line_of_business":"' % outcome.stage.encode(),
            b'","action":"%b"' % outcome.action.encode(),
            tuple([self._tails.get(line) or self._tail(line) for line in outcome.lines]),
            b',"references":[%b]}' % references if references else b"}",
        )
        return self._wholes.remember(outcome, made)

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
            "tested": [_present({"name": one.path, "value": one.value}) for one in outcome.measures] or None,
            "policy": _present({"number": self._number, "revision": revision}),
        }
        return self._tails.remember(outcome, b"," + _json(_present(fields))[1:])

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

    def _trace(self, result: PlannedResult, pieces: list[bytes]) -> None:
        """Add the facts and the statements that decided."""
        stated = self._stated.get(result.stated) or self._state(result)
        pieces += (b',"trace":{"facts":[', stated[0])
        derived = self._derived.get(result.derived) or self._derive(result.derived)
        for fact, after in zip(derived, stated[1:], strict=True):
            pieces += (fact, after)
        _end_of_list(pieces)
        pieces.append(b'],"editions":[')
        for finding in result.findings:
            if finding.lines is None:
                pieces.append(self._editions.get(finding.statuses) or self._edition(finding))
            else:
                pieces.append(_json(self._edition_fields(finding)) + b",")
        _end_of_list(pieces)
        pieces.append(b"]}")

    def _state(self, result: PlannedResult) -> tuple[bytes, ...]:
        """The JSON of the facts before, between and after those that codes may imply."""
        pieces: list[list[bytes]] = [[]]
        for fact, derives in zip(result.stated.facts, result.plan.derives, strict=True):
            if derives:
                pieces.append([])
            else:
                pieces[-1].append(self._fact(fact))
        return self._stated.remember(result.stated, tuple(map(b"".join, pieces)))

    def _derive(self, derived: DerivedFacts) -> tuple[bytes, ...]:
        """The JSON of the facts that codes may imply."""
        return self._derived.remember(derived, tuple([self._fact(one.fact) for one in derived.facts]))

    def _fact(self, fact: Fact) -> bytes:
        """A fact's JSON in a list; empty if it decides nothing."""
        return _json(_fact_fields(fact)) + b"," if fact.path in self._deciding else b""

    def _edition(self, found: PatternFinding) -> bytes:
        """The JSON of an edition's statements in a list."""
        return self._editions.remember(found.statuses, _json(self._edition_fields(found)) + b",")

    def _edition_fields(self, found: PatternFinding) -> dict[str, Any]:
        statements = [
            _present({"id": name, "status": status.value, "cites": self._cites[name]})
            for name, status in found.statuses.statuses.items()
        ]
        return _present({"since": found.statuses.since.isoformat(), "lines": found.lines, "statements": statements})


class _Whole(NamedTuple):
    """The JSON of a request's outcome, in the parts between which something of its own stands."""

    stage: bytes
    action: bytes
    tails: tuple[bytes, ...]
    """Of each line."""
    end: bytes
    """The references, and the end."""


def _end_of_list(pieces: list[bytes]) -> None:
    """Drop the comma behind the last entry."""
    while not pieces[-1]:
        pieces.pop()
    if pieces[-1].endswith(b","):
        pieces[-1] = pieces[-1][:-1]


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
            **_evidence(fact.diagnoses),
            "conflict": _claims(fact.claims),
        }
    )


def _evidence(codes: Sequence[Diagnosis]) -> dict[str, list[dict[str, str]] | None]:
    diagnoses = [code._asdict() for code in codes if code.system in DIAGNOSES]
    procedures = [code._asdict() for code in codes if code.system not in DIAGNOSES]
    return {"diagnoses": diagnoses or None, "procedures": procedures or None}


def _claims(claims: Iterable[Claim]) -> list[dict[str, Any]] | None:
    return [_present({"value": claim.value, **_evidence(claim.diagnoses)}) for claim in claims] or None


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _json(value: Any) -> bytes:
    return orjson.dumps(value)
