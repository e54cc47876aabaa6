"""Subscribers before a broker: each is told of everything that concerns it, whatever stops in between."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from events.topics import PAS_RESPONSES
from tests.support.gateways import (
    OTHER_TOKEN,
    TOKEN,
    Platform,
    Subscriber,
    call,
    digest,
    gateway,
    kind,
    make_topics,
    parameters,
    platform,
    response_to,
    settings_of,
    subscriber,
    subscription,
    until,
    write_clients,
)
from workers.configuration.settings import Settings
from workers.gateway.subscriptions.delivery import Pace

pytestmark = pytest.mark.broker

BASE = "/fhir/Subscription"


@pytest.fixture
def hook() -> Iterator[Subscriber]:
    with subscriber() as one:
        yield one


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path, hook: Subscriber) -> Settings:
    made = settings_of(bootstrap, prefix, tmp_path)
    write_clients(tmp_path / "clients.yaml", hook.url)
    make_topics(made)
    return made


@pytest.fixture
def behind(found: Settings) -> Iterator[Platform]:
    with platform(found) as one:
        yield one


def subscribe(found: Settings, resource: Any, token: str = TOKEN) -> str:
    """Its id, once it is active."""
    answer = call(found, "POST", BASE, resource, token=token)
    assert answer.status == 201, answer.body
    one = str(answer.json["id"])
    assert answer.headers["Location"].endswith(f"{BASE}/{one}")
    assert until(lambda: status(found, one, token) == "active")
    return one


def status(found: Settings, one: str, token: str = TOKEN) -> str:
    return str(call(found, "GET", f"{BASE}/{one}", token=token).json["status"])


def told(behind: Platform, value: bytes, partner: str = "hospital", requestor: str = "urn:npi|1") -> str:
    behind.answer(PAS_RESPONSES, partner, digest(value), response_to(value, requestor))
    return digest(value)


def test_a_subscriber_is_told_of_each_response(found: Settings, behind: Platform, hook: Subscriber) -> None:
    """First a handshake, then a notification with the whole response; its own headers are sent, and events counted."""
    with gateway(found):
        told(behind, b"before it subscribed")
        one = subscribe(found, subscription(hook.url))
        expected = [told(behind, b"1"), told(behind, b"2")]
        assert until(lambda: len(hook.events()) == 2)

        state = call(found, "GET", f"{BASE}/{one}/$status").json

    of_event = parameters(hook.accepted[-1])
    del of_event["notification-event"]
    assert parameters(state) == of_event | {"type": "query-status"}
    headers, handshake = hook.received[0]
    assert (kind(handshake), headers["Authorization"]) == ("handshake", "Bearer of-the-subscriber")
    assert headers["Content-Type"] == "application/fhir+json"
    assert sorted(hook.events()) == sorted(expected)
    assert [parameters(bundle)["events-since-subscription-start"] for bundle in hook.accepted] == ["0", "1", "2"]
    last = hook.accepted[-1]
    assert parameters(last)["subscription"]["reference"].endswith(f"{BASE}/{one}")
    told_of = {part["name"]: part for part in parameters(last)["notification-event"]}
    assert told_of["focus"]["valueReference"]["reference"] == last["entry"][1]["fullUrl"]
    assert last["entry"][1]["resource"]["resourceType"] == "Bundle"


def test_each_partner_is_told_of_its_own_only(found: Settings, behind: Platform, hook: Subscriber) -> None:
    """Another partner's responses and subscriptions are not there; a filter leaves out other providers'."""
    with gateway(found):
        one = subscribe(found, subscription(hook.url, "org-identifier=urn:npi|1"))
        told(behind, b"another partner's", partner="other")
        told(behind, b"another provider's", requestor="urn:npi|2")
        expected = told(behind, b"ours")
        assert until(lambda: hook.events() == [expected])
        strange = [
            call(found, "GET", f"{BASE}/{one}", token=OTHER_TOKEN),
            call(found, "PUT", f"{BASE}/{one}", subscription(hook.url, id=one), token=OTHER_TOKEN),
            call(found, "DELETE", f"{BASE}/{one}", token=OTHER_TOKEN),
        ]

    assert [answer.status for answer in strange] == [404, 404, 404]


def test_a_notification_is_tried_until_it_is_accepted(found: Settings, behind: Platform, hook: Subscriber) -> None:
    """In order for one partition's responses, and with the same ids each time."""
    with gateway(found):
        subscribe(found, subscription(hook.url))
        hook.status = 503
        expected = told(behind, b"1")
        assert until(lambda: len(hook.received) >= 4)
        hook.status = 200
        assert until(lambda: hook.events() == [expected])

    tried = [bundle["id"] for _, bundle in hook.received if kind(bundle) == "event-notification"]
    assert len(tried) >= 3
    assert len(set(tried)) == 1


