"""The typed reader reads what the models read, refuses nothing else, and accepts nothing that they refuse."""

import json
from collections import Counter
from datetime import datetime
from random import Random
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, Field

from events import typed_reader
from events.decode import RejectedError, decode
from events.request import AuthorizationRequest, Member, Provider, ServiceLine
from events.request_parts import RequestParts, parts_of
from events.typed_reader import Event, is_valid, read, read_typed
from tests.support import generator
from tests.support.mutated_events import Sent, events, written
from tests.support.places import ROOT

EXAMPLES = ROOT / "events" / "examples" / "authorization.requested.v1"


def by_models(sent: Sent) -> Event | None:
    """The event as the models read it; None if they refuse it."""
    try:
        received = decode(sent.value, sent.headers)
    except RejectedError:
        return None
    assert received.attributes is not None
    return Event(received.attributes.cause(), parts_of(received.request))


def meaning(event: Event) -> tuple[Any, ...]:
    """All of an event but the keys of its clinical objects, which are their texts."""
    request: RequestParts = event.request
    lines = tuple(line._replace(clinical=line.clinical._replace(key=b"")) for line in request.service_lines)
    clinical = request.clinical._replace(key=b"")
    return (event.cause, *request._replace(service_lines=lines, clinical=clinical))


def compared(sent: Sent) -> str:
    """Which of the two read an event; fails where they differ."""
    typed, models = read_typed(sent.value, sent.headers), by_models(sent)
    if typed is None:
        return "models" if models is not None else "neither"
    assert models is not None, "the models refuse it"
    assert meaning(typed) == meaning(models)
    return "both"


def test_mutated_events_are_read_alike_or_left_to_the_models() -> None:
    found = Counter(compared(sent) for sent in events(1, 20_000))

    assert found["both"] > 6_000
    assert found["neither"] > 3_000
    assert found["models"] < 1_000


def test_a_request_is_valid_only_if_the_models_accept_it() -> None:
    found: Counter[bool] = Counter()
    for sent in events(2, 5_000):
        try:
            request = json.loads(sent.value or b"")["data"]
        except (ValueError, TypeError, KeyError):
            continue
        if isinstance(request, dict) and is_valid(request):
            AuthorizationRequest.model_validate(request)
            found[True] += 1
        else:
            found[False] += 1
    assert found[True] > 1_000
    assert found[False] > 1_000


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_million_mutated_events_are_read_alike(seed: int) -> None:
    assert Counter(compared(sent) for sent in events(seed, 100_000))["both"] > 30_000


@pytest.mark.parametrize("described", [False, True], ids=["plain", "described"])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_requests_as_platforms_write_them_need_no_models(separators: tuple[str, str], *, described: bool) -> None:
    """Both modes, with or without white space, however codes and optional fields are written."""
    lacking = [
        n
        for n in range(500)
        for event in [{"specversion": "1.0", "id": "e", "source": "/s", "type": AuthorizationRequest.TYPE}]
        for data in [generator.request(5, n, described=described)]
        if read_typed(json.dumps({**event, "data": data}, separators=separators).encode()) is None
    ]

    assert lacking == []


STYLES: dict[str, dict[str, Any]] = {
    "compact": {"separators": (",", ":")},
    "spaced": {},
    "indented": {"indent": 2},
    "tabs": {"indent": "\t", "separators": (" ,", " : ")},
}


def in_style(style: str) -> bytes:
    data = generator.request(5, 1) | {"clinical": {"relapse": {"present": True}}}
    data["member"] |= {"birth_date": "1957-02-03", "sex": "female"}
    data["provider"]["specialty"] = "207RH0003X"
    data["service_lines"][0] |= {"place_of_service": "22", "modifiers": ["LT", "26"], "clinical": {"device": "auto"}}
    event = {"specversion": "1.0", "id": "e", "source": "/s", "type": AuthorizationRequest.TYPE, "data": data}
    return json.dumps(event, **STYLES[style]).encode()


@pytest.mark.parametrize("style", STYLES)
def test_no_style_of_white_space_is_parsed_twice(monkeypatch: pytest.MonkeyPatch, style: str) -> None:
    value = in_style(style)
    assert read_typed(value) is not None  # its parts are known from here on

    def twice(_: bytes) -> Any:
        raise AssertionError("parsed by the strict reader, too")

    monkeypatch.setattr(typed_reader, "loads", twice)

    assert read_typed(value) is not None


