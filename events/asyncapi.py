"""The AsyncAPI 3 document of the topics that platforms and reviewers use, generated from `topics` and the models.

https://www.asyncapi.com/docs/reference/specification/v3.0.0; operations are from this application's point of view.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from events.topics import PAS_REQUESTS, PAS_RESPONSES, TOPICS, X12_REQUESTS, X12_RESPONSES, Topic

PAGE = Path(__file__).parent / "asyncapi.json"
VERSION = "0.1.0"
"""Of the software whose interface it is; a test holds it against the package's."""
OTHERS = frozenset({"claims platform", "review system"})
"""Whoever is no part of this software and publishes."""
READERS = OTHERS | {"operators", "auditors", "who answers for the policy"}
RAW = {
    PAS_REQUESTS: ("pas.request", "application/fhir+json", "A FHIR Da Vinci PAS bundle, or an inquiry's Parameters."),
    PAS_RESPONSES: ("pas.response", "application/fhir+json", "The answer to a bundle or an inquiry."),
    X12_REQUESTS: ("x12.278.request", "application/edi-x12", "An interchange with X12 278 requests (005010X217)."),
    X12_RESPONSES: ("x12.278.response", "application/edi-x12", "An interchange with the answer to one request."),
}
"""Messages in platforms' own formats: name, media type, meaning."""
_CLOUD_EVENT = ("ce_id", "ce_source", "ce_specversion", "ce_type")
_OPTIONAL = ("ce_subject", "ce_time", "ce_correlationid", "ce_causationid", "ce_traceparent")


def public() -> list[Topic]:
    """The topics that others than this software's own agents write or read."""
    return [topic for topic in TOPICS if _received(topic) or _sent(topic)]


def _received(topic: Topic) -> bool:
    return bool(OTHERS & set(topic.producers))


def _sent(topic: Topic) -> bool:
    return bool(READERS & set(topic.consumers)) and not set(topic.producers) <= OTHERS


def text() -> str:
    """The document's text."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def document() -> dict[str, Any]:
    """The document."""
    topics = public()
    kinds = dict.fromkeys(kind for topic in topics for kind in topic.events)
    messages = {kind: _event(kind) for kind in kinds} | {
        RAW[one.name][0]: _raw(one.name) for one in topics if one.name in RAW
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "dli-authorization",
            "version": VERSION,
            "description": (
                "Prior-authorization requests in, decisions out. Events are CloudEvents 1.0 in structured or binary "
                "mode; a deployment may put a prefix before every address. Read with isolation.level=read_committed."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {_name(topic.name): _channel(topic) for topic in topics},
        "operations": dict(_operations(topics)),
        "components": {
            "messages": messages,
            "securitySchemes": {
                "scram": {"type": "scramSha512", "description": "SASL over TLS, with the user's name and password."},
                "certificate": {"type": "X509", "description": "TLS with a certificate of the client's own."},
            },
        },
    }


def _name(topic: str) -> str:
    """A topic's name as a key: AsyncAPI allows no dots in those of operations."""
    return topic.replace(".", "_")


def _of(topic: Topic) -> list[str]:
    return [RAW[topic.name][0]] if topic.name in RAW else list(topic.events)


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "description": f"{_kept(topic.retention)} Holds {'' if topic.personal else 'no '}personal data.",
        "messages": {_name(kind): {"$ref": f"#/components/messages/{kind}"} for kind in _of(topic)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": topic.cleanup.split(","),
                    "retention.ms": int(topic.retention.total_seconds() * 1000) if topic.retention is not None else -1,
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _kept(retention: timedelta | None) -> str:
    if retention is None:
        return "Kept for ever."
    return f"Kept for {retention.days} day{'s' if retention.days != 1 else ''}."


def _operations(topics: list[Topic]) -> Iterator[tuple[str, dict[str, Any]]]:
    for topic in topics:
        channel = f"#/channels/{_name(topic.name)}"
        refs = [{"$ref": f"{channel}/messages/{_name(kind)}"} for kind in _of(topic)]
        for action, is_one in (("receive", _received(topic)), ("send", _sent(topic))):
            if is_one:
                yield (
                    f"{action}_{_name(topic.name)}",
                    {"action": action, "channel": {"$ref": channel}, "messages": refs},
                )


def _event(kind: str) -> dict[str, Any]:
    return {
        "name": kind,
        "title": kind,
        "contentType": "application/json",
        "description": "In binary mode the value is this data and the headers are the attributes; in structured mode "
        "the value is the whole event, whose `data` this is.",
        "headers": {
            "type": "object",
            "properties": {
                **{name: {"type": "string"} for name in (*_CLOUD_EVENT, *_OPTIONAL, "content-type")},
                "ce_specversion": {"const": "1.0"},
                "ce_type": {"const": kind},
            },
        },
        "payload": {"$ref": f"schemas/{kind}.json"},
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": "0.5.0"}},
    }


def _raw(topic: str) -> dict[str, Any]:
    name, media, says = RAW[topic]
    headers = (
        ("partner",)
        if topic in (PAS_REQUESTS, X12_REQUESTS)
        else ("partner", "dli-message", "dli-request", "dli-cause")
    )
    return {
        "name": name,
        "title": name,
        "contentType": media,
        "description": says,
        "headers": {"type": "object", "properties": {one: {"type": "string"} for one in headers}},
        "payload": {"type": "object"} if media.endswith("json") else {"type": "string"},
    }
