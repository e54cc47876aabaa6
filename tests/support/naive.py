"""A second opinion on the policy, written the naive way.

This module says what the semantics of L.2.03.402 say, in their order and row by row, with plain ifs and brute
enumeration. It imports nothing of the project: tests compare the product's engine with it.

Three ways to the clinical step, from obvious to fast:

* `decide_complete`: every fact known: the table of rows a to i.
* `decide_partial`: some facts known: look at *every* completion and compare.
* `all_partial`: the same for every partial case at once.

`decide_request` is the whole: a request in, the determinations of its lines out.
"""

import calendar
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import cache
from itertools import product
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Edition = Literal["2011-08-11", "2016-03-08"]
Value = str | bool | frozenset[str]
Facts = Mapping[str, Value]
Request = Mapping[str, Any]
Bits = NDArray[np.uint16]

# --- The fact space --------------------------------------------------------------------------------

MALIGNANCY: Final = "clinical.malignancy"
TRANSPLANT: Final = "clinical.transplant.type"
ORIGINAL: Final = "clinical.transplant.original_determination"
DEPLETED: Final = "clinical.transplant.graft_t_cell_depleted"
CONDITIONING: Final = "clinical.transplant.conditioning"
STATUS: Final = "clinical.disease_status"
CHIMERISM: Final = "clinical.chimerism"
PURPOSES: Final = "clinical.purposes"
OTHER_RISK: Final = "clinical.other_high_relapse_risk"
MODIFICATION: Final = "clinical.infusion.leukocyte_modification"
SAME_DONOR: Final = "clinical.infusion.donor_is_transplant_donor"

PREVENT: Final = "prevent_relapse"
CONVERT: Final = "convert_mixed_chimerism"

FACTS: Final[Mapping[str, tuple[Value, ...]]] = {
    MALIGNANCY: ("hematologic", "nonhematologic", "none"),
    TRANSPLANT: ("allogeneic", "autologous", "none"),
    ORIGINAL: ("medically_necessary", "investigational"),
    DEPLETED: (False, True),
    CONDITIONING: ("myeloablative", "reduced_intensity", "nonmyeloablative"),
    STATUS: ("relapsed", "refractory", "remission"),
    CHIMERISM: ("mixed", "full_donor", "recipient"),
    PURPOSES: (frozenset(), frozenset({PREVENT}), frozenset({CONVERT}), frozenset({PREVENT, CONVERT})),
    OTHER_RISK: (False, True),
    MODIFICATION: ("none", "genetic", "other"),
    SAME_DONOR: (False, True),
}
"""Every fact the clinical step reads and its values, in the order of the axes of every table below."""

DETERMINATIONS: Final = (
    "medically_necessary",
    "investigational",
    "criteria_not_met",
    "not_addressed",
    "policy_not_on_record",
    "information_needed",
)
"""The clinical step's determinations; a table holds their positions here."""

REASONS: Final = (
    "not_dli_by_definition",
    "not_a_malignancy",
    "no_allogeneic_transplant",
    "unlisted_high_risk_setting",
    "no_covered_indication",
)
"""The clinical step's reasons; reason i is bit `1 << i` of a table's reasons."""

# --- Step 7 with every fact known: rows a to i -----------------------------------------------------


