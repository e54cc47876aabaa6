"""Revisions published to a running worker, and what it decides then."""

import json
from typing import Any

from events.topics import DECISIONS, POLICY_REVISIONS
from policy_core.publications.publication import Publication
from tests.support.running import everything_on
from workers.configuration.settings import Settings
from workers.policies.revision_events import as_record
from workers.traffic.commands import sent


def publish_revisions(found: Settings, *some: Publication) -> None:
    topic = found.topic(POLICY_REVISIONS)
    list(sent([as_record(one, topic, found.source, found.mode) for one in some], found))


def data(found: Settings, topic: str) -> list[Any]:
    return [json.loads(one.value)["data"] for one in everything_on(found, topic)]


def decided(found: Settings, request_id: str) -> dict[str, Any] | None:
    [line] = next((one["lines"] for one in data(found, DECISIONS) if one["request_id"] == request_id), [None])
    return line


def decided_under(found: Settings, request_id: str) -> dict[str, Any]:
    """The document that the decision on a request names."""
    [document] = next(one["policies"] for one in data(found, DECISIONS) if one["request_id"] == request_id)
    named: dict[str, Any] = document
    return named
