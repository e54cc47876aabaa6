"""The gateway before a broker: a message goes in over HTTP, and comes out as the answer of its topic."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from events.adapters.formats import FORMATS
from events.adapters.partner import LineOfBusinessRule, Partner
from events.topics import PAS_RESPONSES
from tests.support.gateways import (
    OTHER_TOKEN,
    PARTS,
    Platform,
    call,
    call_port,
    digest,
    gateway,
    make_topics,
    platform,
    response_to,
    settings_of,
    until,
)
from workers.configuration.settings import Settings
from workers.dev_brokers import EmbeddedBroker
from workers.gateway.messages import reading_by

pytestmark = pytest.mark.broker

DELTA = Partner(time_zone="UTC", lines_of_business=(LineOfBusinessRule.model_validate({"plan": "X", "is": "fep"}),))
TWO_SETS = (
    b"ISA*00*          *00*          *ZZ*DELTAHOSP      *ZZ*MAGNOLIA       *250602*1405*^*00501*000000101*0*T*:~"
    b"GS*HI*A*B*20250602*1405*1*X*005010X217~"
    b"ST*278*0001*005010X217~BHT*0007*13*FIRST*20250602*1405~SE*3*0001~"
    b"ST*278*0002*005010X217~BHT*0007*13*SECOND*20250602*1405~SE*3*0002~"
    b"GE*2*1~IEA*1*000000101~"
)
SUBMIT, INQUIRE = "/fhir/Claim/$submit", "/fhir/Claim/$inquire"


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_of(bootstrap, prefix, tmp_path)
    make_topics(made)
    return made


@pytest.fixture
def behind(found: Settings) -> Iterator[Platform]:
    with platform(found) as one:
        yield one


@pytest.fixture
def running(found: Settings, behind: Platform) -> Iterator[Settings]:  # noqa: ARG001 (it answers)
    with gateway(found) as one:
        yield one


def test_a_submitted_bundle_is_answered(running: Settings, behind: Platform) -> None:
    """The record has the bundle's bytes, its digest as key, and the token's partner."""
    value = b'{"resourceType": "Bundle"}'

    answer = call(running, "POST", SUBMIT, value)

    assert (answer.status, answer.body) == (200, response_to(value))
    assert answer.headers["Content-Type"] == "application/fhir+json"
    assert behind.asked == [("pas.requests", value, {"partner": b"hospital"}, digest(value).encode())]


def test_an_operation_may_be_written_with_an_escape(running: Settings) -> None:
    assert call(running, "POST", "/fhir/Claim/%24submit", b"{}").status == 200


def test_an_inquiry_is_told_from_a_submission(running: Settings, behind: Platform) -> None:
    """The same bundle, submitted and inquired about at once, is answered with what each is answered with."""
    value = b'{"resourceType": "Bundle", "id": "both"}'
    with ThreadPoolExecutor() as pool:
        submitted = pool.submit(call, running, "POST", SUBMIT, value)
        inquired = pool.submit(call, running, "POST", INQUIRE, value)

    assert submitted.result().json["resourceType"] == "Bundle"
    assert inquired.result().json["resourceType"] == "Parameters"
    assert sorted(headers.get("ask", b"") for _, _, headers, _ in behind.asked) == [b"", b"inquire"]


def test_an_inquiry_is_not_submitted(running: Settings, behind: Platform) -> None:
    answer = call(running, "POST", SUBMIT, b'{"resourceType": "Parameters"}')

    assert (answer.status, answer.json["issue"][0]["diagnostics"]) == (
        400,
        "this is an inquiry; send it to Claim/$inquire",
    )
    assert behind.asked == []


def test_a_broken_structure_is_a_bad_request(running: Settings) -> None:
    """The adapter's OperationOutcome, as it wrote it."""
    answer = call(running, "POST", SUBMIT, b"broken")

    assert (answer.status, answer.json) == (400, {"resourceType": "OperationOutcome", "issue": []})


