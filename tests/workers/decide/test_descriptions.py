"""What describes a request further changes no answer of the packaged policy, and is part of what the request says."""

import json
from typing import Any

import pytest

from events.decode import decode
from events.request_parts import RequestParts, parts_of
from tests.support import generator
from tests.support.packaged import packaged_library
from tests.support.requests import Remembering, record
from workers.configuration.settings import Settings
from workers.decide.handler import Decider, DecisionHandler

LINE = {"line": 1, "system": "cpt", "code": "38242", "units": 1, "service_date": "2025-05-06"}


def read(data: dict[str, Any]) -> RequestParts:
    return parts_of(decode(generator.encode(data), bare_allowed=True).request)


def test_a_described_request_has_the_decision_of_a_plain_one() -> None:
    decider = Decider(packaged_library())
    for n in range(500):
        plain, described = (read(generator.request(41, n, described=one)) for one in (False, True))
        assert decider.decide(described).encoded == decider.decide(plain).encoded


def answers(*lines: dict[str, Any]) -> list[dict[str, Any]]:
    """What each of some requests with the same id is answered, and nothing for one that comes again."""
    memory = Remembering()
    handler = DecisionHandler(packaged_library(), Settings(topic_prefix="t."), memory)
    found = []
    for offset, data in enumerate(lines):
        answered = memory.take(handler([record(generator.encode(data), offset)]))
        found += [json.loads(one.value)["data"] for one in answered if one.value is not None]
    return found


def described(part: str, **stated: Any) -> dict[str, Any]:
    made = generator.request(41, 3) | {"service_lines": [LINE]}
    if part == "line":
        return made | {"service_lines": [LINE | stated]}
    return made | {part: made[part] | stated}


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("member", "birth_date", "1957-02-03"),
        ("member", "sex", "female"),
        ("provider", "specialty", "207RH0003X"),
        ("line", "place_of_service", "22"),
        ("line", "modifiers", ["59"]),
    ],
)
def test_a_request_that_says_more_is_no_duplicate(part: str, name: str, value: Any) -> None:
    first, second = answers(described(part), described(part, **{name: value}))

    assert "decision_id" in first
    assert second["reason"] == "conflicting_duplicate"


def test_a_description_said_otherwise_is_a_duplicate() -> None:
    first = described("line", modifiers=["LT", "59"], clinical={})
    again = described("line", modifiers=["59", "LT"], clinical=None, place_of_service=None)

    assert len(answers(first, again)) == 1
