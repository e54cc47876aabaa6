"""Writes answers: the Bundle around a ClaimResponse, and an OperationOutcome where there is none."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from events.adapters.code_lists import CORRECT_AND_RESUBMIT, REJECTED_BECAUSE
from events.adapters.pas.answering import Json, coded, extension
from events.adapters.pas.kept import uuid_of
from events.adapters.pas.reading import moment
from events.adapters.pas.systems import CLAIM_TYPES, OPERATION_CODES, PAS, X12
from events.adapters.pas.table import FIELDS, LINE_FIELDS, OTHER_LOOPS
from events.adapters.submission import Refusal, SourceError
from events.field_paths import UNDECLARED


class Kept:
    """What comes back, as `kept.echo` left it."""

    def __init__(self, echo: Mapping[str, Any], message: str) -> None:
        self.message = message
        self.zone = ZoneInfo(str(echo.get("zone") or "UTC"))
        self.named: Mapping[str, Any] = echo.get("named") or {}
        self.items: Mapping[str, Any] = echo.get("items") or {}
        self.is_claim = "claim" in echo
        self._echo = echo

    def at(self, at: int) -> str:
        """A record's timestamp as an instant in the partner's zone."""
        return _at(at, self.zone)

    def url(self, *parts: str) -> str:
        """The fullUrl of a resource of the answer."""
        return f"urn:uuid:{uuid_of(self.message, *parts)}"

    def response(self, identifiers: Sequence[Json], at: int, outcome: str, said: Json, profile: str) -> Json:
        """A ClaimResponse that says something."""
        echo = self._echo
        found: Json = {
            "resourceType": "ClaimResponse",
            "meta": {"profile": [PAS + profile]},
            "identifier": [*identifiers, *echo.get("identifiers", ())],
            "status": "active",
            "type": echo.get("type") or coded(CLAIM_TYPES, "professional"),
            "use": "preauthorization",
            "patient": self.named["patient"],
            "created": self.at(at),
            "insurer": self.named["insurer"],
            "request": {"reference": echo["claim"]},
            "outcome": outcome,
        }
        if "requestor" in self.named:
            found["requestor"] = self.named["requestor"]
        if not found["identifier"]:
            del found["identifier"]
        return found | said

    def bundle(self, own: str, at: int, resources: Sequence[tuple[str, Json]], profile: str) -> Json:
        """A Bundle of the answer's own resources and of those that come back."""
        id_ = uuid_of(self.message, own)
        entries = [
            {
                "fullUrl": url,
                "resource": {"resourceType": one["resourceType"], "id": url.removeprefix("urn:uuid:")} | one,
            }
            for url, one in resources
        ]
        return {
            "resourceType": "Bundle",
            "id": id_,
            "meta": {"profile": [PAS + profile]},
            "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{id_}"},
            "type": "collection",
            "timestamp": self.at(at),
            "entry": [*entries, *self._echo.get("entries", ())],
        }


def instant(moment: datetime) -> str:
    """As FHIR writes it, with milliseconds only where there are any."""
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")


@lru_cache(maxsize=1 << 10)
def _at(at: int, zone: ZoneInfo) -> str:
    return instant(moment(at, zone))


def written(tree: Json) -> bytes:
    """An answer as a record's value."""
    return orjson.dumps(tree)


_LOOPS = (
    {field.path: field.loop for field in FIELDS}
    | {f"service_lines.{field.path}": field.loop for field in LINE_FIELDS}
    | OTHER_LOOPS
)
_UNKNOWN = SourceError(path="", place="", trouble="invalid", message="cannot be decided")


def errors(refusal: Refusal) -> Json:
    """What is wrong, as a ClaimResponse says it."""
    notes, stated = [], []
    for number, error in enumerate(refusal.errors or (_UNKNOWN,), start=1):
        detail = f"{error.path}: {error.message}" if error.path else error.message
        notes.append({"number": number, "type": "print", "text": detail})
        place = [{"url": "processNote", "valuePositiveInt": number}]
        if loop := _loop(error.path):
            place.append({"url": "error", "valueString": loop})
        follow_up = coded(f"{X12}889", CORRECT_AND_RESUBMIT)
        stated.append(
            {
                "extension": [
                    extension("extension-errorFollowupAction", "CodeableConcept", follow_up),
                    {"url": f"{PAS}extension-errorElement", "extension": place},
                    extension("extension-errorPath", "String", error.place or _place(error.path)),
                ],
                "code": coded(f"{X12}901", REJECTED_BECAUSE[error.trouble]),
            }
        )
    return {"processNote": notes, "error": stated}


def _loop(path: str) -> str:
    parts = [part for part in path.split(".") if not part.isdigit()]
    return _LOOPS.get(".".join(parts)) or _LOOPS.get(parts[0], "")


_PLACES = {field.path.partition(".")[0]: field.place for field in FIELDS} | {
    "diagnoses": "Claim.diagnosis",
    "procedures": "Claim.procedure",
    "service_lines": "Claim.item",
    "clinical": "QuestionnaireResponse.item",
}


def _place(path: str) -> str:
    """Where a field usually stands: a request that cannot be decided has no places of its own.

    Of an answer to our questionnaire, its item by its link id, which is the fact's path, or by the beginning that may
    be repeated.
    """
    if path.startswith("clinical."):
        known, hidden, _ = path.partition(UNDECLARED)
        fact = ".".join(part for part in known.split(".") if not part.isdigit())
        asked = f"linkId.startsWith('{fact}')" if hidden else f"linkId = '{fact}'"
        return f"QuestionnaireResponse.repeat(item).where({asked})"
    return _PLACES.get(path.partition(".")[0]) or "Claim"


def operation_outcome(refusal: Refusal) -> Json:
    """What is wrong with a record in which no Claim is found."""
    issues = []
    for error in refusal.errors or (_UNKNOWN,):
        code = "structure" if refusal.reason == "undecodable" else OPERATION_CODES[error.trouble]
        issue: Json = {"severity": "error", "code": code, "diagnostics": error.message}
        if error.place:
            issue["expression"] = [error.place]
        issues.append(issue)
    return {"resourceType": "OperationOutcome", "issue": issues}
