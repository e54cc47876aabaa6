"""Synthetic prior-authorization requests: a seeded, realistic mix in canonical data form.

The n-th request of a seed depends on the seed and n alone: a longer run begins with a shorter one's requests.
Malformed items, if asked for, replace requests without changing the others. No value is a person's: members
are numbered "SYN-…", and NPIs are random digits with a valid check digit.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, Final

Json = dict[str, Any]

CERTIFICATIONS: Final = {
    "initial": 60,
    "revision": 9,
    "extension": 9,
    "renewal": 8,
    "reconsideration": 8,
    "cancellation": 6,
}
URGENCIES: Final = {"standard": 80, "expedited": 20}
CHANNELS: Final = {"electronic": 40, "portal": 25, "fax": 20, "phone": 10, "mail": 5}
LINES_OF_BUSINESS: Final = {"commercial": 80, "fep": 10, "state_and_school": 10}
POLICY_NUMBER: Final = "L.2.03.402"

BOUNDARIES: Final = tuple(
    date.fromisoformat(day)
    for day in (
        "1998-08-01",  # first revision
        "2004-09-02",
        "2005-01-10",
        "2011-08-11",  # first statement text on record
        "2015-08-25",  # ICD-10 codes listed
        "2015-10-01",  # ICD-10 codes valid, ICD-9 codes no longer
        "2016-03-08",  # the statements as published
        "2019-10-01",  # two ICD-10-PCS codes deleted from their code set
        "2021-12-27",  # ... and from the policy's list
        "2023-04-04",
        "2024-04-29",  # exceptions on record
        "2025-03-28",  # last revision
    )
)
RECENT: Final = (date(2024, 4, 30), date(2026, 6, 30))

SERVICE_CODES: Final[dict[str, tuple[str, ...]]] = {
    "cpt listed": ("38242", "38242", "38242", "38242", "86812", "86813", "86817", "86950"),
    "cpt other": ("38240", "38241", "36511", "36520", "99213", "0537T", "0537t"),
    "cpt invalid": ("3824", "382420", "38-42", "382.42"),
    "hcpcs": ("S2150", "J1459", "s2142", "P9050"),
    "icd-10-pcs listed": ("30233Q1", "30243Q1", "30233q1", "30253Q1", "30263Q1"),
    "icd-10-pcs other": ("30233Y1", "30243G1", "XW033C3"),
    "icd-9-pcs listed": ("99.09", "9909"),
    "icd-9-pcs other": ("99.72", "41.05", "4103"),
}
SERVICE_CODE_WEIGHTS: Final = {
    "cpt listed": 74,
    "cpt other": 5,
    "cpt invalid": 2,
    "hcpcs": 3,
    "icd-10-pcs listed": 10,
    "icd-10-pcs other": 2,
    "icd-9-pcs listed": 3,
    "icd-9-pcs other": 1,
}

LEUKEMIA: Final = (
    "C92.0",
    "C92.1",
    "C92.2",
    "C92.4",
    "C92.5",
    "C92.6",
    "C92.A",
    "C91.0",
    "C93.0",
    "C94.0",
    "C90.0",
)
"""ICD-10-CM stems whose last character says: 0 remission not achieved, 1 in remission, 2 in relapse."""
STATUS_CHARACTER: Final = {"relapsed": "2", "remission": "1", "refractory": "0", None: "0"}
HEMATOLOGIC_ICD_10: Final = ("D46.9", "D46.22", "C81.90", "C83.31", "C85.1", "C94.6", "C96.9", "C84.12")
HEMATOLOGIC_ICD_9: Final = ("205.01", "204.00", "203.02", "201.90", "200", "208.9", "238.72", "238.75")
NONHEMATOLOGIC_ICD_10: Final = ("C50.911", "C64.1", "C00.0", "C80.1", "C4A.9", "C7A.00", "C7B.02", "C22.0")
NONHEMATOLOGIC_ICD_9: Final = ("174.9", "189.0", "140.9", "199.1", "209.00")
SILENT_ICD_10: Final = ("Z94.84", "Z94.81", "T86.5", "D45", "D47.1", "D57.1", "D61.9", "D89.813", "C97")
SILENT_ICD_9: Final = ("V42.82", "996.88", "238.71", "238.76", "284.9", "210.0")

OFFSETS: Final = (
    "-05:00",
    "-06:00",
    "-05:00",
    "-06:00",
    "Z",
    "+00:00",
    "+05:30",
    "-12:00",
    "+14:00",
    "-03:30",
)


def weighted(rng: Random, weights: dict[str, int]) -> str:
    """Choose a key by its weight."""
    return rng.choices(tuple(weights), tuple(weights.values()))[0]


def npi(seed_or_rng: int | Random) -> str:
    """Make a National Provider Identifier: nine digits and their Luhn check digit under the prefix 80840."""
    rng = seed_or_rng if isinstance(seed_or_rng, Random) else Random(seed_or_rng)
    nine = rng.choice("12") + "".join(rng.choice("0123456789") for _ in range(8))
    return nine + luhn_check_digit("80840" + nine)


def luhn_check_digit(digits: str) -> str:
    """Give the digit to append: every second digit from the right counts twice, its digits added."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


