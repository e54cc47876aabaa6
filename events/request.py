"""`authorization.requested.v1`: a claims platform requests authorization of services."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    Secret,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from events.code_spelling import (
    ANY_CODE,
    DIAGNOSIS_PATTERNS,
    PAST_PATTERNS,
    diagnosis,
    past_procedure,
    procedure,
    trimmed,
)
from events.field_types import Day, Instant, NationalProviderIdentifier, RequestId, written_instant
from events.personal_types import Personal, PersonalDay, PersonalSex, Private

Certification = Literal["initial", "revision", "extension", "renewal", "reconsideration", "cancellation"]
Urgency = Literal["standard", "expedited"]
Channel = Literal["electronic", "portal", "fax", "phone", "mail"]
LineOfBusiness = Literal["commercial", "fep", "state_and_school"]
DiagnosisSystem = Literal["icd-10-cm", "icd-9-cm"]
ProcedureSystem = Literal["cpt", "hcpcs", "icd-10-pcs", "icd-9-pcs"]
ServiceSystem = Literal[ProcedureSystem, "service-type"]
"""Of a requested service: a procedure code, or only a type of service (X12 code list 1365)."""


ELECTRONIC: Channel = "electronic"

LARGEST_NUMBER = 2**31 - 1
"""Every JSON reader can represent it."""
MOST_LINES = 99
MOST_DIAGNOSES = 99
MOST_PROCEDURES = 99
"""Far more than a request needs; the limits keep a decision on all lines within Kafka's record size."""
MOST_MODIFIERS = 4
"""Of a line: a claim has room for four."""

SPECIALTY = "^[0-9A-Z]{9}X$"
"""Of the Health Care Provider Taxonomy, which the NUCC keeps."""
PLACE_OF_SERVICE = "^[0-9]{2}$"
"""Of CMS's list of places of service."""
MODIFIER = "^[0-9A-Z]{2}$"
"""Of CPT and HCPCS."""

Code = Annotated[str, WithJsonSchema({"type": "string", "pattern": ANY_CODE})]
"""A code in the spelling of its system, however it was written."""


class Member(Private):
    """Who is to be treated."""

    member_id: Personal
    line_of_business: LineOfBusiness
    birth_date: PersonalDay | None = None
    sex: PersonalSex | None = None


class Provider(Private):
    """Who asks."""

    npi: NationalProviderIdentifier
    specialty: Annotated[str, Field(pattern=SPECIALTY)] | None = None
    """A code of the Health Care Provider Taxonomy. As elsewhere, an unknown code is no error."""


def _by_system(patterns: Mapping[str, str]) -> dict[str, JsonValue]:
    """The JSON Schema rules for a code, by system."""
    return {
        "allOf": [
            {
                "if": {"properties": {"system": {"const": system}}, "required": ["system"]},
                "then": {"properties": {"code": {"pattern": pattern}}},
            }
            for system, pattern in patterns.items()
        ]
    }


class Diagnosis(Private):
    """A diagnosis code. One that has not the form of its system is refused, so that no evidence is passed over."""

    model_config = ConfigDict(json_schema_extra=_by_system(DIAGNOSIS_PATTERNS))

    system: DiagnosisSystem
    code: Code

    @field_validator("code")
    @classmethod
    def _in_its_spelling(cls, code: str, info: ValidationInfo) -> str:
        system = info.data.get("system")
        # If the system is invalid, only that is reported.
        return diagnosis(system, code) if system is not None else trimmed(code)


class PastProcedure(Private):
    """A procedure that the member had, by its code; like a diagnosis, refused without the form of its system."""

    model_config = ConfigDict(json_schema_extra=_by_system(PAST_PATTERNS))

    system: ProcedureSystem
    code: Code
    date: Day | None = None
    """When it was, if that is stated."""

    @field_validator("code")
    @classmethod
    def _in_its_spelling(cls, code: str, info: ValidationInfo) -> str:
        system = info.data.get("system")
        return past_procedure(system, code) if system is not None else trimmed(code)


_A_LIST = Field(strict=False)
# JSON has only lists, which strict mode would not accept for a tuple. The items stay strict.


