"""CloudEvents on Kafka in both modes, judged by a second reader and writer: the `cloudevents` package."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.v1.event import CloudEvent

from events.answer import Wrapping, wrapped
from events.decision import Decision
from events.decode import LARGEST, RejectedError, decode
from events.envelope import JSON, Attributes, Cause, Headers, Mode, is_binary, is_json, write
from events.origin_headers import RecordPosition
from events.request import AuthorizationRequest
from tests.support import generator
from tests.support.places import ROOT

README = ROOT / "events" / "README.md"
MODES: tuple[Mode, ...] = ("structured", "binary")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DATA = generator.request(11, 4)
TIME = "2025-06-02T09:30:00-05:00"
ATTRIBUTES: dict[str, Any] = {
    "id": "0e7f2c7a",
    "source": "/claims-platform/intake",
    "specversion": "1.0",
    "type": "authorization.requested.v1",
    "subject": "Ä-17 / 雪",
    "datacontenttype": "application/json",
    "correlationid": "case 17",
    "causationid": "a call",
    "traceparent": TRACEPARENT,
}
REQUIRED = ("id", "source", "specversion", "type")

Sent = tuple[bytes, Headers]


def structured(attributes: dict[str, Any], data: object = DATA) -> Sent:
    """A record in structured mode, written without the code under test."""
    return json.dumps({**attributes, "data": data}).encode(), (("content-type", b"application/cloudevents+json"),)


def binary(attributes: dict[str, Any], data: object = DATA) -> Sent:
    """A record in binary mode, written without the code under test."""
    rest = dict(attributes)
    content_type = rest.pop("datacontenttype", None)
    headers = [(f"ce_{name}", str(value).encode()) for name, value in rest.items()]
    if content_type is not None:
        headers.append(("content-type", str(content_type).encode()))
    return json.dumps(data).encode(), tuple(headers)


WRITERS = {"structured": structured, "binary": binary}
both_modes = pytest.mark.parametrize("mode", MODES)


def rejected(sent: Sent) -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        decode(*sent)
    return caught.value


def said(sent: Sent) -> tuple[str, list[str]]:
    """The reason of a refusal, and its paths."""
    error = rejected(sent)
    return error.reason, [one.path for one in error.errors]


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in ATTRIBUTES.items() if name not in names}


# --- Both modes ----------------------------------------------------------------------------------------


@both_modes
def test_the_attributes_and_the_request_are_read(mode: Mode) -> None:
    received = decode(*WRITERS[mode](ATTRIBUTES))
    assert received.attributes is not None
    assert received.attributes.model_dump() == ATTRIBUTES
    assert received.request.request_id == DATA["request_id"]


def test_both_modes_give_the_same_request() -> None:
    for n in range(100):
        data = generator.request(12, n)
        assert decode(*structured(ATTRIBUTES, data)) == decode(*binary(ATTRIBUTES, data))


@both_modes
def test_what_is_written_is_read_again(mode: Mode) -> None:
    attributes = Attributes(**ATTRIBUTES)
    received = decode(*write(attributes, TIME, json.dumps(DATA).encode(), mode))
    assert received.attributes == attributes
    assert received.request == decode(*structured(ATTRIBUTES)).request


@both_modes
def test_only_the_four_required_attributes_are_required(mode: Mode) -> None:
    received = decode(*WRITERS[mode]({name: ATTRIBUTES[name] for name in REQUIRED}))
    assert received.attributes is not None
    assert set(received.attributes.model_dump(exclude_none=True)) == set(REQUIRED)


@both_modes
def test_extensions_that_nobody_here_knows_are_let_pass(mode: Mode) -> None:
    extensions = {"partitionkey": "k", "dataclassification": "phi", "sequence": "7", "somebodysown": "x"}
    received = decode(*WRITERS[mode]({**ATTRIBUTES, **extensions}))
    assert received.attributes == Attributes(**ATTRIBUTES)


# --- The other reader and writer -----------------------------------------------------------------------


@both_modes
@pytest.mark.parametrize("lacking", [(), ("subject", "datacontenttype", "correlationid", "traceparent")])
def test_the_cloudevents_package_reads_what_is_written(mode: Mode, lacking: tuple[str, ...]) -> None:
    attributes = without(*lacking)
    value, headers = write(Attributes(**attributes), TIME, json.dumps(DATA).encode(), mode)
    event = kafka.from_kafka_event(kafka.KafkaMessage(headers=dict(headers), key=None, value=value))
    found = dict(event.get_attributes())
    assert found.pop("time") == datetime.fromisoformat(TIME)
    if mode == "binary":
        attributes.setdefault("datacontenttype", JSON)
    assert found == attributes
    assert event.get_data() == DATA


@both_modes
@pytest.mark.parametrize("lacking", [(), ("subject", "datacontenttype", "correlationid", "traceparent")])
def test_what_the_cloudevents_package_writes_is_read(mode: Mode, lacking: tuple[str, ...]) -> None:
    attributes = without(*lacking)
    time = {"time": datetime(2025, 4, 21, 14, 5, tzinfo=UTC)}
    event = CloudEvent(attributes={**attributes, **time, "partitionkey": "k"}, data=DATA)
    to = kafka.to_binary_event if mode == "binary" else kafka.to_structured_event
    message = to(event)
    received = decode(message.value, tuple(message.headers.items()))
    assert received.attributes == Attributes(**attributes)
    assert received.request == decode(*structured(ATTRIBUTES)).request


# --- What one event brings about -----------------------------------------------------------------------


def caused_by(**attributes: str) -> Cause:
    return Attributes(**{**without("correlationid", "causationid", "traceparent"), **attributes}).cause()


def test_a_decision_names_its_request_as_its_cause() -> None:
    """A decision carries the request's correlation and trace and names the request as its cause."""
    caused = caused_by(correlationid="case 17", causationid="a call", traceparent=TRACEPARENT)
    wrapping = Wrapping("/dli-authorization", "structured", Decision.TYPE, "d1", "REQ-1", TIME)
    value, _ = wrapped(b"{}", RecordPosition("t", 0, 1), caused, wrapping)
    assert json.loads(value) == {
        "id": "d1",
        "source": "/dli-authorization",
        "specversion": "1.0",
        "type": "authorization.decided.v1",
        "subject": "REQ-1",
        "datacontenttype": "application/json",
        "correlationid": "case 17",
        "causationid": ATTRIBUTES["id"],
        "traceparent": TRACEPARENT,
        "time": TIME,
        "data": {},
    }


