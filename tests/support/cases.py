"""What the tests of the core share: the two policies, and a case that the packaged one covers."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from functools import cache
from typing import Any, NamedTuple

from policy_core.document.problems import PolicyDocumentError
from policy_core.evaluate.case import Case, Diagnosis, ServiceLine
from policy_core.evaluate.determine import CaseResult, LineResult, Policy
from policy_core.history.library import PACKAGED
from policy_core.loading.load import load, parse
from tests.support.places import POLICIES

PACKAGED_FILE = PACKAGED / "L.2.03.402.yaml"
FOLDER = POLICIES
OTHER_FILE = FOLDER / "EV-12.yaml"
OTHER_TEXT = FOLDER / "EV-12.source.txt"

COVERED: Mapping[str, Any] = {
    "malignancy": "hematologic",
    "transplant": {"type": "allogeneic", "original_determination": "medically_necessary"},
    "disease_status": "relapsed",
    "infusion": {"leukocyte_modification": "none"},
}
"""Relapse after a covered allogeneic transplant: all that has to be known."""


@cache
def packaged() -> Policy:
    """The policy that comes with the software."""
    return Policy(load(PACKAGED_FILE))


@cache
def other() -> Policy:
    """The invented policy of an invented insurer."""
    return Policy(load(OTHER_FILE))


def line(day: str = "2024-06-10", code: str = "38242", system: str = "cpt", on: str = "member") -> ServiceLine:
    return ServiceLine(1, system, code, date.fromisoformat(day), on)


def case(*lines: ServiceLine, clinical: Mapping[str, Any] = COVERED, **header: Any) -> Case:
    """A covered request submitted a week before its one service; `header` changes the rest."""
    covered = Case(
        certification="initial",
        urgency="standard",
        submitted_at=datetime.fromisoformat("2024-06-03T09:00:00-05:00"),
        first_submitted_at=datetime.fromisoformat("2024-06-03T09:00:00-05:00"),
        has_prior_authorization=False,
        line_of_business="commercial",
        diagnoses=(),
        service_lines=lines or (line(),),
        clinical=clinical,
    )
    return replace(covered, **header)


def decided(asked: Case, policy: Policy | None = None) -> CaseResult:
    return (policy or packaged()).determine(asked)


def first_line(asked: Case, policy: Policy | None = None) -> LineResult:
    return decided(asked, policy).lines[0]


def icd10(*codes: str) -> tuple[Diagnosis, ...]:
    return tuple(Diagnosis("icd-10-cm", code) for code in codes)


def icd9(*codes: str) -> tuple[Diagnosis, ...]:
    return tuple(Diagnosis("icd-9-cm", code) for code in codes)


def with_fact(path: str, value: object, clinical: Mapping[str, Any] = COVERED) -> dict[str, Any]:
    """The clinical object with one field changed; `path` without its leading `clinical.`."""
    head, _, rest = path.partition(".")
    below = with_fact(rest, value, clinical.get(head) or {}) if rest else value
    return {**clinical, head: below}


def problems(raw: str | bytes, file: str = "policy.yaml") -> list[str]:
    """What is wrong with a document, a line each; nothing for one that is right."""
    try:
        parse(raw.encode() if isinstance(raw, str) else raw, file)
    except PolicyDocumentError as error:
        return str(error).splitlines()
    return []


class Part(NamedTuple):
    """A part of a recurring case."""

    key: bytes
    value: Any


class LineInParts(NamedTuple):
    """A service line whose facts are a part."""

    line: int
    system: str
    code: str
    service_date: date
    performed_on: str
    units: int
    place_of_service: str | None
    modifiers: tuple[str, ...] | None
    clinical: Part


class InParts(NamedTuple):
    """A case in parts that recur, each with its text as its key."""

    certification: str
    urgency: str
    submitted_at: datetime
    first_submitted_at: datetime
    has_prior_authorization: bool
    line_of_business: str
    birth_date: date | None
    sex: str | None
    provider_specialty: str | None
    diagnoses: Part
    service_lines: tuple[LineInParts, ...]
    clinical: Part


def in_parts(asked: Case) -> InParts:
    return InParts(
        asked.certification,
        asked.urgency,
        asked.submitted_at,
        asked.first_submitted_at,
        asked.has_prior_authorization,
        asked.line_of_business,
        asked.birth_date,
        asked.sex,
        asked.provider_specialty,
        Part(repr(asked.diagnoses).encode(), asked.diagnoses),
        tuple(LineInParts(*one[:-1], Part(repr(one.clinical).encode(), one.clinical)) for one in asked.service_lines),
        Part(repr(asked.clinical).encode(), asked.clinical),
    )
