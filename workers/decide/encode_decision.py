"""Encodes results as decision JSON; `events.decision.Decision` is the contract.

Decisions share most of their content: requests that meet the same rules have the same trace, citations and questions.
So the JSON is assembled from cached pieces, and only the differences are encoded anew. The output must parse as a
`Decision` and encode to the same bytes; a test checks this on thousands of requests.
"""

import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import date, datetime
from functools import partial
from typing import NamedTuple, TypeVar

from events.decision import content_id
from events.request import AuthorizationRequest
from policy_core.diagrams.editions import Finding
from policy_core.document.models import Citation
from policy_core.evaluate.deadline import Deadline
from policy_core.evaluate.determine import CaseResult, LineResult, Policy
from policy_core.evaluate.facts import Claim, Fact
from policy_core.loading.check import cited_parts

Piece = TypeVar("Piece")

CACHED_PIECES = 1 << 16
"""Cached pieces of one kind; beyond that the cache is cleared, which costs a few microseconds per piece."""


class Encoded(NamedTuple):
    """An encoded decision."""

    decision_id: str
    data: bytes


class DecisionEncoder:
    """Encodes the decisions made under one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._paths = [variable.path for variable in policy.variables]
        parts = [part for _, part in cited_parts(policy.document)]
        self._cites = {part.id: [sentence(citation) for citation in part.cites] or None for part in parts}
        self._references = {
            part.id: _json(_present({"id": part.id, "says": part.says, "cites": self._cites[part.id]}))
            for part in parts
        }
        document = {"number": policy.number, "sha256": policy.sha256, "known_through": policy.known_through}
        self._policies = f',"policies":[{_json(document)}]'
        self._tails: _PieceCache[tuple[str, tuple[str, ...]]] = _PieceCache()
        self._editions: _PieceCache[str] = _PieceCache()
        self._facts: _PieceCache[str] = _PieceCache()
        self._named: _PieceCache[str] = _PieceCache()

    def encode(self, request: AuthorizationRequest, result: CaseResult) -> Encoded:
        """The decision's id and canonical event data."""
        lines, named = self._lines(result)
        supersedes = f',"supersedes":{_text(request.supersedes)}' if request.supersedes is not None else ""
        content = (
            f'"request_id":{_text(request.request_id)}{supersedes},"stage":"{result.stage}"'
            f',"line_of_business":"{request.member.line_of_business}","action":"{result.action}"'
            f'{_clock(result.deadline)},"lines":[{lines}]{self._policies}'
            f"{self._trace(result)}{self._reference_list(named)}}}"
        )
        decision_id = content_id(f"{{{content}".encode())
        return Encoded(decision_id, f'{{"decision_id":"{decision_id}",{content}'.encode())

    # --- lines ---

    def _lines(self, result: CaseResult) -> tuple[str, tuple[str, ...]]:
        written: list[str] = []
        named: dict[str, None] = {}
        for line_result in result.lines:
            # Lines with the same answer share one object, so its identity stands for its content.
            key = (
                id(line_result.answer),
                line_result.guidance,
                line_result.revision and line_result.revision.revision.date,
                line_result.valid_through,
            )
            tail, names = self._tails.get(key, partial(self._tail, line_result), keep=line_result.answer)
            line = line_result.line
            written.append(f'{{"line":{line.line},"system":"{line.system}","code":{_text(line.code)}{tail}')
            named.update(dict.fromkeys(names))
        return ",".join(written), tuple(named)

    def _tail(self, result: LineResult) -> tuple[str, tuple[str, ...]]:
        """A line's JSON after its code, and the policy parts that it names."""
        answer = result.answer
        program = answer.program and {"name": answer.program.name, "says": answer.program.says}
        revision = result.revision and result.revision.revision.date.isoformat()
        missing = [
            {"fact": missing_fact.path, "question": missing_fact.question, "conflict": _claims(missing_fact.conflict)}
            for missing_fact in answer.missing
        ]
        valid_through = result.valid_through and result.valid_through.isoformat()
        fields = {
            "determination": answer.determination.value,
            "reasons": answer.reasons,
            "action": result.action.value,
            "valid_through": valid_through,
            "acts_next": result.acts_next.value,
            "step": answer.step.value,
            "rules": answer.rules or None,
            "rests_on": answer.rests_on or None,
            "guidance": result.guidance or None,
            "missing": [_present(one) for one in missing],
            "program": program,
            "edition": answer.edition and answer.edition.isoformat(),
            "policy": _present({"number": self._policy.number, "revision": revision}),
        }
        return f",{_json(_present(fields))[1:]}", (*answer.rests_on, *result.guidance)

    # --- trace ---

    def _trace(self, result: CaseResult) -> str:
        if not result.findings:
            return ""
        facts = ",".join([self._fact(result.facts[path]) for path in self._paths])
        editions = ",".join([self._edition(since, finding) for since, finding in result.findings.items()])
        return f',"trace":{{"facts":[{facts}],"editions":[{editions}]}}'

    def _fact(self, fact: Fact) -> str:
        # Equal facts are usually the same object: the reader caches them.
        return self._facts.get(id(fact), lambda: _json(_present(_fact_fields(fact))), keep=fact)

    def _edition(self, since: date, finding: Finding) -> str:
        def written() -> str:
            statements = [
                _present({"id": name, "status": status.value, "cites": self._cites[name]})
                for name, status in finding.statuses.items()
            ]
            return _json({"since": since.isoformat(), "statements": statements})

        return self._editions.get(id(finding), written, keep=finding)

    # --- references ---

    def _reference_list(self, named: tuple[str, ...]) -> str:
        def written() -> str:
            return f',"references":[{",".join(self._references[name] for name in named)}]' if named else ""

        return self._named.get(named, written)


class _PieceCache(dict[Hashable, tuple[Piece, object]]):
    """Cached pieces by key; each keeps alive the object whose identity may be its key."""

    def get(self, key: Hashable, make: Callable[[], Piece], keep: object = None) -> Piece:  # type: ignore[override]  # a cache, not a mapping with defaults
        found = super().get(key)
        if found is None:
            if len(self) >= CACHED_PIECES:
                self.clear()
            found = self[key] = (make(), keep)
        return found[0]


def sentence(citation: Citation) -> str:
    """A sentence of the published text by section and ordinal; the document has its digest."""
    return f"{citation.section} {citation.ordinal}"


def _clock(deadline: Deadline) -> str:
    clock = deadline.clock
    due = f',"due_at":"{_instant(deadline.due_at)}"' if deadline.due_at is not None else ""
    named = f'"name":{_text(clock.id)},"rule":{_text(clock.rule)},' if clock is not None else ""
    return f'{due},"clock":{{{named}"state":"{deadline.state}"}}'


def _instant(instant: datetime) -> str:
    text = instant.isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def _fact_fields(fact: Fact) -> dict[str, object]:
    return {
        "fact": fact.path,
        "origin": fact.origin.value,
        "value": fact.value,
        "diagnoses": [diagnosis._asdict() for diagnosis in fact.diagnoses] or None,
        "conflict": _claims(fact.claims),
    }


def _claims(claims: Iterable[Claim]) -> list[dict[str, object]] | None:
    return [
        _present({"value": claim.value, "diagnoses": [code._asdict() for code in claim.diagnoses] or None})
        for claim in claims
    ] or None


def _present(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_text = json.JSONEncoder(ensure_ascii=False).encode