def at_most(most: int) -> BeforeValidator:
    """A limit checked before the items, so that a very long list is refused at once."""

    def bounded(found: Any) -> Any:
        if isinstance(found, list | tuple) and len(found) > most:
            raise PydanticCustomError("too_many", "should have at most {most} entries", {"most": most})
        return found

    return BeforeValidator(bounded)


def _each_modifier_once(modifiers: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(modifiers)) < len(modifiers):
        raise PydanticCustomError("modifier_twice", "should have each modifier once")
    return modifiers


Modifiers = Annotated[
    tuple[Annotated[str, Field(pattern=MODIFIER)], ...],
    _A_LIST,
    AfterValidator(_each_modifier_once),
    at_most(MOST_MODIFIERS),
    Field(json_schema_extra={"maxItems": MOST_MODIFIERS, "uniqueItems": True}),
]


class ServiceLine(Private):
    """One requested service."""

    line: int = Field(ge=1, le=LARGEST_NUMBER)
    system: ServiceSystem
    code: Code
    units: int = Field(ge=1, le=LARGEST_NUMBER)
    service_date: Day
    performed_on: Literal["member", "donor"] | None = None
    """The member, unless stated otherwise."""
    place_of_service: Annotated[str, Field(pattern=PLACE_OF_SERVICE)] | None = None
    modifiers: Modifiers | None = None
    """A set. An empty one states that there is none; without the field nothing is stated."""
    clinical: Mapping[str, JsonValue] | None = None
    """The stated facts that belong to this line, as the request's `clinical` has those of the whole."""

    @field_validator("code")
    @classmethod
    def _in_its_spelling(cls, code: str, info: ValidationInfo) -> str:
        # An unknown code is not an error: the policy answers it.
        return procedure(info.data.get("system", ""), code)


def _each_line_once(lines: tuple[ServiceLine, ...]) -> tuple[ServiceLine, ...]:
    # Not a minimum length, which pydantic would also report if the only line were invalid.
    if not lines:
        raise PydanticCustomError("no_lines", "should not be empty")
    seen: set[int] = set()
    for index, line in enumerate(lines):
        if line.line in seen:
            raise PydanticCustomError("line_twice", "stands on two service lines; give each its own", {"index": index})
        seen.add(line.line)
    return lines


_NOT_EMPTY = Field(json_schema_extra={"minItems": 1, "maxItems": MOST_LINES})
_MOST_DIAGNOSES = Field(json_schema_extra={"maxItems": MOST_DIAGNOSES})
_MOST_PROCEDURES = Field(json_schema_extra={"maxItems": MOST_PROCEDURES})


Diagnoses = Annotated[tuple[Diagnosis, ...], _A_LIST, at_most(MOST_DIAGNOSES), _MOST_DIAGNOSES]
PastProcedures = Annotated[tuple[PastProcedure, ...], _A_LIST, at_most(MOST_PROCEDURES), _MOST_PROCEDURES]


