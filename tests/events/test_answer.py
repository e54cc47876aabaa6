"""An answer is wrapped in one place, and nowhere else."""

import ast
from pathlib import Path

import pytest

from events.answer import Mark, Wrapping, of_draft, of_replay, wrapped
from events.envelope import Cause, Mode
from events.origin_headers import RecordPosition, cause_of
from tests.support.places import ROOT

CAUSE = RecordPosition("authorization.requests", 3, 41)
TIME = "2025-06-02T09:30:00-05:00"
ASKED = Cause.of("e-1", None, None)


def wrapping(mode: Mode, mark: Mark | None = None) -> Wrapping:
    return Wrapping("/dli", mode, "authorization.decided.v1", "d-1", "PA-1", TIME, supersedes="PA-0", mark=mark)


@pytest.mark.parametrize("mode", ["structured", "binary"])
@pytest.mark.parametrize("asked", [ASKED, None])
def test_an_answer_names_its_cause_and_keeps_the_data(mode: Mode, asked: Cause | None) -> None:
    value, headers = wrapped(b'{"a":1}', CAUSE, asked, wrapping(mode))

    assert b'{"a":1}' in value
    assert cause_of(headers) == CAUSE
    assert dict(headers)["dli-supersedes"] == b"PA-0"
    said = value + b"".join(content for _, content in headers)
    assert (b"e-1" in said) == (asked is not None)


@pytest.mark.parametrize("mode", ["structured", "binary"])
@pytest.mark.parametrize("mark", [of_draft("0" * 64), of_replay("draft-7")])
def test_a_mark_is_an_attribute_and_a_header(mode: Mode, mark: Mark) -> None:
    plain, _ = wrapped(b"{}", CAUSE, ASKED, wrapping(mode))
    value, headers = wrapped(b"{}", CAUSE, ASKED, wrapping(mode, mark))

    assert dict(headers)[mark.header] == mark.value.encode()
    if mode == "binary":
        assert dict(headers)[f"ce_{mark.attribute}"] == mark.value.encode()
    else:
        assert f'"{mark.attribute}":"{mark.value}"'.encode() in value
        assert mark.attribute.encode() not in plain


def called(file: Path) -> set[str]:
    """The names of functions that a module calls."""
    calls = [one.func for one in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(one, ast.Call)]
    return {
        one.attr if isinstance(one, ast.Attribute) else one.id
        for one in calls
        if isinstance(one, ast.Attribute | ast.Name)
    }


def test_nobody_else_puts_an_answer_together() -> None:
    found = {
        file.relative_to(ROOT).as_posix()
        for room in ("events", "workers")
        for file in (ROOT / room).rglob("*.py")
        if "provenance" in called(file)
    }

    assert found == {"events/answer.py"}
