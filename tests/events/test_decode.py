"""Any bytes give a request or a reason why there is none; the reason never repeats what somebody wrote."""

import copy
import json
from base64 import b64decode
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.dead_letter import SENTENCES, Reason
from events.decode import MOST_FIELDS, Received, RejectedError, decode
from events.envelope import Headers
from events.request import AuthorizationRequest
from policy_core.history.library import Library
from tests.support import generator
from tests.support.packaged import packaged_library
from workers.dead_letters.write import dead_letter
from workers.decide.handler import decide

REASONS = set(get_args(Reason))
MARK = "Zebulon-4711"
"""A value that occurs nowhere by chance, and that is no plain name of a field."""

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=300)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@cache
def library() -> Library:
    return packaged_library()


def event(data: object = None, **attributes: object) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "1",
        "source": "/claims-platform/intake",
        "type": "authorization.requested.v1",
        **attributes,
        "data": generator.request(21, 3) if data is None else data,
    }


def raw(tree: object) -> bytes:
    return json.dumps(tree).encode()


def taken(value: bytes | None, headers: Headers = (), *, bare: bool = False) -> Received | RejectedError:
    """What becomes of a record, up to and with the decision: every other exception is a defect."""
    try:
        received = decode(value, headers, bare_allowed=bare)
        decide(received, library())
    except RejectedError as error:
        return error
    return received


def refusal(value: bytes | None, headers: Headers = (), *, bare: bool = False) -> RejectedError:
    found = taken(value, headers, bare=bare)
    assert isinstance(found, RejectedError)
    return found


def said(error: RejectedError) -> list[tuple[str, str]]:
    return [(one.path, one.message) for one in error.errors]


