"""The AsyncAPI document has every topic that others use, and every event on it, with its schema."""

from importlib.metadata import version
from typing import Any

import pytest

from events import asyncapi
from events.schemas import FOLDER
from events.topics import CASES, DECISIONS, PAS_REQUESTS, REQUESTS, TOPICS, VERDICTS

DOCUMENT = asyncapi.document()


def found(pointer: str) -> Any:
    """What a reference within the document leads to."""
    node: Any = DOCUMENT
    for part in pointer.removeprefix("#/").split("/"):
        node = node[part]
    return node


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [one for below in node.values() for one in references(below)]
    return [one for below in node for one in references(below)] if isinstance(node, list) else []


def test_every_reference_leads_somewhere() -> None:
    for one in references(DOCUMENT):
        assert found(one) if one.startswith("#/") else (FOLDER.parent / one).is_file()


def test_every_event_of_a_public_topic_is_a_message() -> None:
    kinds = {kind for topic in asyncapi.public() for kind in topic.events}
    assert kinds <= set(DOCUMENT["components"]["messages"])
    assert {one["address"] for one in DOCUMENT["channels"].values()} == {topic.name for topic in asyncapi.public()}


@pytest.mark.parametrize(
    ("topic", "actions"),
    [
        (REQUESTS, {"receive"}),
        (DECISIONS, {"send"}),
        (VERDICTS, {"receive"}),
        (PAS_REQUESTS, {"receive"}),
        (CASES, set()),
    ],
)
def test_operations_are_from_this_sides_view(topic: str, actions: set[str]) -> None:
    name = topic.replace(".", "_")
    assert {action for action in ("receive", "send") if f"{action}_{name}" in DOCUMENT["operations"]} == actions


def test_no_address_is_a_host_and_the_version_is_the_packages() -> None:
    assert "servers" not in DOCUMENT
    assert DOCUMENT["info"]["version"] == version("dli-authorization")
    assert len(asyncapi.public()) < len(TOPICS)
