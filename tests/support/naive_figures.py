"""The public figures of a year a second time, the simple way: from section 9 of the contract, with nothing of ours.

A case is a plain dict with the names of `authorization.cases`, and services are given as the policy's list has them.
"""

import statistics
from collections.abc import Sequence
from datetime import date, datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]


def naive_figures(cases: Sequence[Json], services: Sequence[Json], zone: str, year: int) -> dict[str, Json]:
    """Every figure's value by its id.

    Args:
        cases: The last state of every case.
        services: Each with `system`, `code`, and the windows of days in which it must be: pairs of days or None.
        zone: The time zone of the year.
        year: The year.
    """
    counted, appeals, left_out = _in_year(_units(cases), ZoneInfo(zone), year)
    found: dict[str, Json] = {"1": {"services": _required(services, year)}, "left out": left_out}
    for urgency, names in (
        ("standard", ("2", "2a", "2b", "3", "8", "4")),
        ("expedited", ("6", "6a", "6b", "7", "9", "4a")),
    ):
        of = [unit for unit in counted if unit["urgency"] == urgency]
        by = {who: [unit for unit in of if unit["by"] == who] for who in ("machine", "reviewer")}
        for name, action in zip(names, ("A1", "A2", "A6", "A3"), strict=False):
            found[name] = {**_part(of, action), **{who: _part(some, action) for who, some in by.items()}}
        found[names[4]] = {**_taken(of), **{who: _taken(some) for who, some in by.items()}}
        appealed = [unit for unit in appeals if unit["urgency"] == urgency]
        found[names[5]] = {
            **_part(appealed, "A1"),
            "in_part": _with(appealed, "A2"),
            "modified": _with(appealed, "A6"),
            "denied": _with(appealed, "A3"),
        }
    extended = [unit for unit in counted if unit["extended"]]
    found["5"] = {**_share(_with(extended, "A1"), len(counted)), "extended": len(extended)}
    found["requests"] = {"count": len(counted)}
    found["denials"] = {"count": _with(counted, "A3")}
    found["appeals"] = {"count": len(appeals)}
    found["reversals"] = {
        "count": _with(appeals, "A1"),
        "in_part": _with(appeals, "A2"),
        "modified": _with(appeals, "A6"),
    }
    channels = [unit["channel"] for unit in counted if unit["channel"] != "electronic"]
    found["not electronic"] = {
        "count": len(channels),
        "by_channel": {channel: channels.count(channel) for channel in sorted(set(channels))},
    }
    refused = [line for unit in counted for line in unit["lines"] if line["action"] == "A3"]
    codes = [(line["system"], line["code"]) for line in refused]
    reasons = [reason for line in refused for reason in set(line.get("reasons", ()))]
    found["denied services"] = {
        "services": [{"system": system, "code": code, "count": count} for (system, code), count in _ten_most(codes)]
    }
    found["reasons"] = {"reasons": [{"code": code, "count": count} for code, count in _ten_most(reasons)]}
    return found


def _in_year(units: Sequence[Json], place: ZoneInfo, year: int) -> tuple[list[Json], list[Json], Json]:
    """The units that are counted, the appeals, and how many are left out."""
    left_out = {"open": 0, "cancelled": 0, "contact_payer": 0, "no_end_known": 0}
    appeals: list[Json] = []
    counted: list[Json] = []
    for unit in units:
        if any(case["state"] in {"waiting", "recommended"} for case in unit["requests"]):
            left_out["open"] += unit["submitted"].astimezone(place).year <= year
        elif any(case["state"] == "final" for case in unit["requests"]):
            if unit["determined"].astimezone(place).year != year:
                continue
            if unit["action"] in {"CT", "C"}:
                left_out["contact_payer" if unit["action"] == "CT" else "cancelled"] += 1
            else:
                (appeals if unit["appeal"] else counted).append(unit)
        else:
            was_cancelled = [case for case in unit["requests"] if case["state"] == "cancelled"]
            closed = max(case["closed_at"] for case in was_cancelled or unit["requests"])
            if datetime.fromtimestamp(closed / 1000, place).year == year:
                left_out["cancelled" if was_cancelled else "no_end_known"] += 1
    return counted, appeals, left_out


def _units(cases: Sequence[Json]) -> list[Json]:
    """The chains: requests that supersede each other before anything is finally determined."""
    by_id = {case["request_id"]: case for case in cases}

    def before(case: Json) -> Json | None:
        stands = case.get("link") == "stands"
        earlier = by_id.get(case.get("supersedes")) if stands else None
        return None if earlier is None or earlier["certification"] == "cancellation" else earlier

    members: dict[str, list[Json]] = {}
    for case in cases:
        if case["certification"] == "cancellation":
            continue
        first = case
        while (earlier := before(first)) is not None and earlier.get("determined_at") is None:
            first = earlier
        members.setdefault(first["request_id"], []).append(case)
    return [_unit(by_id[first], requests, before(by_id[first])) for first, requests in members.items()]


def _unit(first: Json, requests: list[Json], appealed: Json | None) -> Json:
    final = [case for case in requests if case["state"] == "final"]
    last = max(final, key=lambda case: (_moment(case["determined_at"]), case["request_id"])) if final else first
    determined = last.get("determined_at") if final else None
    return {
        "requests": requests,
        "submitted": min(_moment(case.get("first_submitted_at") or case["submitted_at"]) for case in requests),
        "determined": _moment(determined) if determined else None,
        "action": last["action"],
        "by": last.get("by"),
        "urgency": last["urgency"],
        "channel": first.get("channel") or "electronic",
        "extended": any(case.get("extended") for case in requests),
        "lines": last["lines"],
        "appeal": first["certification"] == "reconsideration" and appealed is not None and appealed["action"] == "A3",
    }


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _with(units: Sequence[Json], action: str) -> int:
    return sum(unit["action"] == action for unit in units)


def _part(units: Sequence[Json], action: str) -> Json:
    return _share(_with(units, action), len(units))


def _share(count: int, of: int) -> Json:
    return {"count": count, "of": of, "percent": float(round(Fraction(count, of) * 100, 1)) if of else None}


def _taken(units: Sequence[Json]) -> Json:
    """Average and median in seconds."""
    if not units:
        return {"count": 0, "average_seconds": None, "median_seconds": None}
    taken = []
    for unit in units:
        elapsed = unit["determined"] - unit["submitted"]
        taken.append(Fraction(elapsed.days * 86_400 + elapsed.seconds) + Fraction(elapsed.microseconds, 1_000_000))
    found = {"average_seconds": Fraction(sum(taken), len(taken)), "median_seconds": statistics.median(taken)}
    return {"count": len(taken), **{name: float(round(value, 3)) for name, value in found.items()}}


def _ten_most(found: Sequence[Any]) -> list[tuple[Any, int]]:
    counted: dict[Any, int] = {}
    for one in found:
        counted[one] = counted.get(one, 0) + 1
    return sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:10]


def _required(services: Sequence[Json], year: int) -> list[Json]:
    days = [date.fromordinal(day) for day in range(date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal())]
    found = [
        {"system": service["system"], "code": service["code"]}
        for service in services
        if any(
            all(
                (since is None or since <= day) and (until is None or day < until)
                for since, until in service["windows"]
            )
            for day in days
        )
    ]
    return sorted(found, key=lambda service: (service["system"], service["code"]))