def test_nothing_is_lost_where_the_gateway_restarts(found: Settings, behind: Platform, hook: Subscriber) -> None:
    """Neither what was not accepted before it ended, nor what came while none ran."""
    with gateway(found):
        one = subscribe(found, subscription(hook.url))
        first = told(behind, b"1")
        assert until(lambda: hook.events() == [first])
        hook.status = 503
        second = told(behind, b"2")
        assert until(lambda: len(hook.received) >= 3)
    third = told(behind, b"3")
    hook.status = 200
    with gateway(found):
        assert until(lambda: len(hook.events()) >= 3)
        assert status(found, one) == "active"

    assert sorted(hook.events()) == sorted([first, second, third])
    numbers = [parameters(bundle)["events-since-subscription-start"] for bundle in hook.accepted]
    assert numbers == ["0", "1", "2", "3"]


def test_a_dead_address_holds_up_nobody_else(found: Settings, behind: Platform, hook: Subscriber) -> None:
    """It ends in an error, which says why; updated, it gets everything that it missed."""
    short = Pace(first=0.02, longest=0.05, give_up=0.2)
    with subscriber() as dead, gateway(found, short):
        write_clients(found.gateway_clients or Path(), hook.url, dead.url)
        lost = subscribe(found, subscription(dead.url))
        subscribe(found, subscription(hook.url))
        dead.status = 500
        first = told(behind, b"1")
        assert until(lambda: status(found, lost) == "error")
        second = told(behind, b"2")
        assert until(lambda: sorted(hook.events()) == sorted([first, second]))
        in_error = call(found, "GET", f"{BASE}/{lost}").json
        dead.status = 200
        updated = call(found, "PUT", f"{BASE}/{lost}", subscription(dead.url, id=lost))
        assert until(lambda: len(dead.events()) == 2)

    assert "the address responded 500" in in_error["error"]
    assert updated.status == 200
    assert sorted(dead.events()) == sorted([first, second])


def test_a_deleted_subscription_is_told_of_nothing(found: Settings, behind: Platform, hook: Subscriber) -> None:
    with subscriber() as other, gateway(found):
        write_clients(found.gateway_clients or Path(), hook.url, other.url)
        one, kept = (subscribe(found, subscription(url)) for url in (hook.url, other.url))
        deleted = call(found, "DELETE", f"{BASE}/{one}")
        gone = call(found, "GET", f"{BASE}/{one}")
        turned_off = call(found, "PUT", f"{BASE}/{kept}", subscription(other.url, id=kept, status="off"))
        told(behind, b"1")
        again = call(found, "PUT", f"{BASE}/{kept}", subscription(other.url, id=kept))
        assert until(lambda: other.events() == [digest(b"1")])

    assert (deleted.status, gone.status) == (204, 404)
    assert (turned_off.json["status"], again.json["status"]) == ("off", "requested")
    assert hook.events() == []


def test_a_redirect_is_not_followed(found: Settings, hook: Subscriber) -> None:
    """It would lead past the list of addresses."""
    hook.status = 302
    with gateway(found, Pace(first=0.02, longest=0.05, give_up=0.1)):
        one = str(call(found, "POST", BASE, subscription(hook.url)).json["id"])
        assert until(lambda: status(found, one) == "error")

    assert {bundle["id"] for _, bundle in hook.received} == {hook.received[0][1]["id"]}
    assert hook.accepted == []


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"criteria": "Claim?status=active"}, "Subscription.criteria"),
        ({"channel": {"type": "email"}}, "Subscription.channel.type"),
        ({"end": "tomorrow"}, "Subscription.end"),
    ],
)
def test_a_subscription_that_is_not_taken(
    found: Settings, hook: Subscriber, changed: dict[str, Any], place: str
) -> None:
    with gateway(found):
        answer = call(found, "POST", BASE, subscription(hook.url, **changed))
        elsewhere = call(found, "POST", BASE, subscription("https://169.254.169.254/latest"))

    assert (answer.status, answer.json["issue"][0]["expression"]) == (422, [place])
    assert (elsewhere.status, elsewhere.json["issue"][0]["expression"]) == (422, ["Subscription.channel.endpoint"])


def test_another_gateway_goes_on_where_one_ended(
    found: Settings, behind: Platform, hook: Subscriber, tmp_path: Path
) -> None:
    """Both know the subscription, one of them notifies, and the other takes over behind what was accepted."""
    other = settings_of(found.bootstrap, found.topic_prefix, tmp_path)
    with gateway(other):
        with gateway(found):
            one = subscribe(found, subscription(hook.url))
            first = told(behind, b"1")
            assert until(lambda: hook.events() == [first])
            assert status(other, one) == "active"
        second = told(behind, b"2")
        assert until(lambda: hook.events() == [first, second])
    with gateway(found):
        third = told(behind, b"3")
        assert until(lambda: hook.events() == [first, second, third])


def test_an_address_that_is_unlisted_gets_nothing_more(found: Settings, behind: Platform, hook: Subscriber) -> None:
    """At once, without a restart."""
    clients = found.gateway_clients or Path()
    with gateway(found):
        one = subscribe(found, subscription(hook.url))
        write_clients(clients, "https://elsewhere.example")
        assert until(lambda: status(found, one) == "error")
        told(behind, b"1")
        refused = call(found, "PUT", f"{BASE}/{one}", subscription(hook.url, id=one))

    assert hook.events() == []
    assert refused.status == 422