# --- One request ---------------------------------------------------------------------------------------


PAST_PROCEDURES: Sequence[Sequence[Json]] = (
    [{"system": "cpt", "code": "38240", "date": "2019-03-04"}],
    [{"system": "icd-10-pcs", "code": "30243G2"}, {"system": "hcpcs", "code": "s2150", "date": None}],
    [],
)


def request(seed: int, n: int, *, described: bool = False) -> Json:
    """Make the n-th request of a seed; `described` adds what other policies' conditions test, and changes nothing else.

    That is who is treated and who asks, and of each line where, how and upon which facts.
    """
    made = _plain_request(seed, n)
    if described:
        _describe(Random(f"{seed}/{n}/description"), made)
    return made


def _plain_request(seed: int, n: int) -> Json:
    rng = Random(f"{seed}/{n}")
    day = _service_date(rng)
    clinical = _clinical(rng)
    certification = weighted(rng, CERTIFICATIONS)
    made: Json = {
        "request_id": _request_id(seed, n),
        "certification": certification,
        "urgency": weighted(rng, URGENCIES),
        "submitted_at": _submitted_at(rng, day),
        "member": {
            "member_id": f"SYN-{rng.randrange(10**8):08d}",
            "line_of_business": weighted(rng, LINES_OF_BUSINESS),
        },
        "provider": {"npi": npi(rng)},
        "diagnoses": _diagnoses(rng, clinical, day),
        "service_lines": _service_lines(rng, day),
    }
    if rng.random() < 0.35:
        made["prior_authorization_number"] = f"PA{rng.randrange(10**7):07d}"
    elif rng.random() < 0.05:
        made["prior_authorization_number"] = None
    if rng.random() < 0.3:
        made["policy_number"] = POLICY_NUMBER
    if certification != "initial" and n > 0 and rng.random() < 0.8:
        made["supersedes"] = _request_id(seed, rng.randrange(n))
    if n % 7 == 3:  # not by chance, so that all else stays as it was
        made["procedures"] = deepcopy(PAST_PROCEDURES[n % len(PAST_PROCEDURES)])
    stated = _forget(rng, clinical)
    if stated or rng.random() < 0.5:
        made["clinical"] = stated
    _pad(Random(f"{seed}/{n}/pads"), made)
    _arrive(Random(f"{seed}/{n}/arrival"), made)
    return made


SEXES: Final = ("female", "male", "other")
SPECIALTIES: Final = ("207RH0003X", "2086S0120X", "363LF0000X", "193200000X")
PLACES_OF_SERVICE: Final = ("11", "12", "21", "22", "02")
MODIFIERS: Final = ("26", "50", "59", "LT", "RT", "JW", "KX", "A1")
LINE_FACTS: Final[Sequence[Json | None]] = ({}, None)
"""The packaged policy knows no fact of a line, and refuses a request that states one."""


def _describe(rng: Random, made: Json) -> None:
    """State most of the optional fields that the packaged policy does not ask for, some as null or as nothing."""

    def state(where: Json, name: str, value: Any) -> None:
        if rng.random() < 0.8:
            where[name] = value if rng.random() < 0.9 else None

    state(made["member"], "birth_date", _day_between(rng, date(1912, 2, 29), date(2026, 6, 30)).isoformat())
    state(made["member"], "sex", rng.choice(SEXES))
    state(made["provider"], "specialty", rng.choice(SPECIALTIES))
    for line in made["service_lines"]:
        state(line, "place_of_service", rng.choice(PLACES_OF_SERVICE))
        state(line, "modifiers", rng.sample(MODIFIERS, rng.randrange(5)))
        state(line, "clinical", deepcopy(rng.choice(LINE_FACTS)))