class AuthorizationRequest(Private):
    """One request with one or more service lines; null and absent both mean "not stated"."""

    TYPE: ClassVar = "authorization.requested.v1"

    request_id: RequestId
    certification: Certification
    urgency: Urgency
    submitted_at: Instant
    prior_authorization_number: Personal | None = None
    policy_number: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """The policy to apply; by default, the deployment's."""
    supersedes: RequestId | None = None
    """The request that this one revises, cancels or appeals."""
    first_submitted_at: Instant | None = None
    """When the first request of its chain was submitted; by default, this one's `submitted_at`."""
    channel: Channel | None = None
    """How it reached the payer; electronically, unless stated otherwise."""
    member: Member
    provider: Provider
    diagnoses: Diagnoses | None = None
    procedures: PastProcedures | None = None
    """Past procedures: evidence, as diagnoses are."""
    service_lines: Annotated[
        tuple[ServiceLine, ...], _A_LIST, AfterValidator(_each_line_once), at_most(MOST_LINES), _NOT_EMPTY
    ]
    clinical: Mapping[str, JsonValue] | None = None
    """The stated facts: the fields are the policy's facts, and each policy has its own schema."""

    @field_validator("supersedes")
    @classmethod
    def _another(cls, supersedes: str | None, info: ValidationInfo) -> str | None:
        if supersedes is not None and supersedes == info.data.get("request_id"):
            raise PydanticCustomError("itself", "should be another request than this one")
        return supersedes

    @field_validator("first_submitted_at")
    @classmethod
    def _before_this_one(cls, first: datetime | None, info: ValidationInfo) -> datetime | None:
        submitted_at = info.data.get("submitted_at")
        if first is not None and submitted_at is not None and first > submitted_at:
            raise PydanticCustomError("later", "should not be after submitted_at")
        return first

    @property
    def first_of_chain(self) -> datetime:
        """When the first request of its chain was submitted."""
        return self.first_submitted_at or self.submitted_at

    def content(self) -> bytes:
        """The request in canonical form: equal for requests with the same meaning, and stable across versions.

        JSON in UTF-8, its names sorted, without white space, unstated fields or defaults. Codes are in the spelling of
        their systems, instants in RFC 3339 in their own offset. The order of diagnoses, past procedures and service
        lines matters, and that of modifiers does not.
        `events/README.md` documents it for platforms.
        """
        content = {name: value for name, value in vars(self).items() if value is not None}
        content["member"], content["provider"] = _known(self.member), _known(self.provider)
        content["service_lines"] = [_line_content(line) for line in self.service_lines]
        content["diagnoses"] = [vars(stated) for stated in self.diagnoses or ()]
        if not content["diagnoses"]:
            del content["diagnoses"]
        if self.procedures:
            content["procedures"] = [_stated(vars(one)) for one in self.procedures]
        elif self.procedures is not None:
            del content["procedures"]
        content["clinical"] = _stated(self.clinical or {})
        if not content["clinical"]:
            del content["clinical"]
        if self.channel == ELECTRONIC:
            del content["channel"]
        try:
            return orjson.dumps(content, default=_plain, option=_CANONICAL)
        except TypeError:  # an integer of more than 64 bits, which no fact has
            return _dumped(content)


_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z


def _dumped(content: Any) -> bytes:
    return json.dumps(content, default=_plain, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def content_of_diagnoses(diagnoses: Sequence[Diagnosis]) -> bytes:
    """Their part of a request's content."""
    return orjson.dumps([vars(stated) for stated in diagnoses], option=_CANONICAL)


def content_of_procedures(procedures: Sequence[PastProcedure]) -> bytes:
    """Their part of a request's content."""
    return orjson.dumps([_stated(vars(one)) for one in procedures], option=_CANONICAL)


def content_of_clinical(clinical: Mapping[str, JsonValue]) -> bytes:
    """Its part of a request's content; empty if nothing is stated."""
    stated = _stated(clinical)
    try:
        return orjson.dumps(stated, option=_CANONICAL) if stated else b""
    except TypeError:
        return _dumped(stated)


def _stated(fields: Mapping[str, Any]) -> dict[str, Any]:
    """An object without nulls and empty objects, and with lists of words, which are sets, sorted."""
    stated: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, str):
            stated[name] = value
        elif isinstance(value, dict):
            if below := _stated(value):
                stated[name] = below
        elif isinstance(value, list):
            stated[name] = sorted(set(value)) if set(map(type, value)) == {str} else value
        elif value is not None:
            stated[name] = value
    return stated


def _known(part: Private) -> dict[str, Any]:
    return {name: value for name, value in vars(part).items() if value is not None}


def _line_content(line: ServiceLine) -> dict[str, Any]:
    stated = _known(line)
    if line.performed_on == "member":
        del stated["performed_on"]
    if line.modifiers is not None:
        stated["modifiers"] = sorted(line.modifiers)
    if line.clinical is not None:
        stated["clinical"] = _stated(line.clinical)
        if not stated["clinical"]:
            del stated["clinical"]
    return stated


def _plain(value: Any) -> str:
    """A part of a request as JSON; orjson itself writes days and instants in the same way."""
    if isinstance(value, SecretStr | Secret):
        value = value.get_secret_value()
    return written_instant(value) if isinstance(value, datetime) else str(value)
