"""What happens to a synthetic request after its decision: verdicts, extensions, supersessions, cancellations, appeals.

The events that follow a request depend on the seed, the request and the decision alone. Most verdicts stand; some lack
what they need, as in practice. Which ones stand is for the cases to say.
"""

# ruff: noqa: PLR2004, S311 (shares of the mix are literals, and random numbers must be reproducible)

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, Literal, NamedTuple

Json = dict[str, Any]
Kind = Literal["requested", "reviewed", "extended"]
STATE = "MS"
REASONS = ("41", "42", "46", "69", "70", "83", "88", "95")
"""X12 code list 886."""
SPECIALTIES = ("hematology", "medical oncology", "internal medicine")
_ROLES = {"medical_policy_reviewer": "medical_policy", "case_management": "case_management"}
_KNOWN = {
    "malignancy": "hematologic",
    "disease_status": "relapsed",
    "purposes": ["treat_relapse"],
    "transplant": {"type": "allogeneic", "original_determination": "medically_necessary"},
    "infusion": {"leukocyte_modification": "none"},
}
"""What the provider answers to any question."""


class LaterEvent(NamedTuple):
    """One event of a life."""

    at: datetime
    """When it is sent."""
    kind: Kind
    data: Json


def later_events(seed: int, request: Mapping[str, Any], decision: Mapping[str, Any]) -> list[LaterEvent]:
    """What follows a decision, in the order of time.

    Args:
        seed: The seed of all lives.
        request: The request's data.
        decision: The decision's data.

    Returns:
        Events to send. A verdict names the given decision: also one on the lines that an earlier one left, for they
        are unchanged. One that amends another has no `decision_id`: put in that of the decision that came of the
        other. A later request is decided like any other, and then has a life of its own.
    """
    rng = Random(f"{seed}/lives/{request['request_id']}")
    life = _Life(rng, request, decision)
    pended = [line for line in decision["lines"] if line["action"] == "A4"]
    if decision["action"] in {"A1", "A2"}:
        life.after_approval()
    elif not pended:
        return []
    elif rng.random() < 0.08:
        life.cancelled()
    elif all(line["acts_next"] == "provider" for line in pended):
        life.answered_by_provider()
    else:
        life.reviewed([line for line in pended if line["acts_next"] != "provider"])
    return sorted(life.events, key=lambda event: event.at)