def _request_id(seed: int, n: int) -> str:
    return f"REQ-{seed}-{n:07d}"


def _service_date(rng: Random) -> date:
    """Mostly recent, often a boundary or the day before or after it, sometimes any day since 1997."""
    kind = rng.random()
    if kind < 0.70:
        return _day_between(rng, *RECENT)
    if kind < 0.92:
        return rng.choice(BOUNDARIES) + timedelta(days=rng.choice((-1, 0, 1)))
    return _day_between(rng, date(1997, 1, 1), RECENT[1])


def _day_between(rng: Random, first: date, last: date) -> date:
    return first + timedelta(days=rng.randrange((last - first).days + 1))


def _submitted_at(rng: Random, day: date) -> str:
    """Mostly some days before the service, at times on the day or after it; often close to midnight."""
    kind = rng.random()
    if kind < 0.6:
        written = day - timedelta(days=rng.randrange(1, 30))
    elif kind < 0.85:
        written = day + timedelta(days=rng.choice((-1, 0, 0, 1)))
    else:
        written = day + timedelta(days=rng.randrange(1, 60))
    clock = rng.choice(("00:00:00", "00:12:30", "23:47:05", "23:59:59", None, None, None))
    if clock is None:
        clock = f"{rng.randrange(24):02d}:{rng.randrange(60):02d}:{rng.randrange(60):02d}"
    fraction = rng.choice(("", "", "", ".5", ".125", ".000001"))
    return f"{written.isoformat()}T{clock}{fraction}{rng.choice(OFFSETS)}"


def _service_lines(rng: Random, day: date) -> list[Json]:
    """One to four lines, mostly of the same day; their numbers ascend, at times with a gap."""
    lines = []
    number = 0
    for _ in range(rng.choices((1, 2, 3, 4), (55, 25, 12, 8))[0]):
        number += rng.choice((1, 1, 1, 1, 2))
        lines.append(_service_line(rng, number, day))
    return lines


def _service_line(rng: Random, number: int, day: date) -> Json:
    kind = weighted(rng, SERVICE_CODE_WEIGHTS)
    if rng.random() < 0.1:
        day += timedelta(days=rng.choice((-1, 1, 30)))
    line: Json = {
        "line": number,
        "system": kind.split()[0],
        "code": rng.choice(SERVICE_CODES[kind]),
        "units": rng.choice((1, 1, 1, 2, 3, 10)),
        "service_date": day.isoformat(),
    }
    performed_on = rng.choice((None, None, "member", "donor"))
    if performed_on is not None:
        line["performed_on"] = performed_on
    return line


# --- The clinical facts --------------------------------------------------------------------------------

PROFILES: Final = {
    "relapse": 30,
    "refractory": 8,
    "prevention": 18,
    "chimerism": 14,
    "no indication": 8,
    "nonhematologic": 5,
    "investigational transplant": 4,
    "modified": 4,
    "autologous": 4,
    "no malignancy": 3,
    "other donor": 2,
}


def _clinical(rng: Random) -> Json:
    """All clinical facts of one patient, of a kind that such requests are made for."""
    profile = weighted(rng, PROFILES)
    relapsed: Json = {
        "malignancy": "hematologic",
        "transplant": {
            "type": "allogeneic",
            "original_determination": "medically_necessary",
            "graft_t_cell_depleted": rng.random() < 0.3,
            "conditioning": rng.choice(("myeloablative", "reduced_intensity", "nonmyeloablative")),
            "date": _day_between(rng, date(2010, 1, 1), date(2025, 6, 30)).isoformat(),
        },
        "disease_status": "relapsed",
        "chimerism": rng.choice(("mixed", "full_donor", "recipient")),
        "purposes": rng.choice((["treat_relapse"], ["treat_relapse", "convert_mixed_chimerism"], [])),
        "other_high_relapse_risk": rng.random() < 0.1,
        "infusion": {"leukocyte_modification": "none", "donor_is_transplant_donor": True},
    }
    return _fitted(rng, relapsed, profile)