KEYS = [
    *("specversion", "data", "request_id", "member_id", "npi", "units", "clinical", "present"),
    *("birth_date", "sex", "specialty", "place_of_service", "modifiers", "device"),
]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_is_written_twice_is_found_in_any_style(key: str, style: str) -> None:
    """Whether it is written with the same value or another, and whatever white space is beside it."""
    value = in_style(style)
    at = value.index(f'"{key}"'.encode())
    for more in (f'"{key}":1,', f'"{key}" : null ,\n', f'"{key}":"x",'):
        sent = Sent(value[:at] + more.encode() + value[at:], ())

        assert read_typed(*sent) is None
        with pytest.raises(RejectedError):
            read(*sent)


def nested(depth: int, bracket: str, field: str) -> bytes:
    """An event whose field is nested so deeply."""
    opened, closed = {"list": ("[", "]"), "object": ('{"a":', "}")}[bracket]
    value = enveloped(generator.request(5, 1) | {field: "HERE"}).value
    return value.replace(b'"HERE"', (opened * depth + "1" + closed * depth).encode())


def reason_below(calls: int, value: bytes) -> str | None:
    """Why an event is refused that is read below so many calls; None if it is not."""
    if calls:
        return reason_below(calls - 1, value)
    try:
        read(value)
    except RejectedError as refused:
        return refused.reason
    return None


@pytest.mark.parametrize("field", ["clinical", "diagnoses", "unknown"])
@pytest.mark.parametrize("bracket", ["list", "object"])
@pytest.mark.parametrize("depth", [10, 150, 210, 400, 900, 1_100, 3_000])
def test_nesting_is_refused_alike_wherever_the_stack_ends(depth: int, bracket: str, field: str) -> None:
    """Neither an event's depth nor the calls above its reader make anything but the models' refusal."""
    value = nested(depth, bracket, field)

    reasons = {reason_below(calls, value) for calls in (0, 300, 700)}

    assert len(reasons) == 1
    assert reasons == {"undecodable"} if depth > 200 else reasons <= {None, "schema_violation"}


def enveloped(data: dict[str, Any]) -> Sent:
    event = {"specversion": "1.0", "id": "e", "source": "/s", "type": AuthorizationRequest.TYPE, "data": data}
    return Sent(json.dumps(event, ensure_ascii=False).encode(), ())


def test_an_event_that_only_models_can_read_is_read_all_the_same() -> None:
    sent = enveloped(generator.request(5, 1) | {"request_id": "Ä-1"})
    models = by_models(sent)

    assert read_typed(*sent) is None
    assert models is not None
    assert meaning(read(*sent)) == meaning(models)
    assert models.request.request_id == "Ä-1"


@pytest.mark.parametrize("npi", ["1234567893", "١٢٣٤٥٦٧٨٩٣", "²²²²²²²²²²", "abcdefghij"])
def test_an_npi_has_ascii_digits_in_either_reader(npi: str) -> None:
    """The digits of another script have the same check digit, and are no NPI."""
    sent = enveloped(generator.request(5, 1) | {"provider": {"npi": npi}})

    assert compared(sent) == ("both" if npi.isascii() and npi.isdecimal() else "neither")


def described(path: str, value: Any) -> Sent:
    """An event with a value at a path."""
    data = generator.request(5, 1)
    *above, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    holder: Any = data
    for part in above:
        holder = holder[part]
    holder[last] = value
    return enveloped(data)


