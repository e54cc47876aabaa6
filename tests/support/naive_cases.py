"""The lives of cases a second time, the simple way: from sections 7 and 8 of the contract, with nothing of ours.

A log is a list of plain dicts, in the order in which they reach the cases, each with `kind` and `at` (when its record
was written, RFC 3339):

    decided      `request` and `decision`, the data of both; `would_certify`: the lines that case management may approve
    superseding  `request_id`, the earlier request; `by`, the later request's whole data
    reviewed     `verdict`, its data; `gives`: the id of the decision that comes of it, if it stands
    extended     `extension`, its data; `gives` likewise
    time         nothing else
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

Json = dict[str, Any]
OPEN = ("recommended", "waiting")
ADVERSE = ("A3", "A6")
PROVIDERS = ("information_needed", "invalid_code")
ANSWERS = {
    "medical_policy": ("not_addressed", "policy_not_on_record"),
    "case_management": ("no_prior_authorization",),
}


class Rules(NamedTuple):
    """What the policy document says of the clock and of adverse verdicts."""

    license_states: Mapping[str, str]
    """By line of business."""
    clocked: frozenset[str]
    """The lines of business that have a clock here; others are answered under another program's rules."""
    lengths: Mapping[str, timedelta]
    """Of the clock, by urgency."""
    due_soon: Mapping[str, timedelta]
    """How long before it is due that is announced, by urgency."""


class Lives(NamedTuple):
    """What came of a log."""

    cases: dict[str, Json]
    refused: list[tuple[str, str]]
    """The reason and the id of each verdict, extension or link that is refused."""
    links: dict[str, str]
    """`stands` or `refused`, by the id of the later request, which may have its case in another log."""


def lives(log: Iterable[Json], rules: Rules) -> Lives:
    """The state of every case after the log."""
    found = Lives({}, [], {})
    for event in log:
        if event["kind"] == "decided":
            _decided(found, event, rules)
        elif event["kind"] == "superseding":
            _superseding(found, event)
        elif event["kind"] == "reviewed":
            _reviewed(found, event, rules)
        elif event["kind"] == "extended":
            _extended(found, event, rules)
        else:
            _time(found, _moment(event["at"]))
    for name, case in found.cases.items():
        case["link"] = found.links.get(name)
    return found


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _milliseconds(text: str) -> int:
    return round(_moment(text).timestamp() * 1000)


def _decided(found: Lives, event: Json, rules: Rules) -> None:
    request, decision = event["request"], event["decision"]
    if request["request_id"] in found.cases:
        return
    asked = {line["line"]: line for line in request["service_lines"]}
    case: Json = {
        "request_id": request["request_id"],
        "certification": request["certification"],
        "urgency": request["urgency"],
        "line_of_business": request["member"]["line_of_business"],
        "requester": request["provider"]["npi"],
        "channel": request.get("channel") or "electronic",
        "submitted_at": request["submitted_at"],
        "first_submitted_at": request.get("first_submitted_at"),
        "supersedes": request.get("supersedes"),
        "decision_id": decision["decision_id"],
        "decision_ids": [decision["decision_id"]],
        "lines": [
            {
                **{name: line[name] for name in ("line", "system", "code", "determination", "action")},
                "units": asked[line["line"]]["units"],
                "service_date": asked[line["line"]]["service_date"],
                "certifies": line["line"] in event.get("would_certify", ()),
                "answered_by": None,
            }
            for line in decision["lines"]
        ],
        "due_at": decision.get("due_at"),
        "announced": [],
        "verdicts": {},
        "extensions": {},
        "last_verdict": None,
        "extended": False,
    }
    found.cases[case["request_id"]] = case
    _settle(case, event["at"], event["at"], "machine", rules)


def _settle(case: Json, at: str, determined_at: str, by: str, rules: Rules) -> None:
    """State and action from the lines."""
    pended = [line for line in case["lines"] if line["action"] == "A4"]
    case["action"] = _overall([line["action"] for line in case["lines"]])
    if not pended:
        case.update(state="final", due_at=None, closed_at=_milliseconds(at), determined_at=determined_at, by=by)
    elif any(line["determination"] in PROVIDERS for line in pended):
        case["state"] = "waiting"
    else:
        case["state"] = "recommended"
    waits = any(line["determination"] == "information_needed" for line in pended)
    starts = pended and by == "reviewer" and case["line_of_business"] in rules.clocked and not waits
    if starts and case["due_at"] is None:
        case["due_at"] = (_moment(determined_at) + rules.lengths[case["urgency"]]).isoformat()
    case["due_soon"] = rules.due_soon.get(case["urgency"])


def _overall(actions: list[str]) -> str:
    if "A4" in actions:
        return "A4"
    if len(set(actions)) == 1:
        return actions[0]
    if {"A1", "A2", "A6"} & set(actions):
        return "A2"
    return next((action for action in ("A3", "CT") if action in actions), "C")


def _superseding(found: Lives, event: Json) -> None:
    """A request whose link is judged: what it does to the earlier one, and whether the link stands."""
    earlier, by = found.cases.get(event["request_id"]), event["by"]
    if earlier is None:
        return
    found.links[by["request_id"]] = "stands"
    cancels = by["certification"] == "cancellation"
    closing = {"superseded_by": by["request_id"], "closed_at": _milliseconds(event["at"]), "due_at": None}
    if earlier["state"] in OPEN:
        earlier.update(state="cancelled" if cancels else "superseded", **closing)
    elif earlier["state"] == "final" and cancels:
        approved = earlier["action"] in {"A1", "A2", "A6"}
        if approved and by["provider"]["npi"] == earlier["requester"]:
            earlier.update(state="cancelled", **closing)
    elif earlier["action"] == "A3" and by["certification"] in {"revision", "extension", "renewal"}:
        found.links[by["request_id"]] = "refused"
        found.refused.append(("link", by["request_id"]))