def _fitted(rng: Random, facts: Json, profile: str) -> Json:
    """Change the facts of a relapse into those of the profile."""
    not_necessarily_relapsed = rng.choice(("relapsed", "refractory", "remission"))
    changes: dict[str, Json] = {
        "relapse": {},
        "refractory": {"disease_status": "refractory", "purposes": ["treat_refractory_disease"]},
        "prevention": {
            "disease_status": "remission",
            "purposes": rng.choice((["prevent_relapse"], ["prevent_relapse", "prevent_relapse"])),
            "other_high_relapse_risk": rng.random() < 0.4,
        },
        "chimerism": {
            "disease_status": "remission",
            "chimerism": rng.choice(("mixed", "mixed", "mixed", "full_donor", "recipient")),
            "purposes": rng.choice((["convert_mixed_chimerism"], ["convert_mixed_chimerism", "prevent_relapse"])),
        },
        "no indication": {"disease_status": "remission", "purposes": rng.choice(([], ["treat_relapse"]))},
        "nonhematologic": {"malignancy": "nonhematologic", "disease_status": not_necessarily_relapsed},
        "no malignancy": {"malignancy": "none", "purposes": []},
    }
    facts.update(changes.get(profile, {}))
    if profile == "investigational transplant":
        facts["transplant"]["original_determination"] = "investigational"
    if profile == "modified":
        facts["infusion"]["leukocyte_modification"] = rng.choice(("genetic", "other"))
    if profile == "autologous":
        facts["transplant"]["type"] = rng.choice(("autologous", "none"))
    if profile == "other donor":
        facts["infusion"]["donor_is_transplant_donor"] = False
    return facts


def _forget(rng: Random, facts: Json) -> Json:
    """Leave out some facts, as requests do: mostly none or few, at times most; now and then state a null."""
    share = rng.choice((0.0, 0.0, 0.0, 0.1, 0.1, 0.3, 0.8))
    kept: Json = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            inner = {fact: v for fact, v in value.items() if rng.random() >= share}
            if inner or rng.random() < 0.3:
                kept[name] = inner
        elif rng.random() >= share:
            kept[name] = value
        elif rng.random() < 0.05:
            kept[name] = None
    return kept


def _diagnoses(rng: Random, clinical: Json, day: date) -> list[Json]:
    """Diagnoses that mostly agree with the clinical facts, in the day's code system; some contradict."""
    diagnoses = []
    icd_9 = day < date(2015, 10, 1) or rng.random() < 0.02
    if rng.random() < 0.85:
        diagnoses.append(_fitting_diagnosis(rng, clinical, icd_9=icd_9))
    if rng.random() < 0.35:
        diagnoses.append(_diagnosis(rng, SILENT_ICD_9 if icd_9 else SILENT_ICD_10, icd_9=icd_9))
    if rng.random() < 0.06:
        contradicting = (
            NONHEMATOLOGIC_ICD_10,
            HEMATOLOGIC_ICD_10,
            [rng.choice(LEUKEMIA) + rng.choice("012")],
        )
        diagnoses.append(_diagnosis(rng, rng.choice(contradicting), icd_9=False))
    rng.shuffle(diagnoses)
    return diagnoses


def _fitting_diagnosis(rng: Random, clinical: Json, *, icd_9: bool) -> Json:
    if clinical["malignancy"] == "none":
        return _diagnosis(rng, SILENT_ICD_9 if icd_9 else SILENT_ICD_10, icd_9=icd_9)
    if clinical["malignancy"] == "nonhematologic":
        return _diagnosis(rng, NONHEMATOLOGIC_ICD_9 if icd_9 else NONHEMATOLOGIC_ICD_10, icd_9=icd_9)
    if icd_9:
        return _diagnosis(rng, HEMATOLOGIC_ICD_9, icd_9=True)
    if rng.random() < 0.3:
        return _diagnosis(rng, HEMATOLOGIC_ICD_10, icd_9=False)
    return _diagnosis(rng, [rng.choice(LEUKEMIA) + STATUS_CHARACTER[clinical["disease_status"]]], icd_9=False)


