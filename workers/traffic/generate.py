"""Fast, seeded, synthetic requests in a realistic mix.

Requests are generated in blocks that depend only on the seed and the block number, so the same seed gives the same
bytes on any machine, and a longer run begins with a shorter one's lines. No value is a person's: members are numbered
"SYN-…", and providers are random digits with a valid check digit. The clinical facts are those of the packaged policy.
"""

# ruff: noqa: PLR2004, S311 (shares of the mix are literals, and random numbers must be reproducible)

import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from random import Random

BLOCK = 1_000
"""Requests generated from one stream of random numbers."""
PROVIDERS = 5_000
WITH_PAST_PROCEDURE = 50
"""One request in so many states one."""
TRANSPLANT_BEFORE = timedelta(days=270)
RECENT = (date(2024, 4, 30), date(2026, 6, 30))
EARLIEST = date(1997, 1, 1)
CHANGES = tuple(
    date.fromisoformat(day)
    for day in ("2011-08-11", "2015-08-25", "2015-10-01", "2016-03-08", "2019-10-01", "2021-12-27", "2024-04-29")
)
"""Days on which answers change; days around them are more frequent."""


def _weighted(**weights: int) -> tuple[str, ...]:
    """A table of a hundred entries for weighted choice."""
    made = tuple(name for name, weight in weights.items() for _ in range(weight))
    if len(made) != 100:
        raise ValueError(f"weights of {', '.join(weights)} add up to {len(made)}")
    return made


CERTIFICATIONS = _weighted(initial=62, revision=9, extension=9, renewal=8, reconsideration=7, cancellation=5)
URGENCIES = _weighted(standard=82, expedited=18)
LINES_OF_BUSINESS = _weighted(commercial=84, fep=8, state_and_school=8)
PROFILES = _weighted(
    relapse=32, refractory=8, prevention=18, chimerism=14, remission=10, solid=5, trial=4, modified=4, autologous=5
)
COUNTS = (1,) * 60 + (2,) * 24 + (3,) * 11 + (4,) * 5
FORGETS = (0.0,) * 4 + (0.1,) * 3 + (0.3,) * 2 + (0.8,)
OFFSETS = ("-05:00", "-06:00", "-05:00", "-06:00", "Z")
ICD_10_SINCE = date(2015, 10, 1)

LISTED = ("38242",) * 6 + ("86812", "86813", "86817", "86950")
OTHER_CPT = ("38240", "38241", "36511", "99213", "3824")
PCS_10 = ("30233Q1", "30243Q1", "30233Q1", "30253Q1", "30263Q1")
LEUKEMIA = ("C92.0", "C92.1", "C92.4", "C91.0", "C93.0", "C90.0", "C92.A")
LYMPHOMA = ("C83.31", "C81.90", "C85.1", "D46.9", "D46.22")
SOLID = ("C50.911", "C64.1", "C22.0", "C4A.9")
SILENT = ("Z94.84", "T86.5", "D47.1", "D89.813")
_STATUS = {"relapse": "2", "trial": "2", "modified": "2", "autologous": "2", "refractory": "0"}
"""The last character of a leukemia's code, by profile: in relapse, remission not achieved; else in remission."""
OLD_BLOOD, OLD_SOLID, OLD_SILENT = ("205.01", "204.00", "203.02", "238.75"), ("174.9", "189.0"), ("V42.82", "996.88")

MALFORMED = (
    "cut short",
    "unknown field",
    "wrong check digit",
    "unknown certification",
    "no such day",
    "no lines",
    "no diagnosis code",
)