def test_a_request_without_correlation_starts_one_by_its_own_id() -> None:
    assert caused_by().correlation_id == ATTRIBUTES["id"]
    assert caused_by().traceparent is None


@pytest.mark.parametrize(
    "traceparent",
    [
        TRACEPARENT,
        TRACEPARENT.replace("-01", "-00"),
        "01" + TRACEPARENT[2:],
        "01" + TRACEPARENT[2:] + "-of a later version",
    ],
)
def test_a_trace_context_is_carried_on(traceparent: str) -> None:
    assert caused_by(traceparent=traceparent).traceparent == traceparent


@pytest.mark.parametrize(
    "traceparent",
    [
        pytest.param("", id="nothing"),
        pytest.param("yes", id="a word"),
        pytest.param(TRACEPARENT.upper(), id="upper case"),
        pytest.param(TRACEPARENT[:-1], id="a digit short"),
        pytest.param(TRACEPARENT + "-more", id="version 00 with more than it has"),
        pytest.param("ff" + TRACEPARENT[2:], id="version ff"),
        pytest.param(f"00-{'0' * 32}-b7ad6b7169203331-01", id="a trace id of zeros"),
        pytest.param(f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", id="a parent id of zeros"),
        pytest.param(TRACEPARENT + "\n", id="a line break"),
    ],
)
def test_a_malformed_trace_context_is_dropped_alone(traceparent: str) -> None:
    """A malformed trace context is dropped, and the event itself is kept."""
    assert caused_by(traceparent=traceparent).traceparent is None
    assert decode(*structured({**ATTRIBUTES, "traceparent": traceparent})).request.request_id


# --- Headers -------------------------------------------------------------------------------------------


def renamed(headers: Headers, change: str) -> Headers:
    return tuple((getattr(name, change)(), value) for name, value in headers)


@pytest.mark.parametrize("change", ["upper", "title", "lower"])
def test_the_case_of_header_names_does_not_matter(change: str) -> None:
    value, headers = binary(ATTRIBUTES)
    assert decode(value, renamed(headers, change)) == decode(value, headers)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
        " application/json ",
        "application/vnd.claims+json; charset=utf-8",
    ],
)
@both_modes
def test_a_content_type_of_json_may_have_parameters(mode: Mode, content_type: str) -> None:
    sent = WRITERS[mode]({**ATTRIBUTES, "datacontenttype": content_type})
    assert decode(*sent).request.request_id == DATA["request_id"]
    assert is_json(content_type)