def decide_complete(edition: Edition, facts: Facts) -> tuple[str, str | None, str]:  # noqa: PLR0911
    """Walk the table's rows in order; the first that applies decides.

    Args:
        edition: The statements in force: those published 2016-03-08, or those on record of 2011-08-11.
        facts: A value for every one of FACTS.

    Returns:
        The determination, its reason if it has one, and the row's letter.
    """
    y2011 = edition == "2011-08-11"

    # Row a. leukocytes modified, genetic or other (S4; not recorded in 2011)
    if facts[MODIFICATION] in {"genetic", "other"}:
        return ("policy_not_on_record" if y2011 else "investigational"), None, "a"
    # Row b. the donor is not the transplant's donor
    if facts[SAME_DONOR] is False:
        return "not_addressed", "not_dli_by_definition", "b"
    # Row c. malignancy is none
    if facts[MALIGNANCY] == "none":
        return "not_addressed", "not_a_malignancy", "c"
    # Row d. transplant is not allogeneic
    if facts[TRANSPLANT] != "allogeneic":
        return "criteria_not_met", "no_allogeneic_transplant", "d"
    # Row e. malignancy nonhematologic (S3; not recorded in 2011)
    if facts[MALIGNANCY] == "nonhematologic":
        return ("policy_not_on_record" if y2011 else "investigational"), None, "e"
    # Row f. original determination investigational (S2; not recorded in 2011)
    if facts[ORIGINAL] == "investigational":
        return ("policy_not_on_record" if y2011 else "investigational"), None, "f"
    # Row g. any indication of S1 holds
    if _relapsed(facts) or _refractory(facts) or _high_risk_of_relapse(facts) or _mixed_chimerism(facts):
        return "medically_necessary", None, "g"
    # Row h. no indication holds, another high risk and the purpose prevent_relapse
    if facts[OTHER_RISK] is True and _has_purpose(facts, PREVENT):
        return "not_addressed", "unlisted_high_risk_setting", "h"
    # Row i. no indication holds
    return "criteria_not_met", "no_covered_indication", "i"


def _relapsed(facts: Facts) -> bool:
    """Indication (1): the disease has relapsed."""
    return facts[STATUS] == "relapsed"


def _refractory(facts: Facts) -> bool:
    """Indication (2): the disease is refractory."""
    return facts[STATUS] == "refractory"


def _high_risk_of_relapse(facts: Facts) -> bool:
    """Indication (3): to prevent relapse after a T-cell depleted graft or a reduced conditioning."""
    high_risk = facts[DEPLETED] is True or facts[CONDITIONING] in {"nonmyeloablative", "reduced_intensity"}
    return _has_purpose(facts, PREVENT) and high_risk


def _mixed_chimerism(facts: Facts) -> bool:
    """Indication (4): to convert a chimerism that is mixed."""
    return _has_purpose(facts, CONVERT) and facts[CHIMERISM] == "mixed"


def _has_purpose(facts: Facts, purpose: str) -> bool:
    purposes = facts[PURPOSES]
    return isinstance(purposes, frozenset) and purpose in purposes


# --- Step 7 with facts missing: every completion ---------------------------------------------------


class Complete(NamedTuple):
    """`decide_complete` of every complete case: one axis for each of FACTS, one index for each value."""

    determination: Bits
    """The determination's position in DETERMINATIONS."""
    reasons: Bits
    """The reason's bit, or 0 where there is none."""


@cache
def all_complete(edition: Edition) -> Complete:
    """Ask `decide_complete` about all 46,656 complete cases."""
    shape = tuple(len(values) for values in FACTS.values())
    answers = [decide_complete(edition, dict(zip(FACTS, values, strict=True))) for values in product(*FACTS.values())]
    determination = [DETERMINATIONS.index(determination) for determination, _, _ in answers]
    reasons = [0 if reason is None else 1 << REASONS.index(reason) for _, reason, _ in answers]
    return Complete(
        np.array(determination, dtype=np.uint16).reshape(shape),
        np.array(reasons, dtype=np.uint16).reshape(shape),
    )


def decide_partial(edition: Edition, known: Facts) -> tuple[str, set[str], set[str]]:
    """Decide with only some facts known, from every completion of the others.

    Args:
        edition: As for `decide_complete`.
        known: A value for each known fact; a fact left out is unknown.

    Returns:
        The determination that all completions give, with all their reasons; or information_needed, with
        each fact such that two completions differ in it alone and give different determinations.
    """
    table = all_complete(edition)
    # On each axis the value of a known fact, all values of an unknown one: these are the completions.
    completions = np.ix_(
        *([values.index(known[fact])] if fact in known else range(len(values)) for fact, values in FACTS.items())
    )
    determinations = table.determination[completions]
    different = set(determinations.flat)
    if len(different) == 1:
        reasons = set(table.reasons[completions].flat)
        return (
            DETERMINATIONS[different.pop()],
            {reason for bit, reason in enumerate(REASONS) if 1 << bit in reasons},
            set(),
        )
    relevant = {fact for axis, fact in enumerate(FACTS) if (determinations.min(axis) != determinations.max(axis)).any()}
    return "information_needed", set(), relevant


