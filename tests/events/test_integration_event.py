"""The records of the integration agents: what is packed is read again, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from events.case_event import CarriedRecord
from events.integration_event import (
    ABSENT,
    Answered,
    Asked,
    Kept,
    Read,
    Requested,
    integration_event_of,
    kept_of,
    packed,
    read_of,
)

JSON = st.sampled_from((b"{}", b'{"a":[1,"\xc3\xa9"]}')).map(Raw)
RECORDS = st.builds(
    CarriedRecord,
    st.just("t"),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.none() | st.binary(max_size=9),
    st.binary(max_size=9),
    st.just(()),
)


@given(st.builds(Kept, JSON, JSON | st.just(ABSENT), JSON | st.just(ABSENT), st.integers(0, 9)))
def test_what_is_kept_is_read_again(kept: Kept) -> None:
    assert kept_of(packed(kept)) == kept


@given(st.builds(Requested, JSON) | st.builds(Answered, st.just("decision"), RECORDS) | st.builds(Asked, JSON))
def test_an_event_is_read_again(event: Requested | Answered | Asked) -> None:
    assert integration_event_of(packed(event)) == event


@given(st.builds(Read, JSON, RECORDS))
def test_what_was_read_is_read_again(found: Read) -> None:
    assert read_of(packed(found)) == found


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[", b"\xff", b"[" * 100_000])
def test_anything_else_is_refused_in_words(value: bytes | None) -> None:
    for decode in (read_of, integration_event_of, kept_of):
        with pytest.raises(ValueError, match="is no record of the integration agents"):
            decode(value)