def is_sound(found: Received | RejectedError) -> bool:
    """A request, or a refusal with a known reason, its sentence, and at least one error."""
    if isinstance(found, Received):
        return isinstance(found.request, AuthorizationRequest)
    return found.reason in REASONS and str(found) == SENTENCES[found.reason] and bool(found.errors)


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a tree with each of its keys or positions."""
    if isinstance(tree, dict | list):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from places(tree[key])


# --- Whatever comes ------------------------------------------------------------------------------------


@repeatable
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_a_request_or_a_reason(value: bytes, bare: bool) -> None:
    assert is_sound(taken(value, bare=bare))


@repeatable
@given(json_values, st.booleans())
def test_any_json_gives_a_request_or_a_reason(tree: object, bare: bool) -> None:
    assert is_sound(taken(raw(tree), bare=bare))


@repeatable
@given(st.binary(max_size=60), st.data())
def test_any_headers_give_a_request_or_a_reason(noise: bytes, data: st.DataObject) -> None:
    names = st.sampled_from(["ce_specversion", "ce_id", "CE_TYPE", "ce_source", "content-type", "ce_subject"])
    values = st.sampled_from([b"1.0", b"1", b"authorization.requested.v1", b"application/json", noise])
    headers = data.draw(st.lists(st.tuples(names, values), max_size=8))
    assert is_sound(taken(raw(generator.request(21, 3)), tuple(headers)))


@repeatable
@given(st.data())
def test_a_changed_event_gives_a_request_or_a_reason(data: st.DataObject) -> None:
    tree = event(generator.request(22, data.draw(st.integers(0, 200))))
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(list(places(tree))))
        change = data.draw(st.sampled_from(["replace", "remove", "rename"]))
        if change == "replace":
            container[key] = data.draw(json_values)
        elif change == "remove":
            del container[key]
        elif isinstance(container, dict):
            container[data.draw(st.text())] = container.pop(key)
        if not tree:
            break
    assert is_sound(taken(raw(tree)))


@repeatable
@given(st.data())
def test_a_changed_byte_gives_a_request_or_a_reason(data: st.DataObject) -> None:
    value = bytearray(raw(event()))
    place = data.draw(st.integers(0, len(value) - 1))
    value[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    assert is_sound(taken(bytes(value)))


# --- Every kind of malformed event ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", generator.malformed_kinds)
def test_each_malformed_request_is_refused_for_its_reason(kind: str) -> None:
    """Every kind of malformed request is refused for the right reason."""
    for n in range(20):
        item = generator.malformed_request(kind, 23, n)
        expected = "undecodable" if isinstance(item, bytes) else "schema_violation"
        error = refusal(generator.encode(item), bare=True)
        assert (n, error.reason) == (n, expected)
        assert is_sound(error)


@pytest.mark.parametrize(
    "kind", [kind for kind in generator.malformed_kinds if kind not in ("empty_object", "missing_request_id")]
)
def test_a_malformed_request_is_refused_alike_in_an_envelope(kind: str) -> None:
    """A malformed request in an envelope is refused in the same way as a bare one."""
    item = generator.malformed_request(kind, 24, 1)
    if isinstance(item, dict):
        bare, wrapped = refusal(raw(item), bare=True), refusal(raw(event(dict(item))))
        assert (wrapped.reason, said(wrapped)) == (bare.reason, said(bare))


def test_sound_requests_are_taken() -> None:
    for item in generator.requests(25, 300):
        assert isinstance(taken(generator.encode(item), bare=True), Received)


def test_every_error_of_an_event_is_said_at_once() -> None:
    made = generator.request(21, 3)
    made["urgency"] = "now"
    made["provider"]["npi"] = "1234567894"
    made["service_lines"][0]["units"] = 0
    assert [path for path, _ in said(refusal(raw(event(made))))] == [
        "urgency",
        "provider.npi",
        "service_lines.0.units",
    ]


# --- Not JSON ------------------------------------------------------------------------------------------

DEEP = 300
HUGE = "9" * 5000


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(b"", "EOF while parsing a value", id="nothing"),
        pytest.param(b"null", "not a JSON object", id="null"),
        pytest.param(b'["event"]', "not a JSON object", id="a list"),
        pytest.param(b"\xef\xbb\xbf{}", "expected value", id="a byte order mark"),
        pytest.param(b'{"id":"1","id":"1"}', "a key stands twice in one object", id="a key twice"),
        pytest.param(
            b'{"data":{"lines":[{"a":1},{"b":{"c":1,"d":2,"c":3}}]}}',
            "a key stands twice in one object",
            id="a key twice, deep inside",
        ),
        pytest.param(
            rb'{"data":{"code":1,"c\u006fde":2}}',
            "a key stands twice in one object",
            id="a key twice, once escaped",
        ),
        pytest.param(b'{"a":NaN}', "expected value", id="NaN"),
        pytest.param(b'{"a":Infinity}', "expected value", id="Infinity"),
        pytest.param(b'{"a":-Infinity}', "invalid number", id="-Infinity"),
        pytest.param(b'{"a":"\\ud800"}', "unexpected end of hex escape", id="a lone surrogate"),
        pytest.param(b'{"a":"\xff"}', "invalid unicode code point", id="not UTF-8"),
        pytest.param(
            b'{"a":"\xed\xa0\x80"}',
            "invalid unicode code point",
            id="a surrogate in UTF-8",
        ),
        pytest.param(f'{{"a":{HUGE}}}'.encode(), "number out of range", id="a huge integer"),
        pytest.param(
            b'{"a":' * DEEP + b"1" + b"}" * DEEP,
            "recursion limit exceeded",
            id="deep objects",
        ),
        pytest.param(
            b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}",
            "recursion limit exceeded",
            id="deep lists",
        ),
        pytest.param(b"{'a':1}", "key must be a string", id="single quotes"),
        pytest.param(b'{"a":1,}', "trailing comma", id="a trailing comma"),
        pytest.param(b'{"a":01}', "invalid number", id="a leading zero"),
        pytest.param(b'{"a":"\n"}', "control character", id="a line break in a text"),
        pytest.param(b"{} {}", "trailing characters", id="two objects"),
    ],
)
def test_what_is_not_json_is_undecodable(value: bytes, message: str) -> None:
    error = refusal(value)
    assert error.reason == "undecodable"
    [(path, found)] = said(error)
    assert path == ""
    assert message in found


def test_nesting_that_decodes_is_refused_for_its_shape() -> None:
    deep: Any = 1
    for _ in range(150):
        deep = {"a": [deep]} if isinstance(deep, int) else {"a": deep}
    made = generator.request(21, 3) | {"clinical": {"malignancy": deep}}
    error = refusal(raw(event(made)))
    assert (error.reason, [path for path, _ in said(error)]) == ("schema_violation", ["clinical.malignancy"])


def test_a_number_too_large_for_a_float_is_no_clinical_fact() -> None:
    text = raw(event(generator.request(21, 3) | {"clinical": {"malignancy": 0}}))
    error = refusal(text.replace(b'"malignancy": 0', b'"malignancy": 1e999'))
    assert [path for path, _ in said(error)] == ["clinical.malignancy"]


def test_an_escaped_pair_of_surrogates_is_a_character() -> None:
    made = generator.request(21, 3) | {"request_id": "\N{GRINNING FACE}"}
    value = raw(event(made))
    assert rb"\ud83d\ude00" in value
    found = taken(value)
    assert isinstance(found, Received)
    assert found.request.request_id == "\N{GRINNING FACE}"


# --- Paths and messages --------------------------------------------------------------------------------


def test_paths_are_those_of_the_event() -> None:
    made = generator.request(21, 3)
    made["diagnoses"] = [{"system": "icd-10-cm", "code": "C92.02"}, {"system": "icd-11", "code": "2B33"}]
    made["service_lines"][0]["modifier"] = "59"
    del made["member"]["member_id"]
    assert said(refusal(raw(event(made)))) == [
        ("member.member_id", "missing"),
        ("diagnoses.1.system", "should be 'icd-10-cm' or 'icd-9-cm'"),
        ("service_lines.0.?", "no field of this event"),
    ]


@pytest.mark.parametrize("name", [MARK, "", "a b", "Müller", "Musterfrau", "x" * 65, "1st", "a.b", "a\n"])
def test_a_key_that_is_no_plain_name_is_not_repeated(name: str) -> None:
    made = generator.request(21, 3)
    made["member"][name] = 1
    assert said(refusal(raw(event(made)))) == [("member.?", "no field of this event")]


def test_a_clinical_key_that_is_no_plain_name_is_not_repeated() -> None:
    made = generator.request(21, 3) | {"clinical": {MARK: 1, "transplant": {MARK: 1}}}
    assert [path for path, _ in said(refusal(raw(event(made))))] == ["clinical.transplant.?", "clinical.?"]


def test_a_repeated_line_number_is_named_at_its_repetition() -> None:
    """A line number that occurs twice is named at its second place."""
    made = generator.request(21, 3)
    one = made["service_lines"][0]
    made["service_lines"] = [{**one, "line": 1}, {**one, "line": 2}, {**one, "line": 1}]
    assert [path for path, _ in said(refusal(raw(event(made))))] == ["service_lines.2.line"]


@pytest.mark.parametrize(("member_id", "message"), [("", "should not be empty"), ("x" * 257, "should be shorter")])
def test_a_personal_text_of_wrong_length_gets_plain_words(member_id: str, message: str) -> None:
    """A personal text of the wrong length is refused in plain words."""
    made = generator.request(21, 3)
    made["member"]["member_id"] = member_id
    assert said(refusal(raw(event(made)))) == [("member.member_id", message)]


@pytest.mark.parametrize(("shown", "expected"), [("PA-1", "PA-1"), ("", None), (5, None), ("a\nb", None)])
def test_a_refusal_names_the_request_where_it_shows_a_proper_id(shown: object, expected: str | None) -> None:
    made = generator.request(21, 3) | {"request_id": shown, "urgency": "now"}
    assert refusal(raw(event(made))).request_id == expected


# --- Nothing personal ----------------------------------------------------------------------------------


def marked() -> Iterator[tuple[str, bytes]]:
    """Refusable events, each with the mark in another place, by what was done."""
    whole = event(generator.request(21, 3), subject="s", correlationid="c", traceparent="t")
    whole["data"]["clinical"] = generator.request(26, 1)["clinical"]
    count = len(list(places(whole)))
    spoilers: dict[str, object] = {
        "text": MARK,
        "list": [MARK],
        "object": {MARK: MARK},
        "too long": MARK * 30,
        "control character": f"{MARK}\n",
    }
    for index in range(count):
        for what, spoiler in spoilers.items():
            tree = copy.deepcopy(whole)
            container, key = list(places(tree))[index]
            container[key] = spoiler
            yield f"{what} for {key} ({index})", raw(tree)
            # Together with another fault, so that what is sound by itself is refused as well.
            tree["data"] = tree["data"] | {"urgency": "now"} if isinstance(tree["data"], dict) else tree["data"]
            yield f"{what} for {key} ({index}), beside a fault", raw(tree)


def marked_bytes() -> Iterator[tuple[str, bytes]]:
    """Undecodable events that hold the mark."""
    made = generator.request(21, 3)
    made["member"]["member_id"] = MARK
    text = raw(event(made))
    yield "cut off", text[:-10]
    yield "cut off in the mark", text[: text.index(MARK.encode()) + 5]
    yield "not UTF-8", text.replace(MARK.encode(), MARK.encode() + b"\xff")
    yield "a bad escape", text.replace(MARK.encode(), MARK.encode() + rb"\x")
    yield "a lone surrogate", text.replace(MARK.encode(), MARK.encode() + rb"\ud800")
    yield "no quotes", text.replace(f'"{MARK}"'.encode(), MARK.encode())
    yield "the mark as key, twice", f'{{"{MARK}": 1, "{MARK}": 2}}'.encode()
    yield "the mark alone", MARK.encode()
    yield "a text", raw(MARK)
    yield "a list", raw([MARK])
    yield "after the event", raw(event()) + MARK.encode()


def test_no_refusal_repeats_what_was_written() -> None:
    refused = 0
    for what, value in (*marked(), *marked_bytes()):
        found = taken(value)
        if isinstance(found, RejectedError):
            refused += 1
            letter = dead_letter(None, value, found)
            shown = [str(found), repr(found), repr(found.errors), repr(letter), str(letter), letter.message]
            shown += [text for one in letter.errors for text in (one.path, one.message)]
            assert (what, [text for text in shown if MARK in text]) == (what, [])
    assert refused > 400


def test_the_dead_letter_keeps_what_it_does_not_show() -> None:
    for _, value in marked_bytes():
        letter = json.loads(dead_letter(None, value, refusal(value)).to_json())
        assert b64decode(letter["original"]["value_base64"]) == value


def with_fields(count: int) -> bytes:
    """An event with so many fields: five of its own, `clinical`, and below it objects in lists."""
    inner = [{str(number): number} for number in range(count - 6)]
    return raw(event({"clinical": inner}))


def test_an_event_of_too_many_fields_is_refused_at_once() -> None:
    """Each undeclared field would be an error of its own; objects in lists count, entries of lists do not."""
    assert said(refusal(with_fields(MOST_FIELDS + 1))) == [("", "has more than 5,000 fields")]
    assert ("", "has more than 5,000 fields") not in said(refusal(with_fields(MOST_FIELDS)))
    assert ("", "has more than 5,000 fields") not in said(refusal(raw(event({"clinical": [1] * 2 * MOST_FIELDS}))))