# --- Step 7 for every partial case at once ---------------------------------------------------------


class Partial(NamedTuple):
    """The clinical step for all partial cases: one axis for each of FACTS.

    On each axis, index i is the fact's i-th value, and the *last* index says that the fact is unknown.
    """

    determination: Bits
    """The determination's position in DETERMINATIONS."""
    reasons: Bits
    """Bit `1 << i` for each reason `REASONS[i]`; 0 where information is needed."""
    missing: Bits
    """Bit `1 << i` for each missing fact `list(FACTS)[i]`; 0 where nothing is needed."""


def all_partial(edition: Edition) -> Partial:
    """Decide all 1,658,880 partial cases, by OR-ing along axes.

    What the completions of a partial case give is a set, kept as a bitmask. An unknown fact can take each of
    its values, so the set for "unknown" is the union of the sets for its values: OR along the fact's axis,
    appended as that axis's last index. Done for one axis after the other, this covers all combinations.
    """
    complete = all_complete(edition)
    axes = range(len(FACTS))

    given = _with_unknown(np.uint16(1) << complete.determination, axes)  # the set of determinations
    reasons = _with_unknown(complete.reasons, axes)  # the set of reasons

    # A set of one determination is that determination; any other set needs information.
    needed = DETERMINATIONS.index("information_needed")
    determination = np.full_like(given, needed)
    for position in range(needed):
        determination[given == 1 << position] = position
    reasons[determination == needed] = 0

    missing = np.zeros(given.shape, dtype=np.uint16)
    for axis in axes:
        # Does the fact alone make a difference while all others are known? OR-ed along the other axes: does
        # it for any completion of the others? A fact is missing only where it is unknown, at its last index.
        lowest = complete.determination.min(axis, keepdims=True)
        alone = lowest != complete.determination.max(axis, keepdims=True)
        relevant = _with_unknown(alone.astype(np.uint16) << axis, [other for other in axes if other != axis])
        where_unknown = tuple(slice(-1, None) if other == axis else slice(None) for other in axes)
        missing[where_unknown] |= relevant
    return Partial(determination, reasons, missing)


def _with_unknown(sets: Bits, axes: Iterable[int]) -> Bits:
    """Append to each of the axes a last index, "unknown", whose sets are the unions over its values."""
    for axis in axes:
        sets = np.concatenate([sets, np.bitwise_or.reduce(sets, axis=axis, keepdims=True)], axis=axis)
    return sets


# --- Section 4: revisions --------------------------------------------------------------------------

REVISIONS: Final = tuple(
    date.fromisoformat(day)
    for day in (
        "1998-08-01",
        "2002-02-14",
        "2002-04-26",
        "2004-03-25",
        "2004-09-02",
        "2005-01-10",
        "2011-08-11",
        "2012-06-06",
        "2013-08-09",
        "2014-07-10",
        "2015-08-25",
        "2015-09-18",
        "2016-03-08",
        "2016-06-06",
        "2019-09-30",
        "2021-12-27",
        "2023-04-04",
        "2024-04-29",
        "2025-03-28",
    )
)
"""The nineteen dated entries of the source's history."""

EXCEPTIONS_FROM: Final = date(2024, 4, 29)
"""From here on the exceptions for fep and state_and_school are on record."""


def revision_on(day: date) -> date | None:
    """The revision in force: from its date to the next one's."""
    return max((revision for revision in REVISIONS if revision <= day), default=None)


def edition_on(day: date) -> Edition | None:
    """The statements on record for service dates on that day."""
    if day >= date(2016, 3, 8):
        return "2016-03-08"
    if day >= date(2011, 8, 11):
        return "2011-08-11"
    return None


