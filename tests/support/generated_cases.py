"""Cases as their agent would leave them, at random: for what reads cases and asks nothing of how they came about."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from events.case import Case, CaseLine
from policy_core.document.models import PolicyDocument

Json = dict[str, Any]
BEGINS = datetime(2025, 11, 1, tzinfo=UTC)
CODES = [("cpt", f"868{number:02d}") for number in range(10, 25)] + [("icd-10-pcs", "30233Q1")]
REASONS = [str(number) for number in range(1, 16)]
STATES = ("final",) * 12 + ("recommended", "waiting", "cancelled", "superseded")
ACTIONS = ("A1",) * 6 + ("A3",) * 4 + ("A2", "A6", "CT", "C")
ALL_ALIKE = {"A1": ["A1"], "A2": ["A1", "A3"], "A3": ["A3"], "A6": ["A6"], "CT": ["CT"], "C": ["C"], "A4": ["A4"]}
LATER = ("revision", "extension", "renewal", "reconsideration", "reconsideration", "cancellation")


def generated_cases(seed: int, count: int) -> Iterator[Json]:
    """The states of cases, each a plain dict; those that supersede come after those that they supersede."""
    rng = Random(f"{seed}/cases")
    made: list[Json] = []
    for number in range(count):
        case = _case(rng, number, made[rng.randrange(len(made))] if made and rng.random() < 0.4 else None)
        made.append(case)
        yield case


def _case(rng: Random, number: int, earlier: Json | None) -> Json:
    state = STATES[int(rng.random() * len(STATES))]
    submitted = BEGINS + timedelta(seconds=rng.randrange(500 * 86_400), microseconds=rng.randrange(1_000_000))
    was_final = state == "final" or (state == "cancelled" and rng.random() < 0.5)
    action = ACTIONS[int(rng.random() * len(ACTIONS))] if was_final else "A4"
    case: Json = {
        "request_id": f"R-{number:07d}",
        "certification": "initial" if earlier is None else LATER[int(rng.random() * len(LATER))],
        "urgency": "expedited" if rng.random() < 0.2 else "standard",
        "submitted_at": submitted.isoformat(),
        "state": state,
        "action": action,
        "lines": [
            _line(rng, number + 1, of) for number, of in enumerate(ALL_ALIKE[action] * (1 + int(rng.random() * 2)))
        ],
    }
    if rng.random() < 0.3:
        case["channel"] = ("portal", "fax", "phone", "mail")[int(rng.random() * 4)]
    if rng.random() < 0.1:
        case["first_submitted_at"] = (submitted - timedelta(days=rng.randrange(1, 30))).isoformat()
    if rng.random() < 0.1:
        case["extended"] = True
    if was_final:
        case["determined_at"] = (submitted + timedelta(seconds=rng.randrange(20 * 86_400))).isoformat()
        case["by"] = "reviewer" if {"A3", "A6"} & set(ALL_ALIKE[action]) or rng.random() < 0.5 else "machine"
    if state in {"final", "cancelled", "superseded"}:
        case["closed_at"] = int((submitted + timedelta(days=rng.randrange(40))).timestamp() * 1000)
    if earlier is not None:
        case["supersedes"] = earlier["request_id"]
        case["link"] = "stands" if rng.random() < 0.9 else "refused"
    return case


def _line(rng: Random, line: int, action: str) -> Json:
    system, code = CODES[int(rng.random() ** 2 * len(CODES))]
    reasons = [REASONS[int(rng.random() ** 2 * len(REASONS))] for _ in range(2)] if action in {"A3", "A6"} else []
    return {"line": line, "system": system, "code": code, "action": action, "reasons": reasons}


def as_case(state: Mapping[str, Any]) -> Case:
    """A state as its record has it; what figures do not read is made up."""
    rest: Json = {"decision_id": "0" * 32, "opened_at": 0, "line_of_business": "commercial", "requester": "1234567893"}
    lines = tuple(
        CaseLine(
            line["line"], line["system"], line["code"], 1, "2026-01-01", "not_addressed", line["action"], "nobody",
            reasons=tuple(line.get("reasons", ())),
        )
        for line in state["lines"]
    )  # fmt: skip
    return Case(**rest, clock_state="stopped", **{**state, "lines": lines})


def listed_services(document: PolicyDocument) -> list[Json]:
    """The document's codes, each with the windows of days in which it must be."""
    valid = {system.system: (system.valid.since, system.valid.until) for system in document.codes.systems}
    return [
        {
            "system": code.system,
            "code": code.code,
            "windows": [
                (code.listed.since, code.listed.until),
                (code.valid.since, code.valid.until),
                valid.get(code.system, (None, None)),
            ],
        }
        for code in document.codes.listed
    ]