def _diagnosis(rng: Random, codes: Sequence[str], *, icd_9: bool) -> Json:
    """One of the codes, as it is written or without its dot or in lower case."""
    code = rng.choice(codes)
    written = rng.choice((code, code, code, code.replace(".", ""), code.lower()))
    return {"system": "icd-9-cm" if icd_9 else "icd-10-cm", "code": written}


PADS: Final = (" ", "   ", "\t", "\n", "\u00a0", "\u2003", "\u3000")
"""White space of kinds that extracts have around a code."""


def _pad(rng: Random, made: Json) -> None:
    """Put white space around a code of every sixth request or so: it says the same."""
    for coded in (*made["diagnoses"], *made["service_lines"]):
        if rng.random() < 0.05:
            coded["code"] = rng.choice(("", *PADS)) + coded["code"] + rng.choice(PADS)


def _arrive(rng: Random, made: Json) -> None:
    """Say of some requests how they arrived, and of most later ones when the first of their chain was submitted."""
    if rng.random() < 0.3:
        made["channel"] = weighted(rng, CHANNELS) if rng.random() < 0.95 else None
    if rng.random() < (0.1 if made["certification"] == "initial" else 0.6):
        made["first_submitted_at"] = _first_submitted_at(rng, made["submitted_at"])


def _first_submitted_at(rng: Random, submitted_at: str) -> str | None:
    """The same instant or one up to three months before it, at times in another offset; now and then a null."""
    kind = rng.random()
    if kind < 0.05:
        return None
    if kind < 0.2:
        return submitted_at
    earlier = timedelta(seconds=rng.randrange(90 * 24 * 3600))
    offset = datetime.fromisoformat(rng.choice((submitted_at, f"2025-01-01T00:00:00{rng.choice(OFFSETS)}"))).tzinfo
    return (datetime.fromisoformat(submitted_at) - earlier).astimezone(offset).isoformat()


# --- Malformed ones ------------------------------------------------------------------------------------


class MalformedBytes(bytes):
    """Bytes that no request can be read from."""

    kind: str


class MalformedRequest(dict[str, Any]):
    """A JSON object that is no request."""

    kind: str


Spoiler = Callable[[Json, Random], Json | bytes]
"""Takes a fresh well-formed request and gives a malformed one; may change what it was given."""

Path = tuple[str | int, ...]


def _parent(made: Json, path: Path) -> Any:
    """Give what holds the path's last step, making absent objects on the way."""
    at: Any = made
    for step in path[:-1]:
        at = at.setdefault(step, {}) if isinstance(step, str) else at[step]
    return at


def _with(path: Path, *values: object) -> Spoiler:
    """Put one of the values at the path."""

    def spoil(made: Json, rng: Random) -> Json:
        _parent(made, path)[path[-1]] = rng.choice(values)
        return made

    return spoil


def _lacking(*paths: Path) -> Spoiler:
    """Leave out one of the paths."""

    def spoil(made: Json, rng: Random) -> Json:
        path = rng.choice(paths)
        del _parent(made, path)[path[-1]]
        return made

    return spoil


def _bytes(change: Callable[[bytes, Random], bytes]) -> Spoiler:
    """Change the request's JSON text."""

    def spoil(made: Json, rng: Random) -> bytes:
        return change(json.dumps(made).encode(), rng)

    return spoil


def _wrong_check_digit(made: Json, rng: Random) -> Json:
    number = made["provider"]["npi"]
    made["provider"]["npi"] = number[:9] + str((int(number[9]) + rng.randrange(1, 10)) % 10)
    return made


def _duplicate_line(made: Json, rng: Random) -> Json:
    lines = made["service_lines"]
    lines.append({**rng.choice(lines), "units": 99})
    return made


def _first_after_this(made: Json, rng: Random) -> Json:
    later = timedelta(seconds=rng.choice((1, 3600, 86400)))
    made["first_submitted_at"] = (datetime.fromisoformat(made["submitted_at"]) + later).isoformat()
    return made


def _without_offset(made: Json, rng: Random) -> Json:
    made["submitted_at"] = rng.choice(("2025-03-10T23:30:00", "2025-03-10T00:00:00.000"))
    return made