# --- Section 3: codes ------------------------------------------------------------------------------

ICD_10_FROM: Final = date(2015, 10, 1)
ALWAYS: Final = (date.min, date.max)

LISTED: Final[Mapping[tuple[str, str], tuple[date, date]]] = {
    ("cpt", "38242"): (date(2005, 1, 10), date.max),
    ("cpt", "86812"): (date(2004, 9, 2), date.max),
    ("cpt", "86813"): (date(2004, 9, 2), date.max),
    ("cpt", "86817"): (date(2004, 9, 2), date.max),
    ("cpt", "86950"): ALWAYS,
    ("cpt", "36511"): (date(2004, 9, 2), date(2005, 1, 10)),
    ("cpt", "36520"): (date.min, date(2005, 1, 10)),
    ("icd-9-pcs", "9909"): ALWAYS,
    ("icd-10-pcs", "30233Q1"): (date(2015, 8, 25), date.max),
    ("icd-10-pcs", "30243Q1"): (date(2015, 8, 25), date.max),
    ("icd-10-pcs", "30253Q1"): (date(2015, 8, 25), date(2021, 12, 27)),
    ("icd-10-pcs", "30263Q1"): (date(2015, 8, 25), date(2021, 12, 27)),
}
"""When a code is in the policy's list: from the first day, up to (not including) the second."""

DELETED_FROM: Final[Mapping[tuple[str, str], date]] = {
    ("cpt", "36520"): date(2004, 9, 2),
    ("icd-10-pcs", "30253Q1"): date(2019, 10, 1),
    ("icd-10-pcs", "30263Q1"): date(2019, 10, 1),
}
"""Codes the policy's record shows as deleted from their own code set."""


def comparable(system: str, code: str) -> str:
    """A code as it is compared: trimmed, upper-case, and but for CPT and HCPCS without dots."""
    code = code.strip().upper()
    return code if system in {"cpt", "hcpcs"} else code.replace(".", "")


def is_valid(system: str, code: str, day: date) -> bool:
    """Whether the code is valid on the day in its own code set, as far as the policy's record shows."""
    if system == "icd-9-pcs" and day >= ICD_10_FROM:
        return False
    if system == "icd-10-pcs" and day < ICD_10_FROM:
        return False
    if system == "cpt" and not re.fullmatch("[0-9A-Z]{5}", code):
        return False
    return day < DELETED_FROM.get((system, code), date.max)


def is_listed(system: str, code: str, day: date) -> bool:
    """Whether the code is in the policy's list on that day."""
    if (system, code) not in LISTED:
        return False
    first, end = LISTED[system, code]
    return first <= day < end


# --- Section 1: what is known ----------------------------------------------------------------------


def derived_malignancy(system: str, code: str) -> str | None:
    """The malignancy that a diagnosis code (in comparable form) says, or nothing."""
    category = code[:3]
    if system == "icd-10-cm":
        if category == "D46" or _is_between(category, "C", 81, 96):
            return "hematologic"
        if category in {"C4A", "C7A", "C7B"} or _is_between(category, "C", 0, 80):
            return "nonhematologic"
        return None
    if code in {"23872", "23873", "23874", "23875"} or _is_between(category, "", 200, 208):
        return "hematologic"
    if category == "209" or _is_between(category, "", 140, 199):
        return "nonhematologic"
    return None


def derived_status(system: str, code: str) -> str | None:
    """The disease status that a diagnosis code (in comparable form) says, or nothing."""
    if system != "icd-10-cm" or not _is_between(code[:3], "C", 90, 95) or len(code) != 5:
        return None
    return {"2": "relapsed", "1": "remission"}.get(code[-1])


def _is_between(category: str, letter: str, first: int, last: int) -> bool:
    """Whether a three-character category is the letter and then a number from first to last."""
    digits = category[len(letter) :]
    return (
        len(category) == 3
        and category.startswith(letter)
        and re.fullmatch("[0-9]+", digits) is not None
        and first <= int(digits) <= last
    )


