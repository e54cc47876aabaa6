"""`dli reset-offset`: what it takes as an offset, and how it says what setting it means."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import TopicPartition

from tests.support.commands import dli
from workers.kafka.reader import Span
from workers.topics.reset_offset import PLACES, OffsetError, Plan, wanted

READ = "Workers go on there: they read {}, to the end of the log, and pass over {} that it keeps."
WHERE = TopicPartition("authorization.requests", 0)


@pytest.mark.parametrize("to", ["\u0663", "\u00b2", "1_0", "+1", "-1", " 1", "1.0", "", "first", "9" * 5_000, "1\n"])
def test_what_is_no_offset_is_refused_before_anybody_is_asked(to: str) -> None:
    ran = dli("reset-offset", WHERE.topic, "0", "--to", to, "--bootstrap", "127.0.0.1:1")

    assert ran.code == 1
    assert "give an offset, in digits 0 to 9, or one of earliest, latest, current" in ran.err


@given(st.integers(0, 2**63 - 1))
@settings(max_examples=200, deadline=None)
def test_every_offset_of_kafka_is_taken(offset: int) -> None:
    assert wanted(str(offset)) == offset


@given(st.text(max_size=20))
@settings(max_examples=300, deadline=None)
def test_nothing_else_is(text: str) -> None:
    try:
        found = wanted(text)
    except OffsetError:
        return
    assert text in PLACES or (text.isascii() and text.isdigit() and int(text) == found)


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (Plan(WHERE, 20, Span(0, 48), 0), f"offset 20 becomes 0. {READ.format('48 offsets', '0 older ones')}"),
        (Plan(WHERE, None, Span(3, 5), 4), f"offset 4 is set where none was. {READ.format('1 offset', '1 older one')}"),
    ],
)
def test_a_plan_says_what_is_read_and_what_is_passed_over(plan: Plan, sentence: str) -> None:
    assert str(plan) == (
        f"authorization.requests 0: {sentence} Requests that were answered are known and not answered again; a new "
        "account is opened."
    )
