"""No path of an error has a name that nobody declared, wherever an event has one and however it is spelled."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from events.decode import RejectedError, decode
from events.envelope import Attributes
from events.field_paths import UNDECLARED, declared_names, shown_path
from events.request import AuthorizationRequest
from tests.support import generator

NAMES = declared_names(AuthorizationRequest) | declared_names(Attributes) | {"data"}
KEYS = st.one_of(
    st.from_regex(r"[a-z_][a-z0-9_]{0,63}", fullmatch=True),
    st.from_regex(r"[0-9]{1,8}", fullmatch=True),
    st.text(min_size=1, max_size=20),
)
"""As fields are written, as positions in a list are, and as anything else is."""


def objects(tree: Any) -> list[dict[str, Any]]:
    """Every object of an event, the event first."""
    here = [tree] if isinstance(tree, dict) else []
    below = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return here + [one for part in below for one in objects(part)]


def errors_of(tree: Any) -> list[str]:
    try:
        decode(json.dumps(tree).encode(), bare_allowed=True)
    except RejectedError as rejected:
        return [one.path for one in rejected.errors]
    return []


@given(st.integers(0, 200), KEYS, st.data())
def test_no_path_has_a_key_that_nobody_declared(number: int, key: str, data: st.DataObject) -> None:
    tree = generator.request(3, number)
    there = data.draw(st.sampled_from(objects(tree)))
    there[key] = data.draw(st.sampled_from([None, 1, key, [key], {key: {key: key}}]))

    for path in errors_of(tree):
        parts = [part for part in path.split(".") if part]
        assert [one for one in parts if one not in NAMES and one != UNDECLARED and not one.isdecimal()] == []
        if key not in NAMES and not key.isdigit():
            assert key not in parts


@pytest.mark.parametrize(
    ("where", "path"),
    [
        ((), "?"),
        (("member",), "member.?"),
        (("provider",), "provider.?"),
        (("service_lines", 0), "service_lines.0.?"),
    ],
)
@pytest.mark.parametrize("key", ["mathilde_musterfrau", "_m", "m1955", "0", "19551231", "a.b", "Mathilde", "?", "é"])
def test_an_undeclared_key_is_a_question_mark_at_its_place(where: tuple[Any, ...], path: str, key: str) -> None:
    tree = there = generator.request(3, 1)
    for part in where:
        there = there[part]
    there[key] = 1

    assert errors_of(tree) == [path]


class Line(BaseModel):
    """A part of the model below."""

    code: str


class Asked(BaseModel):
    """A model with names at two depths."""

    lines: tuple[Line, ...] = ()


def test_declared_names_are_those_of_all_parts() -> None:
    assert declared_names(Asked) == {"lines", "code"}


def test_a_position_stays_and_a_key_that_looks_like_one_does_not() -> None:
    assert shown_path(("lines", 0, "code"), declared_names(Asked)) == "lines.0.code"
    assert shown_path(("lines", "0", "mathilde"), declared_names(Asked)) == "lines.?.?"
    assert shown_path((), declared_names(Asked)) == ""