class _Life:
    """The events of one request while they are made."""

    def __init__(self, rng: Random, request: Mapping[str, Any], decision: Mapping[str, Any]) -> None:
        self._rng = rng
        self._request = request
        self._decision = decision
        self._now = datetime.fromisoformat(request["submitted_at"])
        self._asked = {line["line"]: line for line in request["service_lines"]}
        self.events: list[LaterEvent] = []

    def after_approval(self) -> None:
        """Few approvals are cancelled, some are renewed."""
        chance = self._rng.random()
        if chance < 0.03:
            self.cancelled()
        elif chance < 0.10:
            self._pass(30, 150)
            self._ask("renewal")

    def cancelled(self) -> None:
        """The requester cancels; rarely somebody else tries to."""
        self._pass(0.1, 4)
        other = self._rng.random() < 0.2
        self._ask("cancellation", **({"provider": {"npi": "1234567893"}} if other else {}))

    def answered_by_provider(self) -> None:
        """The provider sends what is missing as a revision, or nothing comes."""
        if self._rng.random() < 0.75:
            self._pass(0.5, 10)
            first = self._request.get("first_submitted_at") or self._request["submitted_at"]
            self._ask("revision", clinical=_KNOWN, first_submitted_at=first)

    def reviewed(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Reviewers answer, all at once or in two parts, sometimes after an extension; some never do."""
        if self._rng.random() < 0.07:
            return
        if self._rng.random() < 0.06:
            self._extend()
        if self._rng.random() < 0.05:
            self._pass(0.1, 1)
            self._refused_one(lines)
        parts = [lines[:1], lines[1:]] if len(lines) > 1 and self._rng.random() < 0.15 else [lines]
        actions = [self._answer(part, number) for number, part in enumerate(parts, start=1)]
        if self._rng.random() < 0.03 and "A3" in actions[-1]:
            self._amend(parts[-1], len(parts))
        elif all(action == "A3" for part in actions for action in part) and self._rng.random() < 0.3:
            self._pass(5, 60)
            self._ask("reconsideration")

    def _pass(self, least: float, most: float) -> None:
        """Let some days pass."""
        seconds = 86_400 * (least + (most - least) * self._rng.random())
        self._now += timedelta(seconds=int(seconds))

    def _ask(self, certification: str, **changed: Any) -> None:
        data = {**self._request, **changed}
        earlier = self._request["request_id"]
        number = len(self.events) + 1
        data |= {"request_id": f"{earlier}-{number}", "certification": certification, "supersedes": earlier}
        self.events.append(LaterEvent(self._now, "requested", data | {"submitted_at": self._now.isoformat()}))

    def _extend(self) -> None:
        due = self._decision.get("due_at")
        self._pass(0.5, 2)
        until = datetime.fromisoformat(due) if due else self._now
        data = {
            "extension_id": f"{self._request['request_id']}-E1",
            "request_id": self._request["request_id"],
            "until": (until + timedelta(days=7)).isoformat(),
            "reason": "Records were requested from the transplant center.",
        }
        self.events.append(LaterEvent(self._now, "extended", data))

    def _answer(self, lines: Sequence[Mapping[str, Any]], number: int) -> list[str]:
        self._pass(0.05, 6)
        role = self._role(lines)
        answers = [self._line(line, role) for line in lines]
        self._send(f"V{number}", role, answers)
        return [answer["action"] for answer in answers]

    def _role(self, lines: Sequence[Mapping[str, Any]]) -> str:
        """Who may answer all of these lines: their own reviewer if it is one, else a physician."""
        waiting = {line["acts_next"] for line in lines}
        only = _ROLES.get(waiting.pop()) if len(waiting) == 1 else None
        return only if only is not None and self._rng.random() < 0.8 else "physician"

    def _line(self, line: Mapping[str, Any], role: str) -> Json:
        asked = self._asked[line["line"]]
        chance = self._rng.random() if role == "physician" else 1.0
        answer: Json = {"line": line["line"], "action": "A1" if chance >= 0.6 else "A3"}
        if chance < 0.08 and asked["units"] > 1:
            answer["action"] = "A6"
            answer["authorized"] = {"code": line["code"], "units": asked["units"] - 1}
        if answer["action"] != "A1":
            reasons = [REASONS[int(self._rng.random() ** 2 * len(REASONS))]]
            answer |= {"reasons": reasons, "text": "The records do not show that the criteria are met."}
        return answer

    def _send(self, name: str, role: str, answers: Sequence[Json], **named: Any) -> None:
        verdict: Json = {
            "verdict_id": f"{self._request['request_id']}-{name}",
            "request_id": self._request["request_id"],
            "decision_id": self._decision["decision_id"],
            "reviewer": {"role": role},
            "lines": list(answers),
            "decided_at": self._now.isoformat(),
        }
        if role == "physician":
            specialty = SPECIALTIES[int(self._rng.random() * len(SPECIALTIES))]
            verdict["reviewer"] |= {"license_state": STATE, "specialty": specialty}
            verdict |= {"evaluated": True, "concurrence": True}
        verdict |= named
        sent = {field: value for field, value in verdict.items() if value is not None}
        self.events.append(LaterEvent(self._now, "reviewed", sent))

    def _refused_one(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """An adverse verdict of a wrong state, of a wrong role, or without concurrence: it is refused."""
        reasons: Json = {"reasons": [REASONS[0]], "text": "The criteria are not met."}
        answers = [{"line": line["line"], "action": "A3", **reasons} for line in lines]
        kind = int(self._rng.random() * 3)
        if kind == 0:
            self._send("X1", "physician", answers, reviewer={"role": "physician", "license_state": "TX"})
        else:
            self._send("X1", "medical_policy" if kind == 1 else "physician", answers, concurrence=False)

    def _amend(self, lines: Sequence[Mapping[str, Any]], number: int) -> None:
        """The reviewer corrects the last verdict to an approval."""
        self._pass(0.5, 5)
        answers = [{"line": line["line"], "action": "A1"} for line in lines]
        amended = f"{self._request['request_id']}-V{number}"
        self._send(f"V{number + 1}", "physician", answers, amends=amended, decision_id=None)
