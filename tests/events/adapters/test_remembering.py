"""A function that is remembered gives what it gives, and keeps little."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.adapters import remembering
from events.adapters.remembering import remembered


@given(st.lists(st.text(max_size=3) | st.just("x" * 2_000), max_size=30))
def test_a_remembered_function_gives_the_same(texts: list[str]) -> None:
    found = remembered(str.upper)
    assert [found(text) for text in texts] == [text.upper() for text in texts]


def _asked(*texts: str) -> list[str]:
    """What a function is asked, of which this was wanted."""
    asked: list[str] = []

    def length(text: str) -> int:
        asked.append(text)
        return len(text)

    found = remembered(length)
    for text in texts:
        found(text)
    return asked


def test_what_recurs_is_asked_once_unless_it_is_long() -> None:
    long = "x" * (remembering.LONGEST + 1)
    assert _asked("a", "b", "a", "a", long, long) == ["a", "b", long, long]


def test_no_more_is_kept_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "MOST", 3)
    assert _asked("a", "b", "c", "a", "d", "d", "a") == ["a", "b", "c", "d", "a"]