def _diagnosis_of_unknown_system(made: Json, rng: Random) -> Json:
    system = rng.choice(("icd-11", "ICD-10-CM", "snomed"))
    made["diagnoses"] = [{"system": system, "code": "C92.02"}]
    return made


def _diagnosis_of_no_form(*codes: tuple[str, str]) -> Spoiler:
    """Add a diagnosis whose code has not the form of its system."""

    def spoil(made: Json, rng: Random) -> Json:
        system, code = rng.choice(codes)
        made["diagnoses"] = [*made["diagnoses"], {"system": system, "code": code}]
        return made

    return spoil


LINE: Final[Path] = ("service_lines", 0)
CLINICAL: Final[Path] = ("clinical",)

malformed_kinds: Final[dict[str, Spoiler]] = {
    # Not JSON text in UTF-8
    "empty_bytes": _bytes(lambda _text, _rng: b""),
    "truncated_json": _bytes(lambda text, rng: text[: rng.randrange(1, len(text))]),
    "trailing_garbage": _bytes(lambda text, _rng: text + b"}"),
    "two_objects": _bytes(lambda text, _rng: text + text),
    "invalid_utf8": _bytes(lambda text, _rng: text.replace(b"SYN-", b"SYN-\xff\xfe")),
    "utf16": _bytes(lambda text, _rng: b"\xff\xfe" + text.decode().encode("utf-16-le")),
    "not_json": _bytes(lambda _text, _rng: b"request_id=REQ-1&certification=initial"),
    "binary": _bytes(lambda _text, rng: b"\x00" + rng.randbytes(40)),
    "not_a_number": _bytes(lambda text, _rng: re.sub(rb'"units": \d+', b'"units": NaN', text, count=1)),
    "deeply_nested": _bytes(lambda _text, _rng: b"[" * 100_000 + b"]" * 100_000),
    "lone_surrogate": _bytes(lambda text, _rng: text.replace(b'"SYN-', b'"SYN-\\ud800')),
    # JSON, but no object
    "top_level_array": _bytes(lambda text, _rng: b"[" + text + b"]"),
    "top_level_string": _bytes(lambda text, _rng: json.dumps(text.decode()).encode()),
    "top_level_number": _bytes(lambda _text, _rng: b"42"),
    "top_level_null": _bytes(lambda _text, _rng: b"null"),
    "empty_object": lambda _made, _rng: {},
    # Fields
    "extra_field": _with(("note",), "please hurry"),
    "extra_member_field": _with(("member", "name"), "synthetic"),
    "extra_line_field": _with((*LINE, "modifier"), "59"),
    "missing_request_id": _lacking(("request_id",)),
    "missing_header_field": _lacking(("certification",), ("urgency",), ("submitted_at",)),
    "missing_member_field": _lacking(("member",), ("member", "member_id"), ("member", "line_of_business")),
    "missing_provider": _lacking(("provider",), ("provider", "npi")),
    "missing_line_field": _lacking((*LINE, "line"), (*LINE, "system"), (*LINE, "code"), (*LINE, "service_date")),
    "missing_service_lines": _lacking(("service_lines",)),
    "null_for_required": _with(("certification",), None),
    # Types
    "number_for_request_id": _with(("request_id",), 12345),
    "number_for_code": _with((*LINE, "code"), 38242),
    "number_for_npi": _with(("provider", "npi"), 1234567893),
    "boolean_for_string": _with(("prior_authorization_number",), True, False),
    "string_for_number": _with((*LINE, "units"), "1"),
    "boolean_for_number": _with((*LINE, "units"), True),
    "fraction_for_integer": _with((*LINE, "units"), 1.5),
    "string_for_boolean": _with((*CLINICAL, "other_high_relapse_risk"), "yes", "true", "false"),
    "number_for_boolean": _with((*CLINICAL, "transplant"), {"graft_t_cell_depleted": 1}),
    "object_for_array": _with(("service_lines",), {"line": 1, "system": "cpt", "code": "38242"}),
    "nested_array": _with(("service_lines",), [[{"line": 1, "system": "cpt", "code": "38242"}]]),
    "array_for_object": _with(("clinical",), [], [{"malignancy": "hematologic"}]),
    "string_for_array": _with((*CLINICAL, "purposes"), "prevent_relapse"),
    "string_for_object": _with(("member",), "SYN-00000001"),
    "number_for_date": _with((*LINE, "service_date"), 20250328, 0),
    "number_for_instant": _with(("submitted_at",), 1741649400, 1741649400.5),
    # Enumerations
    "unknown_certification": _with(("certification",), "appeal", "INITIAL", ""),
    "unknown_urgency": _with(("urgency",), "urgent", "Standard"),
    "unknown_channel": _with(("channel",), "e-mail", "Fax", ""),
    "unknown_line_of_business": _with(("member", "line_of_business"), "medicaid", "FEP"),
    "unknown_code_system": _with((*LINE, "system"), "CPT", "icd-10-cm", "ndc"),
    "unknown_performed_on": _with((*LINE, "performed_on"), "recipient"),
    "unknown_diagnosis_system": _diagnosis_of_unknown_system,
    "unknown_clinical_fact": _with((*CLINICAL, "karnofsky_score"), 90),
    "unknown_infusion_fact": _with((*CLINICAL, "infusion"), {"dose": "1e7"}),
    "clinical_value_out_of_enumeration": _with((*CLINICAL, "malignancy"), "leukemia", "Hematologic", "unknown"),
    "transplant_value_out_of_enumeration": _with((*CLINICAL, "transplant"), {"type": "haploidentical"}),
    "unknown_purpose": _with((*CLINICAL, "purposes"), ["prevent_relapse", "cure"]),
    "null_purpose": _with((*CLINICAL, "purposes"), [None]),
    # Codes
    "diagnosis_with_a_dash": _diagnosis_of_no_form(("icd-10-cm", "C92-02"), ("icd-9-cm", "205-01")),
    "diagnosis_with_space_inside": _diagnosis_of_no_form(("icd-10-cm", "C92 .02"), ("icd-10-cm", "C92.\u00a002")),
    "diagnosis_in_compatibility_characters": _diagnosis_of_no_form(
        ("icd-10-cm", "\uff2392.02"), ("icd-10-cm", "C92.0\u00b2"), ("icd-9-cm", "\u0662\u0660\u0665")
    ),
    "diagnosis_with_unseen_characters": _diagnosis_of_no_form(
        ("icd-10-cm", "C92.02\u200b"), ("icd-10-cm", "\ufeffC92.02"), ("icd-10-cm", "C92.02\u202e")
    ),
    "diagnosis_of_another_system": _diagnosis_of_no_form(("icd-10-cm", "205.01"), ("icd-9-cm", "C92.02")),
    "diagnosis_cut_short": _diagnosis_of_no_form(("icd-10-cm", "C9"), ("icd-9-cm", "20"), ("icd-9-cm", "V4")),
    "diagnosis_too_long": _diagnosis_of_no_form(("icd-10-cm", "C92.02345"), ("icd-9-cm", "205.011")),
    "diagnosis_of_no_remission_status": _diagnosis_of_no_form(("icd-10-cm", "C92.03"), ("icd-10-cm", "c920x")),
    "empty_code": _with((*LINE, "code"), "", " ", "\u00a0\u3000"),
    "control_character_in_code": _with((*LINE, "code"), "382\x0042", "38\n242"),
    # Values
    "empty_service_lines": _with(("service_lines",), []),
    "duplicate_line_numbers": _duplicate_line,
    "line_number_zero": _with((*LINE, "line"), 0, -1),
    "units_zero": _with((*LINE, "units"), 0),
    "units_negative": _with((*LINE, "units"), -1),
    "npi_check_digit": _wrong_check_digit,
    "npi_length": _with(("provider", "npi"), "123456789", "12345678930", ""),
    "npi_characters": _with(("provider", "npi"), "123456789X", "١٢٣٤٥٦٧٨٩٣"),
    "date_not_in_calendar": _with((*LINE, "service_date"), "2025-02-30", "2025-13-01", "2023-02-29"),
    "date_not_iso": _with((*LINE, "service_date"), "03/28/2025", "2025-3-28", ""),
    "date_with_time": _with((*LINE, "service_date"), "2025-03-28T00:00:00"),
    "transplant_date_not_in_calendar": _with((*CLINICAL, "transplant"), {"date": "2019-02-29"}),
    "instant_without_offset": _without_offset,
    "first_submission_after_this_one": _first_after_this,
    "instant_without_time": _with(("submitted_at",), "2025-03-10"),
    "instant_out_of_range": _with(("submitted_at",), "2025-03-10T25:00:00Z", "2025-02-30T10:00:00Z"),
    "instant_with_bad_offset": _with(("submitted_at",), "2025-03-10T10:00:00+25:00", "2025-03-10T10:00:00-0600"),
}
"""Every kind of malformed item, by name."""

