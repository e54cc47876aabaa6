"""What subscribers receive: Bundles of the R4 part of the subscriptions backport (1.1.0), as bytes.

A notification of an event has the whole PAS response in it, with the bytes of its topic. Its ids come from the place of
the response in Kafka, so that a notification that is sent again is seen to be the same.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

import orjson

from events.field_types import written_instant
from workers.gateway.subscriptions.resource import BACKPORT, TOPIC

Type = Literal["handshake", "event-notification", "query-status"]


def handshake(subscription: str, version: str, now: datetime) -> bytes:
    """The first notification: a subscriber that accepts it will get events. `subscription` is its address."""
    status = status_of(subscription, "requested", "handshake", 0)
    return orjson.dumps(_bundle(subscription, f"handshake/{version}", now, status))


def event(subscription: str, place: str, number: int, response: bytes, at: datetime) -> bytes:
    """The notification of one response.

    Args:
        subscription: Its address.
        place: Where the response is, which makes the ids.
        number: Of the event, from 1.
        response: A PAS response Bundle.
        at: When it was made.
    """
    focus = f"urn:uuid:{uuid5(NAMESPACE_URL, f'{subscription}/{place}/response')}"
    told = {
        "name": "notification-event",
        "part": [
            {"name": "event-number", "valueString": str(number)},
            {"name": "timestamp", "valueInstant": written_instant(at.astimezone(UTC))},
            {"name": "focus", "valueReference": {"reference": focus}},
        ],
    }
    status = status_of(subscription, "active", "event-notification", number, told)
    made = _bundle(subscription, place, at, status)
    made["entry"].append(
        {
            "fullUrl": focus,
            "resource": orjson.Fragment(response),
            "request": {"method": "POST", "url": "Bundle"},
            "response": {"status": "201"},
        }
    )
    return orjson.dumps(made)


def status_of(subscription: str, status: str, kind: Type, events: int, *told: Mapping[str, Any]) -> dict[str, Any]:
    """The state of a subscription, as Parameters."""
    return {
        "resourceType": "Parameters",
        "meta": {"profile": [f"{BACKPORT}/backport-subscription-status-r4"]},
        "parameter": [
            {"name": "subscription", "valueReference": {"reference": subscription}},
            {"name": "topic", "valueCanonical": TOPIC},
            {"name": "status", "valueCode": status},
            {"name": "type", "valueCode": kind},
            {"name": "events-since-subscription-start", "valueString": str(events)},
            *told,
        ],
    }


def _bundle(subscription: str, place: str, at: datetime, status: dict[str, Any]) -> dict[str, Any]:
    own = uuid5(NAMESPACE_URL, f"{subscription}/{place}")
    of_status = uuid5(own, "status")
    return {
        "resourceType": "Bundle",
        "id": str(own),
        "meta": {"profile": [f"{BACKPORT}/backport-subscription-notification-r4"]},
        "type": "history",
        "timestamp": written_instant(at.astimezone(UTC)),
        "entry": [
            {
                "fullUrl": f"urn:uuid:{of_status}",
                "resource": {"id": str(of_status), **status},
                "request": {"method": "GET", "url": f"{subscription}/$status"},
                "response": {"status": "200"},
            }
        ],
    }