@pytest.mark.parametrize("content_type", ["application/xml", "text/plain", "application/jsonx", "json"])
@both_modes
def test_another_content_type_is_not_decided(mode: Mode, content_type: str) -> None:
    sent = WRITERS[mode]({**ATTRIBUTES, "datacontenttype": content_type})
    assert said(sent) == ("unsupported_type", ["datacontenttype"])


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/cloudevents+json",
        b"application/cloudevents+json; charset=UTF-8",
        b"Application/CloudEvents+JSON",
        b" application/cloudevents+json",
    ],
)
def test_the_content_type_outranks_attribute_headers(
    content_type: bytes,
) -> None:
    """A structured content type counts, whatever attribute headers stand beside it."""
    value, _ = structured(ATTRIBUTES)
    _, others = binary({**ATTRIBUTES, "id": "another", "datacontenttype": None})
    headers = (*[one for one in others if one[0] != "content-type"], ("content-type", content_type))
    received = decode(value, headers)
    assert received.attributes == Attributes(**ATTRIBUTES)
    assert not is_binary(headers)


def test_attribute_headers_mean_binary_without_a_content_type() -> None:
    """Attribute headers mean binary mode where no content type says something else."""
    value, headers = binary(without("datacontenttype"))
    received = decode(value, headers)
    assert received.attributes == Attributes(**without("datacontenttype"))


def test_a_whole_event_as_binary_data_is_refused() -> None:
    """A whole event as the data of a binary event is refused, and nothing is guessed."""
    value, _ = structured(ATTRIBUTES)
    _, headers = binary(ATTRIBUTES)
    reason, paths = said((value, headers))
    assert reason == "schema_violation"
    assert {"data", "specversion", "request_id"} <= set(paths)


def test_a_structured_event_needs_no_header_at_all() -> None:
    value, _ = structured(ATTRIBUTES)
    assert decode(value, ()) == decode(*structured(ATTRIBUTES))


def test_the_last_of_two_headers_of_a_name_counts() -> None:
    value, headers = binary(ATTRIBUTES)
    received = decode(value, (("ce_id", b"first"), *headers))
    assert received.attributes is not None
    assert received.attributes.id == ATTRIBUTES["id"]


def test_an_attribute_header_that_is_no_text_counts_as_missing() -> None:
    value, headers = binary(without("id"))
    assert said((value, (*headers, ("ce_id", b"\xff")))) == ("schema_violation", ["id"])


# --- Attributes ----------------------------------------------------------------------------------------


@both_modes
@pytest.mark.parametrize("name", ["id", "source", "type"])
def test_a_missing_attribute_is_named(mode: Mode, name: str) -> None:
    assert said(WRITERS[mode](without(name))) == ("schema_violation", [name])


def test_a_missing_specversion_is_named() -> None:
    assert said(structured(without("specversion"))) == ("schema_violation", ["specversion"])
    # Without it nothing says that the headers are attributes: all of them are missing.
    assert said(binary(without("specversion"))) == (
        "schema_violation",
        ["id", "source", "specversion", "type"],
    )


@pytest.mark.parametrize("name", REQUIRED)
def test_an_attribute_that_is_null_is_missing(name: str) -> None:
    assert said(structured({**ATTRIBUTES, name: None})) == ("schema_violation", [name])
    assert rejected(structured({**ATTRIBUTES, name: None})).errors[0].message == "missing"


def test_an_optional_attribute_that_is_null_is_absent() -> None:
    received = decode(*structured({**ATTRIBUTES, "subject": None, "traceparent": None}))
    assert received.attributes == Attributes(**without("subject", "traceparent"))


