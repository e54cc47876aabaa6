"""What is decided of a request has all that a policy may test, however the request was read."""

from datetime import date
from typing import Any

import pytest

from events.decode import decode
from events.request_parts import NOTHING_STATED, RequestParts, parts_of
from events.typed_reader import read
from tests.support import generator
from tests.support.requests import record

LINE = {"line": 3, "system": "cpt", "code": "38242", "units": 7, "service_date": "2025-05-06"}
FACTS = {"device": {"settings": "auto"}, "levels": ["L4-L5", "L3-L4"]}


def by_models(data: dict[str, Any]) -> RequestParts:
    return parts_of(decode(generator.encode(data), bare_allowed=True).request)


def typed(data: dict[str, Any]) -> RequestParts:
    sent = record(generator.encode(data))
    assert isinstance(sent.value, bytes)
    return read(sent.value, sent.headers).request


def request(**line: Any) -> dict[str, Any]:
    made = generator.request(5, 1)
    made["member"] |= {"birth_date": "1957-02-03", "sex": "male"}
    made["provider"]["specialty"] = "207RH0003X"
    return made | {"service_lines": [LINE | line]}


READERS = pytest.mark.parametrize("parts", [by_models, typed])


@READERS
def test_the_parts_say_who_is_treated_and_who_asks(parts: Any) -> None:
    found = parts(request())

    assert (found.birth_date, found.sex, found.provider_specialty) == (date(1957, 2, 3), "male", "207RH0003X")


@READERS
def test_a_line_says_where_how_and_upon_which_facts(parts: Any) -> None:
    (line,) = parts(request(place_of_service="22", modifiers=["LT", "26"], clinical=FACTS)).service_lines

    assert (line.units, line.place_of_service, line.modifiers) == (7, "22", ("26", "LT"))
    assert line.clinical.value == FACTS
    assert line.clinical.canonical == b'{"device":{"settings":"auto"},"levels":["L3-L4","L4-L5"]}'


@READERS
@pytest.mark.parametrize("stated", [{}, {"place_of_service": None, "modifiers": None, "clinical": None}])
def test_what_is_not_stated_is_none(parts: Any, stated: dict[str, Any]) -> None:
    plain = generator.request(5, 1) | {"service_lines": [LINE | stated]}
    found = parts(plain)
    (line,) = found.service_lines

    assert (found.birth_date, found.sex, found.provider_specialty) == (None, None, None)
    assert (line.place_of_service, line.modifiers, line.clinical) == (None, None, NOTHING_STATED)


@READERS
def test_no_modifier_is_something_else_than_none_stated(parts: Any) -> None:
    assert parts(request(modifiers=[])).service_lines[0].modifiers == ()


@READERS
def test_facts_of_lines_that_differ_have_different_keys(parts: Any) -> None:
    objects = [FACTS, {}, {"levels": []}, {"device": {"settings": "manual"}}, {"device": 1}, {"device": True}]
    keys = [parts(request(clinical=one)).service_lines[0].clinical.key for one in objects]

    assert len(set(keys)) == len(keys)
    assert keys == [parts(request(clinical=one)).service_lines[0].clinical.key for one in objects]


@READERS
def test_parts_show_no_personal_data(parts: Any) -> None:
    found = parts(request(clinical={"device": "ZEBULON"}))

    assert "1957" not in repr(found)
    assert "ZEBULON" not in repr(found.service_lines)