def test_every_transaction_set_is_answered_in_order(running: Settings) -> None:
    """Also where the answers come in another order."""
    answer = call(running, "POST", "/x12/278", b"first\nsecond\nthird", kind="application/edi-x12")

    assert (answer.status, answer.body) == (200, b"<first><second><third>")
    assert answer.headers["Content-Type"] == "application/edi-x12"
    assert call(running, "POST", "/x12/278", b"first\nfirst", kind="text/plain").body == b"<first>"


def test_an_interchange_is_answered_by_its_adapter(found: Settings) -> None:
    """The real one: each transaction set has its own answer, which a reader of interchanges finds."""
    adapter = FORMATS["x12-278"].adapter
    parts = PARTS._replace(x12=reading_by(adapter))

    def refusing(_topic: str, value: bytes, _headers: object) -> list[tuple[str, bytes]]:
        read = adapter.read(value, DELTA, 0)
        return [(one.message, adapter.refuse(one, one.refused, 0)) for one in reversed(read) if one.refused]

    with platform(found, refusing), gateway(found, parts=parts):
        answer = call(found, "POST", "/x12/278", TWO_SETS, kind="text/plain")

    assert answer.status == 200
    assert [b"*FIRST*" in part for part in answer.body.split(b"ISA*")[1:]] == [True, False]
    assert [b"*SECOND*" in part for part in answer.body.split(b"ISA*")[1:]] == [False, True]


def test_no_answer_in_time_is_no_decision(found: Settings) -> None:
    """504, and the same message later gets the recorded answer."""
    quick = found.model_copy(update={"gateway_answer_seconds": 1.0})
    with platform(quick) as behind, gateway(quick):
        late = call(quick, "POST", SUBMIT, b"silent")
        behind.answering = lambda _topic, value, _headers: [(digest(value), response_to(value))]
        again = call(quick, "POST", SUBMIT, b"silent")

    assert (late.status, late.json["issue"][0]["code"]) == (504, "timeout")
    assert (again.status, again.body) == (200, response_to(b"silent"))
    assert [value for _, value, _, _ in behind.asked] == [b"silent", b"silent"]


def test_an_answer_of_another_partner_is_not_given(running: Settings, behind: Platform) -> None:
    """Both send the same bytes; each gets its own answer."""
    behind.answering = lambda _topic, value, headers: [(digest(value), response_to(headers["partner"]))]
    with ThreadPoolExecutor() as pool:
        ours = pool.submit(call, running, "POST", SUBMIT, b"{}")
        theirs = pool.submit(call, running, "POST", SUBMIT, b"{}", token=OTHER_TOKEN)

    assert ours.result().body == response_to(b"hospital")
    assert theirs.result().body == response_to(b"other")


def test_more_than_may_wait_are_refused(found: Settings) -> None:
    """One partner takes half of the places, and leaves the other half."""
    small = found.model_copy(update={"gateway_waiting": 2})
    with platform(small) as behind, gateway(small), ThreadPoolExecutor() as pool:
        waiting = pool.submit(call, small, "POST", SUBMIT, b"silent 1")
        assert until(lambda: len(behind.asked) == 1)
        refused = call(small, "POST", SUBMIT, b"{}")
        others = call(small, "POST", SUBMIT, b"{}", token=OTHER_TOKEN)
        behind.answer(PAS_RESPONSES, "hospital", digest(b"silent 1"), response_to(b"silent 1"))

    assert (refused.status, refused.json["issue"][0]["code"]) == (429, "throttled")
    assert refused.headers["Retry-After"] == "1"
    assert (others.status, waiting.result().status) == (200, 200)


def test_without_kafka_nothing_is_accepted(prefix: str, tmp_path: Path) -> None:
    """503 with Retry-After, and not ready, as long as the brokers do not respond."""
    with EmbeddedBroker() as broker:
        found = settings_of(broker.bootstrap, prefix, tmp_path)
        make_topics(found)
        with platform(found), gateway(found):
            before = call(found, "POST", SUBMIT, b"{}")
            broker.stop()
            assert until(lambda: call_port(found.gateway_health_port, "GET", "/ready").status == 503)
            refused = call(found, "POST", SUBMIT, b"{}")
            subscribed = call(found, "GET", "/fhir/Subscription/1")

    assert before.status == 200
    assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    assert refused.json["issue"][0]["code"] == "transient"
    assert subscribed.status == 503