MEMBER: Final[Path] = ("member",)
malformed_descriptions: Final[dict[str, Spoiler]] = {
    "birth_date_not_in_calendar": _with((*MEMBER, "birth_date"), "1957-02-29", "1957-13-01"),
    "birth_date_not_iso": _with((*MEMBER, "birth_date"), "02/03/1957", "1957-2-3", "", "19570203"),
    "birth_date_with_time": _with((*MEMBER, "birth_date"), "1957-02-03T00:00:00"),
    "number_for_birth_date": _with((*MEMBER, "birth_date"), 1957, 19570203, 0),
    "unknown_sex": _with((*MEMBER, "sex"), "F", "Female", "unknown", ""),
    "object_for_sex": _with((*MEMBER, "sex"), {"code": "female"}, ["female"], True),
    "specialty_of_no_form": _with(
        ("provider", "specialty"), "207RH0003", "207rh0003x", "207RH0003Y", "207RH0003XX", "", " 207RH0003X"
    ),
    "place_of_service_of_no_form": _with((*LINE, "place_of_service"), "1", "011", "1A", "", "\u0661\u0661"),
    "number_for_place_of_service": _with((*LINE, "place_of_service"), 11),
    "modifier_of_no_form": _with((*LINE, "modifiers"), ["5"], ["lt"], ["599"], [""], ["26", "\uff32T"]),
    "modifier_twice": _with((*LINE, "modifiers"), ["59", "59"], ["LT", "26", "LT"]),
    "too_many_modifiers": _with((*LINE, "modifiers"), list(MODIFIERS[:5])),
    "string_for_modifiers": _with((*LINE, "modifiers"), "59", "26,59"),
    "null_modifier": _with((*LINE, "modifiers"), [None], ["26", None]),
    "array_for_line_facts": _with((*LINE, "clinical"), [], [{"device": "auto"}]),
    "string_for_line_facts": _with((*LINE, "clinical"), "device", "", True),
}
"""Kinds of malformed items in what `described` states. The items of `requests` stay the same, and have none of them."""


