"""Where an answer comes from: what is written is read, and what is none is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.origin_headers import CAUSE, RecordPosition, cause_of, place_of, provenance

NAMES = st.text("abcXYZ019._-", min_size=1, max_size=30)


@given(NAMES, st.integers(0, 10_000), st.integers(0, 10**17))
def test_a_place_reads_back_as_it_was_written(topic: str, partition: int, offset: int) -> None:
    place = RecordPosition(topic, partition, offset)

    assert place_of(str(place)) == place
    assert cause_of(provenance(place)) == place


@pytest.mark.parametrize(
    "text", ["", "t", "t/1", "t/1/", "/1/2", "t/1/x", "t/-1/2", "t/1/2/3", "t/1/²", "t/1/" + "9" * 40]
)
def test_what_names_no_place_is_none(text: str) -> None:
    assert place_of(text) is None
    assert cause_of(((CAUSE, text.encode()),)) is None


def test_a_header_that_is_not_text_names_no_place() -> None:
    assert cause_of(((CAUSE, b"\xff"),)) is None
    assert cause_of(()) is None


def test_headers_have_what_is_known_and_nothing_else() -> None:
    place = RecordPosition("requests", 3, 41)

    always = (("dli-cause", b"requests/3/41"), ("dli-writer", b"1"))
    assert provenance(place) == always
    assert provenance(place, supersedes="PA-1") == (*always, ("dli-supersedes", b"PA-1"))
    assert provenance(place, request="PA-2") == (*always, ("dli-request", b"PA-2"))
