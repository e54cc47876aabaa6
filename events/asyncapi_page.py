"""The AsyncAPI document as a page to read: `dli schemas write` writes it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from events import asyncapi
from events.markdown import table
from events.schemas import event_schemas

PAGE = Path(__file__).parent / "asyncapi.md"
_TOP = """# Topics and events

Made from [asyncapi.json](asyncapi.json), the AsyncAPI 3 document, by `dli schemas write`. {}

**receive** is what this software reads, **send** what it writes. Times are RFC 3339 with an offset. A field that is not
required is absent or null. The schemas are closed for tests of ours; a consumer ignores fields that it does not know.
"""
_LONGEST = 60
"""Characters of a list of values."""


def text() -> str:
    """The page."""
    document = asyncapi.document()
    actions: dict[str, list[str]] = {}
    for one in document["operations"].values():
        actions.setdefault(one["channel"]["$ref"].rpartition("/")[2], []).append(one["action"])
    parts = [_TOP.format(document["info"]["description"]), "## Topics\n"]
    parts += table(("topic", "action", "messages", "partitions", "kept"), _channels(document, actions))
    parts.append("\n## Messages")
    for name, message in document["components"]["messages"].items():
        parts += ["", *_message(name, message)]
    return "\n".join((*parts, ""))


def _channels(document: Mapping[str, Any], actions: Mapping[str, Sequence[str]]) -> Iterator[Sequence[str]]:
    for name, channel in document["channels"].items():
        kinds = [one["$ref"].rpartition("/")[2] for one in channel["messages"].values()]
        yield (
            f"`{channel['address']}`",
            ", ".join(actions[name]),
            ", ".join(f"[{kind}](#{_anchor(kind)})" for kind in kinds),
            str(channel["bindings"]["kafka"]["partitions"]),
            channel["description"],
        )


def _anchor(heading: str) -> str:
    """A heading's address on the page, as forges make it."""
    return "".join(one for one in heading.lower() if one.isalnum() or one in "-_")


def _message(name: str, message: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    yield f"`{message['contentType']}`. {message['description']}\n"
    headers = message["headers"]["properties"]
    yield f"Headers: {', '.join(f'`{one}`' for one in headers)}.\n"
    reference = message["payload"].get("$ref")
    if reference is None:
        yield "The value is the message as it is."
        return
    schema = json.loads(event_schemas()[reference.rpartition("/")[2]])
    yield f"Data, by [{reference}]({reference}):\n"
    yield from table(("field", "type", "required", "values"), _fields(schema, schema, "", ()))


def _fields(
    node: Mapping[str, Any], schema: Mapping[str, Any], path: str, within: tuple[str, ...]
) -> Iterator[Sequence[str]]:
    """A row for each field, those of an object below it; an object within itself is named and not repeated."""
    needed = set(node.get("required", ()))
    for name, field in node.get("properties", {}).items():
        kind, inner, values, of = _kind(field, schema)
        here = f"{path}{name}"
        yield f"`{here}`", kind, "yes" if name in needed else "", values
        if inner is not None and of not in within:
            below = f"{here}[]." if kind.startswith("list") else f"{here}."
            yield from _fields(inner, schema, below, (*within, of))


def _kind(field: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[str, Mapping[str, Any] | None, str, str]:
    """A field's type, the object that it is or lists, its values, and that object's name."""
    if "$ref" in field:
        of = field["$ref"].rpartition("/")[2]
        kind, inner, values, name = _kind(schema["$defs"][of], schema)
        return kind, inner, values, name or of
    others = [one for one in field.get("anyOf", field.get("oneOf", ())) if one.get("type") != "null"]
    if len(others) == 1:
        return _kind(others[0], schema)
    if others:
        kinds = dict.fromkeys(_kind(one, schema)[0] for one in others)
        return " or ".join(kinds), None, "", ""
    if field.get("type") == "array":
        kind, inner, values, of = _kind(field.get("items", {}), schema)
        return f"list of {kind}", inner, values, of
    if field.get("type") == "object":
        return "object", field if field.get("properties") else None, "", ""
    values = field.get("enum", [field["const"]] if "const" in field else [])
    return str(field.get("format") or field.get("type") or "any JSON"), None, _values(values), ""


def _values(values: Sequence[Any]) -> str:
    """Values as they fit into a row; the schema has all."""
    said = ", ".join(f"`{one}`" for one in values)
    if len(said) <= _LONGEST:
        return said
    few = ", ".join(f"`{one}`" for one in values[:3])
    return f"{few} and {len(values) - 3} more"
