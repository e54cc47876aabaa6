"""What of a client's Subscription is taken, kept, and which responses it is told of."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.gateways import response_to, subscription
from workers.gateway.access.clients import Client
from workers.gateway.subscriptions import notification
from workers.gateway.subscriptions.concerns import concerns
from workers.gateway.subscriptions.resource import SubscriptionError, stored, wanted

ENDPOINT = "https://hooks.example/pas/answers"
CLIENT = Client(partner="hospital", endpoints=("https://hooks.example/pas",))
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def channel(**changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = subscription(ENDPOINT)["channel"]
    return {"channel": {name: value for name, value in (found | changed).items() if value is not None}}


def test_a_subscription_is_taken_as_the_guide_has_it() -> None:
    found = wanted(subscription(ENDPOINT, "org-identifier=urn:senders|A", end="2026-01-02T03:04:05Z"), CLIENT)

    assert found.endpoint == ENDPOINT
    assert found.headers == (("Authorization", "Bearer of-the-subscriber"),)
    assert found.organizations == {"urn:senders|A"}
    assert (found.end, found.is_off) == (NOW, False)


@pytest.mark.parametrize(
    ("text", "organizations"),
    [
        ("org-identifier=A", {"A"}),
        ("orgIdentifier=A", {"A"}),
        ("PASSubscriptionTopic?orgIdentifier=urn:x|A", {"urn:x|A"}),
        ("ClaimResponse?org-identifier=http%3A%2F%2Fx%7CA,B", {"http://x|A", "B"}),
        ("org-identifier=A&orgIdentifier=B", {"A", "B"}),
    ],
)
def test_both_names_of_the_filter_are_taken(text: str, organizations: set[str]) -> None:
    """The guide's text and its topic differ."""
    assert wanted(subscription(ENDPOINT, text), CLIENT).organizations == organizations


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"resourceType": "Claim"}, "Subscription"),
        ({"status": "error"}, "Subscription.status"),
        ({"status": ["off"]}, "Subscription.status"),
        ({"criteria": "Claim?"}, "Subscription.criteria"),
        ({"criteria": None}, "Subscription.criteria"),
        ({"_criteria": []}, "Subscription.criteria"),
        ({"end": "2026-01-02"}, "Subscription.end"),
        ({"channel": None}, "Subscription.channel"),
        (channel(type="websocket"), "Subscription.channel.type"),
        (channel(payload="application/fhir+xml"), "Subscription.channel.payload"),
        (channel(payload=["application/json"]), "Subscription.channel.payload"),
        (channel(_payload=None), "Subscription.channel.payload"),
        (channel(endpoint=None), "Subscription.channel.endpoint"),
        (channel(endpoint="https://evil.example/pas"), "Subscription.channel.endpoint"),
        (channel(header="Authorization: x"), "Subscription.channel.header"),
        (channel(header=["Host: evil.example"]), "Subscription.channel.header"),
        (channel(header=["content-length: 1"]), "Subscription.channel.header"),
        (channel(header=["X: a\r\nHost: evil.example"]), "Subscription.channel.header"),
        (channel(header=["no colon"]), "Subscription.channel.header"),
        (channel(header=["X: y"] * 11), "Subscription.channel.header"),
    ],
)
def test_what_is_not_taken_is_named_by_its_place(changed: dict[str, Any], place: str) -> None:
    with pytest.raises(SubscriptionError) as caught:
        wanted(subscription(ENDPOINT) | changed, CLIENT)

    assert caught.value.place == place


@pytest.mark.parametrize("text", ["status=active", "org-identifier", "org-identifier=", "", "Claim?x=org-identifier"])
def test_another_filter_is_refused(text: str) -> None:
    """Ignored, it would tell of more than was asked for."""
    with pytest.raises(SubscriptionError, match="org-identifier"):
        wanted(subscription(ENDPOINT, text), CLIENT)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
NAMES = ("status", "criteria", "_criteria", "end", "reason", "channel")
IN_CHANNEL = ("type", "endpoint", "payload", "_payload", "header")


@given(
    st.dictionaries(st.sampled_from(NAMES), ANY, max_size=3),
    st.dictionaries(st.sampled_from(IN_CHANNEL), ANY, max_size=3),
)
def test_whatever_is_written_is_taken_or_refused(changed: dict[str, Any], inner: dict[str, Any]) -> None:
    """And what is kept of it is taken again, meaning the same."""
    written = subscription(ENDPOINT, "org-identifier=A")
    written["channel"] |= inner
    written |= changed
    try:
        found = wanted(written, CLIENT)
    except SubscriptionError:
        return
    assert wanted(json.loads(json.dumps(stored(written))), CLIENT)._replace(is_off=found.is_off) == found


# --- which responses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("organizations", "told"),
    [
        (set(), True),
        ({"urn:npi|1"}, True),
        ({"1"}, True),
        ({"urn:npi|2"}, False),
        ({"urn:other|1"}, False),
        ({"urn:npi|2", "urn:npi|1"}, True),
        ({"urn:senders|DELTAHOSP"}, True),
        ({"DELTAHOSP"}, True),
        ({"urn:else|DELTAHOSP"}, False),
    ],
)
def test_a_filter_names_the_sender_or_the_provider(organizations: set[str], told: bool) -> None:
    response = response_to(b"1", "urn:npi|1")

    assert concerns(response, frozenset(organizations), ("urn:senders|DELTAHOSP",)) is told


@pytest.mark.parametrize(
    ("response", "told"),
    [
        (b'{"resourceType": "Bundle"}', True),
        (b'{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "ClaimResponse"}}]}', True),
        (b'{"resourceType": "Parameters"}', False),
        (b'{"resourceType": "OperationOutcome"}', False),
        (b"[]", False),
        (b"no JSON", False),
    ],
)
def test_an_answer_that_names_nobody_is_told_of(response: bytes, told: bool) -> None:
    """Only what is no answer to a request is not."""
    assert concerns(response, frozenset({"urn:npi|1"}), ()) is told


@given(ANY)
def test_no_response_is_too_strange(value: Any) -> None:
    for strange in (value, {"resourceType": "Bundle", "entry": value}, {"resourceType": "Bundle", "entry": [value]}):
        assert concerns(json.dumps(strange).encode(), frozenset({"A"}), ("B",)) in {True, False}


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_a_notification_has_the_response_byte_for_byte() -> None:
    """Numbers keep their digits: 1.50 is not 1.5."""
    response = b'{"resourceType":"Bundle","total":1.50}'
    sent = notification.event("https://pas.example/fhir/Subscription/1", "pas.responses/0/7", 3, response, NOW)

    assert response in sent
    read = json.loads(sent)
    assert (read["type"], read["timestamp"]) == ("history", "2026-01-02T03:04:05Z")
    status, event = read["entry"]
    assert status["resource"]["resourceType"] == "Parameters"
    assert all({"fullUrl", "resource", "request", "response"} == set(entry) for entry in (status, event))
    names = [one["name"] for one in status["resource"]["parameter"]]
    assert names == ["subscription", "topic", "status", "type", "events-since-subscription-start", "notification-event"]


def test_the_same_notification_has_the_same_ids() -> None:
    """And another response others."""
    address = "https://pas.example/fhir/Subscription/1"
    first, again, other = (
        notification.event(address, f"pas.responses/0/{offset}", 3, b"{}", NOW) for offset in (7, 7, 8)
    )

    assert first == again
    assert json.loads(first)["id"] != json.loads(other)["id"]
    assert json.loads(notification.handshake(address, "1", NOW))["id"] != json.loads(first)["id"]
