"""What the demo's claims platform hears, as a table."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from events.topics import PAS_REQUESTS
from workers.decide.decision_text import ACTIONS
from workers.demo.platform import Exchanged


def table(exchanges: Sequence[Exchanged]) -> Table:
    """What was sent and what came back."""
    shown = Table("the platform sends", "and is answered")
    for message, response in exchanges:
        lines = list(_pas(response) if message.topic == PAS_REQUESTS else _x12(response))
        shown.add_row(Text(f"{message.says} ({message.file})"), Text("\n".join(lines)))
    return shown


def _pas(response: bytes) -> Iterator[str]:
    bundle: Any = json.loads(response)
    claim = bundle["entry"][0]["resource"]
    yield f"ClaimResponse, outcome {claim['outcome']}"
    for code in dict.fromkeys(_codes(claim)):
        yield f"reviewActionCode {code} {ACTIONS.get(code, '')}".rstrip()
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "CommunicationRequest":
            yield "CommunicationRequest"
    for note in claim.get("processNote", ()):
        yield f"note: {note['text']}"


def _codes(node: Any) -> Iterator[str]:
    """The review actions in a resource."""
    if isinstance(node, dict):
        if str(node.get("url", "")).endswith("extension-reviewActionCode"):
            yield from (coding["code"] for coding in node["valueCodeableConcept"]["coding"])
        for below in node.values():
            yield from _codes(below)
    elif isinstance(node, list):
        for below in node:
            yield from _codes(below)


def _x12(response: bytes) -> Iterator[str]:
    told = ("BHT", "TRN", "HCR", "REF", "HI", "PWK", "MSG", "AAA")
    return (one for one in response.decode().split("~") if one.split("*")[0] in told)