DERIVATIONS: Final[Mapping[str, Callable[[str, str], str | None]]] = {
    MALIGNANCY: derived_malignancy,
    STATUS: derived_status,
}

PRESUMED: Final[Facts] = {SAME_DONOR: True, OTHER_RISK: False}


def stated(request: Request, fact: str) -> Value | None:
    """What the request itself says of a fact; None where it says nothing (absent, or null)."""
    value: Any = request
    for name in fact.split("."):
        value = None if value is None else value.get(name)
    if value is None:
        return None
    if fact == PURPOSES:
        return frozenset(value) & {PREVENT, CONVERT}
    assert isinstance(value, str | bool)
    return value


def derived(request: Request, fact: str) -> set[str]:
    """What the request's diagnosis codes say of a fact; the policy derives nothing from past procedures."""
    if fact not in DERIVATIONS:
        return set()
    diagnoses = request.get("diagnoses") or []
    values = {DERIVATIONS[fact](d["system"], comparable(d["system"], d["code"])) for d in diagnoses}
    return {value for value in values if value is not None}


def known_facts(request: Request) -> tuple[dict[str, Value], set[str]]:
    """What is known for step 7 (stated, derived or presumed), and the facts whose sources contradict."""
    known: dict[str, Value] = {}
    conflicting: set[str] = set()
    for fact in FACTS:
        said = stated(request, fact)
        values: set[Value] = {*derived(request, fact)} | (set() if said is None else {said})
        if len(values) > 1:
            conflicting.add(fact)
        elif values:
            known[fact] = values.pop()
        elif fact in PRESUMED:
            known[fact] = PRESUMED[fact]
    return known, conflicting


# --- Section 2: the determination of one line ------------------------------------------------------


def decide_line(request: Request, line: Mapping[str, Any]) -> tuple[str, set[str], set[str]]:  # noqa: PLR0911
    """The steps in order; the first that applies decides.

    Returns:
        The determination, its reasons and the missing facts.
    """
    day = date.fromisoformat(line["service_date"])
    edition = edition_on(day)
    program = request["member"]["line_of_business"]
    code = comparable(line["system"], line["code"])

    # 1
    if request["certification"] == "cancellation":
        return "cancelled", set(), set()
    # 2
    if edition is None:
        return "policy_not_on_record", set(), set()
    # 3
    if program in {"fep", "state_and_school"}:
        return ("redirected" if day >= EXCEPTIONS_FROM else "policy_not_on_record"), set(), set()
    # 4
    if not is_valid(line["system"], code, day):
        return "invalid_code", set(), set()
    # 5
    if not is_listed(line["system"], code, day):
        return "not_addressed", {"code_not_listed"}, set()
    # 6
    if day < _date_as_written(request) and request.get("prior_authorization_number") is None:
        return "no_prior_authorization", set(), set()
    # 7
    known, _ = known_facts(request)
    return decide_partial(edition, known)


def _date_as_written(request: Request) -> date:
    """The date of `submitted_at` in its own offset: its first ten characters."""
    return date.fromisoformat(request["submitted_at"][:10])


# --- What a determination becomes ------------------------------------------------------------------

ACTIONS: Final[Mapping[str, str]] = {
    "medically_necessary": "A1",
    "information_needed": "A4",
    "investigational": "A4",
    "criteria_not_met": "A4",
    "not_addressed": "A4",
    "policy_not_on_record": "A4",
    "no_prior_authorization": "A4",
    "redirected": "CT",
    "invalid_code": "A4",
    "cancelled": "C",
}


WAITS_FOR: Final[Mapping[str, str]] = {
    "information_needed": "provider",
    "investigational": "reviewer",
    "criteria_not_met": "reviewer",
    "not_addressed": "reviewer",
    "policy_not_on_record": "reviewer",
    "no_prior_authorization": "reviewer",
    "invalid_code": "provider",
}
"""Whom a pended line waits for."""


