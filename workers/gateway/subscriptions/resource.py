"""A client's Subscription: what of it is taken, and what is refused.

Profile: http://hl7.org/fhir/us/davinci-pas/StructureDefinition/profile-subscription, on the R4 part of
http://hl7.org/fhir/uv/subscriptions-backport (1.1.0).
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import unquote

from events.field_types import instant
from workers.gateway.access.clients import Client
from workers.gateway.access.endpoints import EndpointError, is_below, parsed

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
FILTER = f"{BACKPORT}/backport-filter-criteria"
CONTENT = f"{BACKPORT}/backport-payload-content"
PROFILE = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/profile-subscription"
TOPIC = "http://hl7.org/fhir/us/davinci-pas/SubscriptionTopic/PASSubscriptionTopic"
FILTERS = frozenset({"org-identifier", "orgIdentifier"})
"""The guide's text has the first, its topic the second."""
PAYLOADS = ("application/fhir+json", "application/json")
MOST_HEADERS, LONGEST_HEADER = 10, 2_000
_HEADER = re.compile(r"([A-Za-z0-9-]{1,64}):[ \t]*([!-~][ -~]*)")
OWN_HEADERS = frozenset(
    {"host", "content-type", "content-length", "content-encoding", "transfer-encoding", "connection", "expect", "te",
     "trailer", "upgrade", "keep-alive", "proxy-authorization", "proxy-connection", "cookie"}
)  # fmt: skip
"""Headers of the transport, which no client sets."""
STATUSES = ("requested", "active", "off")
MOST_FILTERS, LONGEST_FILTER, LONGEST_REASON = 20, 500, 500


class SubscriptionError(ValueError):
    """A subscription that is not taken."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.place, self.message = place, message


class Wanted(NamedTuple):
    """What a subscription asks for."""

    endpoint: str
    headers: tuple[tuple[str, str], ...]
    """To send with each notification; they may hold the subscriber's secrets."""
    organizations: frozenset[str]
    """Identifiers, `value` or `system|value`; empty for all."""
    payload: str
    end: datetime | None
    is_off: bool


def wanted(resource: Mapping[str, Any], client: Client) -> Wanted:
    """What a client's subscription asks for.

    Raises:
        SubscriptionError: It is not taken.
    """
    _must(resource.get("resourceType") == "Subscription", "Subscription", "should be a Subscription")
    status = resource.get("status", "requested")
    _must(status in STATUSES, "Subscription.status", "should be requested, or off")
    topic = resource.get("criteria")
    _must(isinstance(topic, str) and topic.partition("|")[0] == TOPIC, "Subscription.criteria", f"should be {TOPIC}")
    channel = _object(resource.get("channel"), "Subscription.channel")
    _must(channel.get("type") == "rest-hook", "Subscription.channel.type", "should be rest-hook")
    payload = channel.get("payload")
    _must(payload in PAYLOADS, "Subscription.channel.payload", "should be application/fhir+json")
    content = list(_extensions(channel.get("_payload"), CONTENT, "Subscription.channel.payload"))
    _must(
        [one.get("valueCode") for one in content] == ["full-resource"],
        "Subscription.channel.payload",
        f"should have the extension {CONTENT} with full-resource: PAS has no other",
    )
    return Wanted(
        endpoint=_endpoint(channel, client),
        headers=tuple(_headers(channel)),
        organizations=frozenset(_organizations(resource)),
        payload=str(payload),
        end=_end(resource),
        is_off=status == "off",
    )


def stored(resource: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of it: the elements that mean something here."""
    channel = resource["channel"]
    kept = {
        "resourceType": "Subscription",
        "meta": {"profile": [PROFILE]},
        "reason": str(resource.get("reason", "prior authorization responses"))[:LONGEST_REASON],
        "criteria": resource["criteria"],
        "_criteria": resource.get("_criteria"),
        "end": resource.get("end"),
        "channel": {
            "type": "rest-hook",
            "endpoint": channel["endpoint"],
            "payload": channel["payload"],
            "_payload": {"extension": [{"url": CONTENT, "valueCode": "full-resource"}]},
            "header": channel.get("header"),
        },
    }
    kept["_criteria"] = (
        {"extension": [{"url": FILTER, "valueString": one["valueString"]} for one in _filters(resource)]}
        if resource.get("_criteria")
        else None
    )
    return _without_nothing(kept)


def _without_nothing(value: dict[str, Any]) -> dict[str, Any]:
    found = {name: _without_nothing(one) if isinstance(one, dict) else one for name, one in value.items()}
    return {name: one for name, one in found.items() if one not in (None, [], {}, {"extension": []})}


def _endpoint(channel: Mapping[str, Any], client: Client) -> str:
    place, address = "Subscription.channel.endpoint", channel.get("endpoint")
    if not isinstance(address, str):
        raise SubscriptionError(place, "should be an address")
    try:
        parsed(address)
    except EndpointError as error:
        raise SubscriptionError(place, str(error)) from None
    _must(
        is_below(address, client.endpoints), place, "is not below an address that is listed for you; ask us to list it"
    )
    return address


def _headers(channel: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    place, lines = "Subscription.channel.header", channel.get("header", [])
    _must(isinstance(lines, list) and len(lines) <= MOST_HEADERS, place, f"should be at most {MOST_HEADERS} headers")
    for line in lines:
        found = _HEADER.fullmatch(line) if isinstance(line, str) and len(line) <= LONGEST_HEADER else None
        if found is None:
            raise SubscriptionError(place, "should be a header, as Name: value")
        _must(found[1].lower() not in OWN_HEADERS, place, "should have no header of the transport, such as Host")
        yield found[1], found[2]


def _filters(resource: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    place = "Subscription.criteria"
    found = list(_extensions(resource.get("_criteria"), FILTER, place))
    _must(len(found) <= MOST_FILTERS, place, f"should have at most {MOST_FILTERS} filters")
    for one in found:
        text = one.get("valueString")
        _must(isinstance(text, str) and len(text) <= LONGEST_FILTER, place, "should have a text as its filter")
        yield one


def _organizations(resource: Mapping[str, Any]) -> Iterator[str]:
    for one in _filters(resource):
        # With or without what it filters: `PASSubscriptionTopic?orgIdentifier=...`.
        for pair in one["valueString"].rpartition("?")[2].split("&"):
            name, _, value = pair.partition("=")
            _must(
                name.strip() in FILTERS and bool(value.strip()),
                "Subscription.criteria",
                "should filter by org-identifier (or orgIdentifier) alone",
            )
            yield from (part for each in value.split(",") if (part := unquote(each).strip()))


def _end(resource: Mapping[str, Any]) -> datetime | None:
    if resource.get("end") is None:
        return None
    try:
        return instant(resource["end"]).astimezone(UTC)
    except ValueError:
        raise SubscriptionError("Subscription.end", "should be an instant") from None


def _extensions(element: Any, url: str, place: str) -> Iterator[Mapping[str, Any]]:
    if element is None:
        return
    listed = _object(element, place).get("extension", [])
    _must(isinstance(listed, list), place, "should have a list of extensions")
    yield from (one for one in listed if isinstance(one, dict) and one.get("url") == url)


def _object(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SubscriptionError(place, "should be an object")
    return value


def _must(holds: bool, place: str, message: str) -> None:
    if not holds:
        raise SubscriptionError(place, message)