def _reviewed(found: Lives, event: Json, rules: Rules) -> None:
    verdict = event["verdict"]
    case = found.cases.get(verdict["request_id"])
    if case is None:
        found.refused.append(("unknown_request", verdict["verdict_id"]))
        return
    if verdict["verdict_id"] in case["verdicts"]:
        if case["verdicts"][verdict["verdict_id"]] != verdict:
            found.refused.append(("conflicting_duplicate", verdict["verdict_id"]))
        return
    if not _stands(case, verdict, event["at"], rules):
        found.refused.append(("verdict_refused", verdict["verdict_id"]))
        return
    for answer in verdict["lines"]:
        line = next(line for line in case["lines"] if line["line"] == answer["line"])
        reasons = list(answer.get("reasons", ()))
        authorized = answer.get("authorized")
        line.update(action=answer["action"], reasons=reasons, authorized=authorized, answered_by=verdict["verdict_id"])
    case["verdicts"][verdict["verdict_id"]] = verdict
    case["last_verdict"] = verdict["verdict_id"]
    case["decision_id"] = event["gives"]
    case["decision_ids"].append(event["gives"])
    _settle(case, event["at"], verdict["decided_at"], "reviewer", rules)


def _stands(case: Json, verdict: Json, at: str, rules: Rules) -> bool:
    amends = verdict.get("amends")
    decided = _moment(verdict["decided_at"])
    in_time = _moment(case["submitted_at"]) <= decided <= _moment(at) + timedelta(minutes=5)
    if amends is None:
        state_allows = case["state"] in OPEN and verdict["decision_id"] in case["decision_ids"]
    else:
        newest = amends == case["last_verdict"] and verdict["decision_id"] == case["decision_id"]
        state_allows = case["state"] == "final" and newest
    return (
        in_time
        and state_allows
        and all(_line_allows(case, verdict, answer) for answer in verdict["lines"])
        and _reviewer_allows(case, verdict, rules)
    )


def _line_allows(case: Json, verdict: Json, answer: Json) -> bool:
    line = next((line for line in case["lines"] if line["line"] == answer["line"]), None)
    if line is None or line["determination"] == "invalid_code":
        return False
    if verdict.get("amends") is None:
        if line["action"] != "A4":
            return False
    elif line["answered_by"] is None or _takes_away(line, answer):
        return False
    if answer["action"] in ADVERSE and not (answer.get("reasons") and answer.get("text")):
        return False
    authorized = answer.get("authorized")
    if answer["action"] != "A6":
        return authorized is None
    return authorized is not None and _less_than_asked(line, authorized)


def _less_than_asked(line: Json, authorized: Json) -> bool:
    if authorized["units"] > line["units"]:
        return False
    days = [authorized[name] for name in ("from", "through") if authorized.get(name)]
    less = authorized["code"] != line["code"] or authorized["units"] < line["units"]
    return less and all(day == line["service_date"] for day in days)


def _takes_away(line: Json, answer: Json) -> bool:
    if line["action"] == "A1":
        return bool(answer["action"] != "A1")
    if line["action"] != "A6" or answer["action"] == "A1":
        return False
    before, now = line["authorized"], answer.get("authorized")
    return now is None or now["code"] != before["code"] or now["units"] < before["units"]


def _reviewer_allows(case: Json, verdict: Json, rules: Rules) -> bool:
    reviewer = verdict["reviewer"]
    lines = {line["line"]: line for line in case["lines"]}
    for answer in verdict["lines"]:
        line = lines[answer["line"]]
        if reviewer["role"] == "physician":
            continue
        if answer["action"] != "A1" or line["determination"] not in ANSWERS[reviewer["role"]]:
            return False
        if reviewer["role"] == "case_management" and not line["certifies"]:
            return False
    if not any(answer["action"] in ADVERSE for answer in verdict["lines"]):
        return True
    state = rules.license_states.get(case["line_of_business"])
    licensed = state is not None and reviewer.get("license_state") == state
    return licensed and verdict.get("evaluated") is True and verdict.get("concurrence") is True


def _extended(found: Lives, event: Json, rules: Rules) -> None:
    extension = event["extension"]
    case, id_ = found.cases.get(extension["request_id"]), extension["extension_id"]
    if case is None:
        found.refused.append(("unknown_request", id_))
    elif id_ in case["extensions"]:
        if case["extensions"][id_] != extension:
            found.refused.append(("conflicting_duplicate", id_))
    elif case["state"] not in OPEN or case["due_at"] is None or _moment(extension["until"]) < _moment(case["due_at"]):
        found.refused.append(("verdict_refused", id_))
    else:
        case["extensions"][id_] = extension
        case["decision_ids"].append(event["gives"])
        arms_again = _moment(extension["until"]) != _moment(case["due_at"])
        case.update(due_at=extension["until"], extended=True, decision_id=event["gives"])
        case["announced"] = [] if arms_again else case["announced"]
        case["due_soon"] = rules.due_soon.get(case["urgency"])


def _time(found: Lives, now: datetime) -> None:
    """Announce what is due, once each."""
    for case in found.cases.values():
        if case["state"] not in OPEN or case["due_at"] is None:
            continue
        due = _moment(case["due_at"])
        moments = {"due_soon": due - case["due_soon"] if case["due_soon"] is not None else None, "overdue": due}
        for kind, moment in moments.items():
            if moment is not None and moment <= now and kind not in case["announced"]:
                case["announced"].append(kind)