def stage(determinations: set[str]) -> str:
    """A recommendation where a line is pended for review, open where one is pended otherwise, else final."""
    waits_for = {WAITS_FOR[determination] for determination in determinations if determination in WAITS_FOR}
    if "reviewer" in waits_for:
        return "recommendation"
    if "provider" in waits_for:
        return "open"
    return "final"


def overall_action(actions: set[str]) -> str:
    """The action of the whole request, from those of its lines."""
    if len(actions) == 1:
        return next(iter(actions))
    if "A4" in actions:
        return "A4"
    if "A1" in actions:
        return "A2"
    message = f"no overall action for {sorted(actions)}"
    raise AssertionError(message)


MONTHS_VALID: Final = {"commercial": 6}


def valid_through(request: Request, determination: str) -> date | None:
    """The last day of an approval: six calendar months from the request's date as written; None for no approval."""
    months = MONTHS_VALID.get(request["member"]["line_of_business"])
    if determination != "medically_necessary" or months is None:
        return None
    return later_month(_date_as_written(request), months)


def later_month(day: date, months: int) -> date:
    """The same day so many months later, one month after the other; the last day of a month that lacks it."""
    year, month = day.year, day.month
    for _ in range(months):
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    last = calendar.monthrange(year, month)[1]
    return date(year, month, min(day.day, last))


class ClockRule(NamedTuple):
    """How long a payer may take, from when all necessary information is there or from the first submission."""

    standard: timedelta
    expedited: timedelta
    from_first_submission: bool


MISSISSIPPI: Final = ClockRule(timedelta(days=7), timedelta(hours=48), from_first_submission=False)
CMS_0057_F: Final = ClockRule(timedelta(days=7), timedelta(hours=72), from_first_submission=True)


def clock(
    request: Request, determinations: set[str], usual: ClockRule = MISSISSIPPI, of_appeals: ClockRule | None = None
) -> tuple[str | None, str]:
    """When the request is due and the state of its clock.

    Args:
        request: In canonical data form.
        determinations: Those of its lines.
        usual: The clock of its line of business.
        of_appeals: That of a reconsideration; the same, if None.
    """
    if request["member"]["line_of_business"] != "commercial":
        return None, "no_clock"
    rule = of_appeals or usual if request["certification"] == "reconsideration" else usual
    length = rule.expedited if request["urgency"] == "expedited" else rule.standard
    if rule.from_first_submission:
        start = request.get("first_submitted_at") or request["submitted_at"]
    elif "information_needed" in determinations:
        return None, "waiting_for_information"
    else:
        start = request["submitted_at"]
    return (datetime.fromisoformat(start) + length).isoformat(), "running"


def decide_request(
    request: Request, usual: ClockRule = MISSISSIPPI, of_appeals: ClockRule | None = None
) -> dict[str, Any]:
    """Decide a request in canonical data form, under these clocks.

    Returns:
        `stage` and `action` of the whole, `due_at` (RFC 3339: compare it as an instant), `clock_state` and `lines`,
        each with `line`, `determination`, `reasons`, `action`, `valid_through`, `missing`, `conflicts` (the missing
        facts whose sources contradict each other) and `revision`.
    """
    _, conflicting = known_facts(request)
    lines = []
    for line in request["service_lines"]:
        determination, reasons, missing = decide_line(request, line)
        revision = revision_on(date.fromisoformat(line["service_date"]))
        approved_through = valid_through(request, determination)
        lines.append(
            {
                "line": line["line"],
                "determination": determination,
                "reasons": sorted(reasons),
                "action": ACTIONS[determination],
                "valid_through": None if approved_through is None else approved_through.isoformat(),
                "missing": sorted(missing),
                "conflicts": sorted(missing & conflicting),
                "revision": None if revision is None else revision.isoformat(),
            }
        )
    determinations = {line["determination"] for line in lines}
    due_at, clock_state = clock(request, determinations, usual, of_appeals)
    return {
        "stage": stage(determinations),
        "action": overall_action({line["action"] for line in lines}),
        "due_at": due_at,
        "clock_state": clock_state,
        "lines": lines,
    }
