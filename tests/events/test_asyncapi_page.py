"""The page of topics and events has every topic, every message and every field of the schemas."""

import json
import re
from collections.abc import Iterator
from typing import Any

from events import asyncapi
from events.asyncapi_page import PAGE, _fields, text
from events.schemas import FOLDER

DOCUMENT = asyncapi.document()


def sections() -> dict[str, str]:
    """What the page says of each message."""
    parts = text().split("\n### ")[1:]
    return {part.partition("\n")[0]: part for part in parts}


def names(node: Any) -> Iterator[str]:
    """The name of every field that a schema declares, wherever it stands."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "properties":
                yield from value
            if key not in {"if", "then"}:
                yield from names(value)
    elif isinstance(node, list):
        for one in node:
            yield from names(one)


def test_every_message_has_its_fields() -> None:
    for kind, found in sections().items():
        file = FOLDER / f"{kind}.json"
        if file.is_file():
            shown = {path.rpartition(".")[2].strip("[]") for path in re.findall(r"^\| `([^`]+)`", found, re.MULTILINE)}
            assert shown == set(names(json.loads(file.read_text("utf-8")))), kind
    assert list(sections()) == list(DOCUMENT["components"]["messages"])


def test_every_topic_is_there_with_links_that_lead_somewhere() -> None:
    page = text()
    headings = {re.sub(r"[^a-z0-9_-]", "", one.lower()) for one in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}

    assert all(f"| `{channel['address']}` |" in page for channel in DOCUMENT["channels"].values())
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= headings
    assert all((PAGE.parent / file).is_file() for file in re.findall(r"\]\(([^#)]+)\)", page))


def test_an_object_within_itself_is_named_once() -> None:
    node = {"type": "object", "properties": {"name": {"type": "string"}, "within": {"$ref": "#/$defs/Node"}}}
    schema = {"$defs": {"Node": node}, "properties": {"node": {"$ref": "#/$defs/Node"}}, "required": ["node"]}

    rows = list(_fields(schema, schema, "", ()))

    assert [(path, needed) for path, _, needed, _ in rows] == [
        ("`node`", "yes"),
        ("`node.name`", ""),
        ("`node.within`", ""),
    ]