class Generator:
    """The requests of one seed."""

    def __init__(self, seed: int, *, duplicates: float = 0.0, conflicts: float = 0.0, malformed: float = 0.0) -> None:
        """Configure the generator.

        Args:
            seed: Determines all lines.
            duplicates: The share of lines that exactly repeat an earlier one.
            conflicts: The share with an earlier id and other content.
            malformed: The share of invalid requests.
        """
        self._seed = seed
        self._shares = (duplicates, duplicates + conflicts, duplicates + conflicts + malformed)
        self._providers = _providers(Random(f"{seed}/providers"))

    def lines(self, count: int) -> Iterator[bytes]:
        """Yield `count` lines, without line ends."""
        for block in range(-(-count // BLOCK)):
            yield from self._block(block)[: count - block * BLOCK]

    def _block(self, block: int) -> list[bytes]:
        rng = Random(f"{self._seed}/{block}")
        made: list[str] = []
        lines: list[bytes] = []
        for number in range(block * BLOCK, (block + 1) * BLOCK):
            kind = rng.random()
            again, conflicting, malformed = self._shares
            if kind < again and made:
                lines.append(rng.choice(made).encode())
                continue
            if kind < conflicting and made:
                lines.append(rng.choice(made).replace('"units":', '"units":1', 1).encode())
                continue
            text = self._request(rng, number)
            if conflicting <= kind < malformed:
                lines.append(_spoiled(rng, text))
                continue
            made.append(text)
            lines.append(text.encode())
        return lines

    def _id(self, number: int) -> str:
        return f"PA-{self._seed}-{number:08d}"

    def _request(self, rng: Random, number: int) -> str:
        chance = rng.random
        day = _service_date(rng)
        certification = CERTIFICATIONS[int(chance() * 100)]
        profile = PROFILES[int(chance() * 100)]
        authorized = f',"prior_authorization_number":"AU{int(chance() * 1e7):07d}"' if chance() < 0.35 else ""
        supersedes = ""
        if certification != "initial" and number and chance() < 0.8:
            supersedes = f',"supersedes":"{self._id(int(chance() * number))}"'
        named = ',"policy_number":"L.2.03.402"' if chance() < 0.3 else ""
        clinical = _clinical(rng, profile)
        return (
            f'{{"request_id":"{self._id(number)}","certification":"{certification}"'
            f',"urgency":"{URGENCIES[int(chance() * 100)]}","submitted_at":"{_submitted(rng, day)}"'
            f'{authorized}{named}{supersedes},"member":{{"member_id":"SYN-{int(chance() * 1e8):08d}"'
            f',"line_of_business":"{LINES_OF_BUSINESS[int(chance() * 100)]}"}}'
            f',"provider":{{"npi":"{self._providers[int(chance() * PROVIDERS)]}"}}'
            f',"diagnoses":[{_diagnoses(rng, profile, day)}]{_past_procedures(number, day)}'
            f',"service_lines":[{_service_lines(rng, day)}]'
            f"{clinical}}}"
        )


def _past_procedures(number: int, day: date) -> str:
    """The transplant of a few requests, by its code; without a choice, so that all else stays as it was."""
    if number % WITH_PAST_PROCEDURE:
        return ""
    return f',"procedures":[{{"system":"cpt","code":"38240","date":"{day - TRANSPLANT_BEFORE}"}}]'


def _choice(rng: Random, among: Sequence[str]) -> str:
    return among[int(rng.random() * len(among))]


def _providers(rng: Random) -> list[str]:
    return [nine + _check_digit(nine) for nine in (f"1{rng.randrange(10**8):08d}" for _ in range(PROVIDERS))]


def _check_digit(nine: str) -> str:
    """The check digit of an NPI: Luhn's, with the card issuer prefix 80840."""
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in f"80840{nine}"[::-1][::2]]
    plain = [int(digit) for digit in f"80840{nine}"[::-1][1::2]]
    return str(-(sum(doubled) + sum(plain)) % 10)


def _service_date(rng: Random) -> date:
    """Mostly recent; sometimes near a day on which answers change, or long ago."""
    kind = rng.random()
    if kind < 0.92:
        return RECENT[0] + timedelta(int(rng.random() * (RECENT[1] - RECENT[0]).days))
    if kind < 0.98:
        return CHANGES[int(rng.random() * len(CHANGES))] + timedelta(int(rng.random() * 3) - 1)
    return EARLIEST + timedelta(int(rng.random() * (RECENT[1] - EARLIEST).days))


def _submitted(rng: Random, day: date) -> str:
    """Mostly some days before the service, sometimes after it."""
    kind = rng.random()
    ahead = 1 + int(rng.random() * 29) if kind < 0.85 else 0 if kind < 0.92 else -1 - int(rng.random() * 40)
    second = int(rng.random() * 86_400)
    written = (day - timedelta(ahead)).isoformat()
    return f"{written}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}{_choice(rng, OFFSETS)}"


def _service_lines(rng: Random, day: date) -> str:
    return ",".join([_service_line(rng, line, day) for line in range(1, COUNTS[int(rng.random() * 100)] + 1)])


def _service_line(rng: Random, line: int, day: date) -> str:
    kind = rng.random()
    if kind < 0.82:
        system, code = "cpt", _choice(rng, LISTED)
    elif kind < 0.87:
        system, code = "cpt", _choice(rng, OTHER_CPT)
    elif kind < 0.97:
        system, code = ("icd-10-pcs", _choice(rng, PCS_10)) if day >= ICD_10_SINCE else ("icd-9-pcs", "99.09")
    else:
        system, code = "hcpcs", "S2150"
    side = ',"performed_on":"donor"' if code != "38242" and rng.random() < 0.25 else ""
    return (
        f'{{"line":{line},"system":"{system}","code":"{_written(rng, code)}","units":{1 + int(rng.random() * 3)}'
        f',"service_date":"{day.isoformat()}"{side}}}'
    )


def _diagnoses(rng: Random, profile: str, day: date) -> str:
    """Mostly one that agrees with the facts, in the day's code system; sometimes a contradiction."""
    old = day < ICD_10_SINCE
    codes: list[str] = []
    if rng.random() < 0.9:
        codes.append(_fitting(rng, profile, old=old))
    if rng.random() < 0.3:
        codes.append(_choice(rng, OLD_SILENT if old else SILENT))
    if rng.random() < 0.03:
        codes.append(_choice(rng, OLD_SOLID if old else SOLID))
    system = "icd-9-cm" if old else "icd-10-cm"
    return ",".join([f'{{"system":"{system}","code":"{_written(rng, code)}"}}' for code in codes])


def _written(rng: Random, code: str) -> str:
    """A code as platforms write it: mostly plain, sometimes padded, in lower case or without its dot."""
    kind = rng.random()
    if kind < 0.96:
        return code
    if kind < 0.98:
        return f"{code:<10}"
    return f"\u00a0{code}" if kind < 0.985 else code.lower() if kind < 0.995 else code.replace(".", "")


def _fitting(rng: Random, profile: str, *, old: bool) -> str:
    if profile == "solid":
        return _choice(rng, OLD_SOLID if old else SOLID)
    if old:
        return _choice(rng, OLD_BLOOD)
    if rng.random() < 0.3:
        return _choice(rng, LYMPHOMA)
    status = (
        "2" if profile in {"relapse", "trial", "modified", "autologous"} else "0" if profile == "refractory" else "1"
    )
    return _choice(rng, LEUKEMIA) + status


# The facts of each profile; missing facts are as in a relapse.
_RELAPSE = {
    "malignancy": '"hematologic"',
    "type": '"allogeneic"',
    "original_determination": '"medically_necessary"',
    "disease_status": '"relapsed"',
    "purposes": '["treat_relapse"]',
    "leukocyte_modification": '"none"',
}
_STATED_BY_PROFILE: dict[str, dict[str, str]] = {
    "relapse": {},
    "refractory": {"disease_status": '"refractory"', "purposes": '["treat_refractory_disease"]'},
    "prevention": {"disease_status": '"remission"', "purposes": '["prevent_relapse"]'},
    "chimerism": {"disease_status": '"remission"', "purposes": '["convert_mixed_chimerism"]'},
    "remission": {"disease_status": '"remission"', "purposes": "[]"},
    "solid": {"malignancy": '"nonhematologic"'},
    "trial": {"original_determination": '"investigational"'},
    "modified": {"leukocyte_modification": '"genetic"'},
    "autologous": {"type": '"autologous"'},
}
_OF_A_PATIENT = {profile: _RELAPSE | stated for profile, stated in _STATED_BY_PROFILE.items()}
CONDITIONING = ('"myeloablative"', '"reduced_intensity"', '"nonmyeloablative"')
CHIMERISM = ('"mixed"', '"mixed"', '"full_donor"', '"recipient"')
FLAGS = ("true", "false", "false")


def _clinical(rng: Random, profile: str) -> str:
    """The stated clinical facts: mostly nearly all, sometimes almost none."""
    chance = rng.random
    share = FORGETS[int(chance() * 10)]
    facts = _OF_A_PATIENT[profile]
    transplant = [
        f'"{fact}":{value}'
        for fact, value in (
            ("type", facts["type"]),
            ("original_determination", facts["original_determination"]),
            ("graft_t_cell_depleted", _choice(rng, FLAGS)),
            ("conditioning", _choice(rng, CONDITIONING)),
        )
        if chance() >= share
    ]
    stated = [
        f'"{fact}":{value}'
        for fact, value in (
            ("malignancy", facts["malignancy"]),
            ("disease_status", facts["disease_status"]),
            ("chimerism", _choice(rng, CHIMERISM)),
            ("purposes", facts["purposes"]),
        )
        if chance() >= share
    ]
    if transplant:
        stated.append(f'"transplant":{{{",".join(transplant)}}}')
    if chance() < 0.6:
        stated.append(f'"infusion":{{"leukocyte_modification":{facts["leukocyte_modification"]}}}')
    return f',"clinical":{{{",".join(stated)}}}' if stated else ""


_DIAGNOSES = re.compile(r'"diagnoses":\[[^\]]*\]')


def _spoiled(rng: Random, text: str) -> bytes:
    """A malformed request."""
    kind = _choice(rng, MALFORMED)
    if kind == "cut short":
        return text[: len(text) // 2].encode()
    if kind == "no diagnosis code":
        odd = _choice(rng, ("C92-02", "C92.03", "\uff2392.02", "C92.02\u200b"))
        return _DIAGNOSES.sub(f'"diagnoses":[{{"system":"icd-10-cm","code":"{odd}"}}]', text, count=1).encode()
    changed = {
        "unknown field": ('"certification":', '"note":"hurry","certification":'),
        "wrong check digit": ('"npi":"', '"npi":"0'),
        "unknown certification": ('"certification":"', '"certification":"un'),
        "no such day": ('"service_date":"', '"service_date":"0'),
        "no lines": ('"service_lines":[{', '"service_lines":[],"was":[{'),
    }
    return text.replace(*changed[kind], 1).encode()