def malformed_request(kind: str, seed: int, n: int) -> MalformedRequest | MalformedBytes:
    """Replace the n-th request of a seed by one of that kind."""
    spoiled = (malformed_kinds | malformed_descriptions)[kind](request(seed, n), Random(f"{seed}/{n}/{kind}"))
    item = MalformedBytes(spoiled) if isinstance(spoiled, bytes) else MalformedRequest(spoiled)
    item.kind = kind
    return item


def kind_of(item: Json | bytes) -> str | None:
    """Say which kind of malformed item this is; None for a well-formed request."""
    return item.kind if isinstance(item, MalformedRequest | MalformedBytes) else None


def encode(item: Json | bytes) -> bytes:
    """Give an item's bytes as a producer would send them."""
    # Kafka clients take bytes itself and no kind of it.
    return bytes(item) if isinstance(item, bytes) else json.dumps(item, ensure_ascii=False).encode()


# --- Many ----------------------------------------------------------------------------------------------


def requests(seed: int, count: int, malformed: float = 0.0) -> Iterator[Json | bytes]:
    """Make requests.

    Args:
        seed: The same seed makes the same requests, on any machine.
        count: How many.
        malformed: The share of them to replace by malformed items: exactly `round(count * malformed)`, of all
            kinds in turn. `kind_of` tells them from the well-formed ones.

    Yields:
        Requests in canonical data form; malformed items as dictionaries or bytes.
    """
    rng = Random(f"{seed}/malformed")
    kinds = list(malformed_kinds)
    rng.shuffle(kinds)
    positions = rng.sample(range(count), round(count * malformed))
    spoiled = {position: kinds[turn % len(kinds)] for turn, position in enumerate(positions)}
    for n in range(count):
        yield malformed_request(spoiled[n], seed, n) if n in spoiled else request(seed, n)
