"""The JSON Schemas of the events, generated from their models, for claims platforms to validate against."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from events.adapters.partner import Partner
from events.attestation import PolicyAttestation
from events.audit import Acted
from events.dead_letter import DeadLetter
from events.deadline import Deadline
from events.decision import Decision
from events.request import AuthorizationRequest
from events.revision import PolicyRevision
from events.shadow import ShadowDifference
from events.verdict import AuthorizationExtended, AuthorizationReviewed

FOLDER = Path(__file__).parent / "schemas"
EVENTS: tuple[tuple[str, type[BaseModel]], ...] = tuple(
    (model.TYPE, model)
    for model in (
        AuthorizationRequest,
        Decision,
        AuthorizationReviewed,
        AuthorizationExtended,
        Deadline,
        DeadLetter,
        ShadowDifference,
        PolicyRevision,
        PolicyAttestation,
        Acted,
    )
)
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def event_schemas() -> dict[str, str]:
    """Every event's schema as the text of its file, by file name; and that of a trading partner's file."""
    models: tuple[tuple[str, type[BaseModel]], ...] = (*EVENTS, ("partner", Partner))
    return {f"{kind}.json": text(f"{kind}.json", model.model_json_schema(by_alias=True)) for kind, model in models}


def text(name: str, schema: Mapping[str, Any]) -> str:
    """A schema as file text: stable, and ending in a line break."""
    whole = {"$schema": DIALECT, "$id": name, **schema}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