READ: dict[str, list[Any]] = {
    "member.birth_date": ["1957-02-03", "0001-01-01", "9999-12-31", "2024-02-29", None],
    "member.sex": ["female", "male", "other", None],
    "provider.specialty": ["207RH0003X", "000000000X", None],
    "service_lines.0.place_of_service": ["11", "00", None],
    "service_lines.0.modifiers": [["59"], ["LT", "26"], ["A1", "B2", "C3", "D4"], [], None],
    "service_lines.0.clinical": [{"b": [1, "ä"], "a": {"c": None}}, {"a": ["z", "y", "z"]}, {"a": {}}, {}, None],
}
REFUSED: dict[str, list[Any]] = {
    "member.birth_date": ["2023-02-29", "1957-2-3", "19570203", "1957-02-03T00:00:00", "1957-02-03\n", "", 1957, ["x"]],
    "member.sex": ["F", "Female", "unknown", "", 1, {"code": "female"}],
    "provider.specialty": ["207RH0003", "207RH0003x", "207RH0003Y", "207RH0003X\n", "\uff1207RH0003X", "", 207],
    "service_lines.0.place_of_service": ["1", "111", "1A", "11\n", "\u0661\u0661", "", 11, ["11"]],
    "service_lines.0.modifiers": [
        *(["5"], ["lt"], ["26\n"], ["\uff32T"], ["26", "26"], ["A1", "B2", "C3", "D4", "E5"], [None], [26], [["26"]]),
        *("26", {"26": "59"}, 26, True),
    ],
    "service_lines.0.clinical": [[], ["a"], "", "a", 1, True],
}


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, values in READ.items() for value in values])
def test_what_describes_a_request_needs_no_models(path: str, value: Any) -> None:
    assert compared(described(path, value)) == "both"


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, values in REFUSED.items() for value in values])
def test_what_describes_nothing_is_refused_by_both(path: str, value: Any) -> None:
    assert compared(described(path, value)) == "neither"


def test_an_event_shows_no_personal_data() -> None:
    found = read(*enveloped(generator.request(5, 1)))

    assert repr(found) == "Event('personal data not shown')"


def test_what_is_refused_has_the_models_reasons() -> None:
    data = generator.request(5, 1)
    data["urgency"] = "soon"
    value = json.dumps(
        {"specversion": "1.0", "id": "e", "source": "/s", "type": AuthorizationRequest.TYPE, "data": data}
    )

    with pytest.raises(RejectedError) as refused:
        read(value.encode())

    assert (refused.value.reason, [error.path for error in refused.value.errors]) == ("schema_violation", ["urgency"])


def test_a_field_of_a_new_kind_is_left_to_the_models() -> None:
    """A struct reads plain texts whole, what may be refused as it is written, and only the fields that are known."""

    class Changed(BaseModel):
        plain: str = Field(min_length=2)
        patterned: str = Field(pattern="^a$")
        several: list[str]
        flag: bool | None = None
        at: datetime
        new: str | None = None

    known = ("plain", "patterned", "several", "flag", "at")
    struct = typed_reader._struct(Changed, known)  # noqa: SLF001 (what derives)

    types = struct.__annotations__
    assert [name for name in known if types[name] is msgspec.Raw] == ["patterned", "several", "flag", "at"]
    assert set(types) == set(known)


def test_the_reader_knows_every_field_of_today() -> None:
    """A new field of a model is read by the models, until this reader checks it and makes it canonical."""
    assert set(typed_reader.REQUEST_FIELDS) == set(AuthorizationRequest.model_fields)
    assert set(typed_reader.MEMBER_FIELDS) == set(Member.model_fields)
    assert set(typed_reader.PROVIDER_FIELDS) == set(Provider.model_fields)
    assert set(typed_reader.LINE_FIELDS) == set(ServiceLine.model_fields)


@pytest.mark.parametrize("kind", ["valid", "invalid"])
def test_every_example_is_read_as_the_models_read_it(kind: str) -> None:
    found = Counter(compared(Sent(file.read_bytes(), ())) for file in sorted((EXAMPLES / kind).iterdir()))

    assert found["both"] > 10 if kind == "valid" else set(found) == {"neither"}


def test_a_memory_that_is_full_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed_reader, "_REMEMBERED", 3)

    assert {compared(sent) for sent in events(13, 300)} == {"both", "models", "neither"}


def test_a_long_part_is_read_and_not_remembered() -> None:
    """White space around a fact makes every part another one: a platform could fill the memory with them."""
    data = json.dumps(generator.request(5, 1) | {"clinical": {"malignancy": "none"}}, separators=(",", ":"))
    event = '{"specversion":"1.0","id":"e","source":"/s","type":"%s","data":%s}'
    padded = data.replace('{"malignancy"', "{" + " " * 2_000 + '"malignancy"')
    before = len(typed_reader._clinicals)  # noqa: SLF001 (what it remembers)

    assert compared(Sent((event % (AuthorizationRequest.TYPE, padded)).encode(), ())) == "both"
    assert len(typed_reader._clinicals) == before  # noqa: SLF001 (as above)


def test_the_generated_events_have_both_modes() -> None:
    modes = Counter(len(written(generator.request(1, n), Random(n)).headers) > 1 for n in range(50))

    assert set(modes) == {True, False}