@pytest.mark.parametrize("name", ["id", "source", "type", "subject", "datacontenttype", "correlationid"])
def test_an_attribute_that_is_no_text_is_named(name: str) -> None:
    assert said(structured({**ATTRIBUTES, name: 5})) == ("schema_violation", [name])


@both_modes
@pytest.mark.parametrize("name", ["id", "source"])
def test_an_attribute_may_not_be_empty(mode: Mode, name: str) -> None:
    assert said(WRITERS[mode]({**ATTRIBUTES, name: ""})) == ("schema_violation", [name])


@both_modes
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("specversion", "0.3"),
        ("specversion", "1.1"),
        ("type", "authorization.requested.v2"),
        ("type", "authorization.decided.v1"),
        ("type", "AUTHORIZATION.REQUESTED.V1"),
    ],
)
def test_another_version_or_type_is_not_decided(mode: Mode, name: str, value: str) -> None:
    assert said(WRITERS[mode]({**ATTRIBUTES, name: value})) == ("unsupported_type", [name])


def test_a_specversion_that_is_a_number_is_another() -> None:
    assert said(structured({**ATTRIBUTES, "specversion": 1.0})) == ("unsupported_type", ["specversion"])


@both_modes
def test_a_refused_request_keeps_the_attributes_that_trace_it(mode: Mode) -> None:
    error = rejected(WRITERS[mode](ATTRIBUTES, {**DATA, "urgency": "now"}))
    assert error.cause == Attributes(**ATTRIBUTES).cause()
    assert error.request_id == DATA["request_id"]


# --- The value -----------------------------------------------------------------------------------------


def test_data_is_required() -> None:
    assert said((json.dumps(ATTRIBUTES).encode(), ())) == ("schema_violation", ["data"])


def test_data_in_base64_is_no_json_data() -> None:
    value = json.dumps({**ATTRIBUTES, "data_base64": "e30="}).encode()
    assert said((value, ())) == ("schema_violation", ["data"])


@both_modes
@pytest.mark.parametrize("data", [None, "text", 5, True, [DATA]])
def test_data_that_is_no_object_is_refused(mode: Mode, data: object) -> None:
    reason, paths = said(WRITERS[mode](ATTRIBUTES, data))
    # In binary mode the data is the value, and a value that is no object is no event.
    assert reason == ("schema_violation" if mode == "structured" else "undecodable")
    assert paths == [""]


@both_modes
def test_a_tombstone_is_no_event(mode: Mode) -> None:
    _, headers = WRITERS[mode](ATTRIBUTES)
    with pytest.raises(RejectedError) as caught:
        decode(None, headers)
    assert caught.value.reason == "undecodable"
    assert [one.message for one in caught.value.errors] == ["no value: a tombstone is no event"]


def test_a_value_is_decoded_exactly_up_to_its_limit() -> None:
    """A value is decoded up to its size limit and not one byte beyond."""
    value, headers = structured(ATTRIBUTES)
    largest = value + b" " * (LARGEST - len(value))
    assert decode(largest, headers) == decode(value, headers)
    assert said((largest + b" ", headers)) == ("undecodable", [""])


def test_bare_data_is_taken_only_where_it_is_allowed() -> None:
    value = json.dumps(DATA).encode()
    assert decode(value, bare_allowed=True).attributes is None
    assert said((value, ()))[0] == "schema_violation"


def test_an_event_is_taken_where_bare_data_is_allowed_too() -> None:
    value, headers = structured(ATTRIBUTES)
    assert decode(value, bare_allowed=True) == decode(value, headers)
    with pytest.raises(RejectedError):
        decode(json.dumps({**ATTRIBUTES, "data": {}}).encode(), bare_allowed=True)


# --- The page ------------------------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    """The page's examples in a language."""
    return [
        block.split("\n", 1)[1]
        for block in README.read_text("utf-8").split("```")[1::2]
        if block.startswith(f"{language}\n")
    ]


def test_the_page_shows_one_event_in_both_modes() -> None:
    whole = blocks("json")[0].encode()
    head, data = blocks("text")[0].split("\n\n")
    headers = tuple((name, value.encode()) for name, value in (line.split(": ") for line in head.splitlines()))
    received = decode(whole, ())
    assert isinstance(received.request, AuthorizationRequest)
    assert decode(data.encode(), headers) == received
