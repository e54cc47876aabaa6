"""Whatever a sender writes, it is read and answered: nothing raises, and no value of the message is repeated."""

from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events.adapters.submission import Submission
from events.adapters.x12.adapter import X12
from tests.support.x12_answers import AT, answer, answered
from tests.support.x12_damage import damaged
from tests.support.x12_messages import PARTNER, RECEIVED, Set, Style, request, requests, styles, written

DIGITS = st.integers(0, 2**32).map(Random)


def _answer(submission: Submission) -> bytes:
    if submission.refused is None and "service_lines" not in (submission.request or {}):
        return b""  # a cancellation that takes its lines from its trace
    return answered(submission)


@given(st.binary(max_size=400))
@example(b"")
@example(b"ISA")
@example(b"\xef\xbb\xbf\r\n ISA*")
def test_any_bytes_are_refused_and_answered(value: bytes) -> None:
    [found] = X12.read(value, PARTNER, RECEIVED)
    assert found.refused is not None
    assert found.refused.reason == "undecodable"
    assert answer(X12.refuse(found, found.refused, AT)).troubles == []


@given(requests(), styles())
def test_the_style_changes_nothing(asked: Set, style: Style) -> None:
    [usual] = X12.read(written(asked), PARTNER, RECEIVED)
    [styled] = X12.read(written(asked, style=style), PARTNER, RECEIVED)
    assert styled.request == usual.request
    assert styled.request is not None
    assert (styled.trace, styled.message, styled.follows) == (usual.trace, usual.message, usual.follows)
    assert answer(_answer(styled)).troubles == []


@given(st.lists(requests(), min_size=1, max_size=3), styles())
def test_the_sets_of_an_interchange_are_read_each_for_itself(asked: list[Set], style: Style) -> None:
    alone = [X12.read(written(one, style=style), PARTNER, RECEIVED)[0] for one in asked]
    together = X12.read(written(*asked, style=style), PARTNER, RECEIVED)
    assert [one.request for one in alone] == [one.request for one in together]
    assert [one.message for one in alone] == [one.message for one in together]


@given(requests(), styles(), DIGITS)
def test_a_damaged_message_is_read_and_answered_cleanly(asked: Set, style: Style, chance: Random) -> None:
    for found in X12.read(damaged(written(asked, asked, style=style), chance), PARTNER, RECEIVED):
        value = _answer(found)
        charset = str(found.echo.get("charset", "utf-8"))
        assert value == b"" or answer(value, charset).troubles == []
        assert value == _answer(found)
        assert Submission.model_validate_json(found.model_dump_json()) == found


@given(requests(), st.integers(0, 5_000))
def test_a_message_that_is_cut_off_is_never_a_request(asked: Set, length: int) -> None:
    whole = written(asked)
    end = whole.index(b"SE*")
    for found in X12.read(whole[: min(length, end)], PARTNER, RECEIVED):
        assert found.refused is not None


MARK = "MARKX7"


@given(st.integers(0, 2**32))
def test_no_value_of_a_message_is_in_what_is_said_of_it(seed: int) -> None:
    chance = Random(seed)
    asked = [list(segment) for segment in request(chance)]
    for segment in chance.choices(asked, k=4):
        if segment[0] not in ("HL", "BHT"):
            number = chance.randrange(1, len(segment))
            composite = segment[number]
            segment[number] = (composite[0], MARK) if isinstance(composite, tuple) else MARK
    asked.append([MARK[:3], MARK])
    for found in X12.read(written(tuple(map(tuple, asked))), PARTNER, RECEIVED):
        said = [*found.notes, *(str(error) for error in (found.refused.errors if found.refused else ()))]
        assert not [text for text in said if MARK in text or MARK[:3] in text]
        assert MARK not in repr(found)


def test_a_delimiter_in_the_header_is_no_delimiter_of_the_answer() -> None:
    style = Style(sender="DELTA~HOSP", receiver="MAG:NOLIA")
    value = written(request(Random(1)), style=style).replace(b"GS*HI*DELTA~HOSP*MAG:", b"GS*HI*DELTAHOSP*MAG")
    [found] = X12.read(value, PARTNER, RECEIVED)
    response = answer(_answer(found))
    assert response.troubles == []
    assert [response.segments[0][6].strip(), response.segments[0][8].strip()] == ["MAG NOLIA", "DELTA HOSP"]


@pytest.mark.parametrize("parent", ["", "1", "{before}"])
def test_a_tree_of_any_depth_is_answered(parent: str) -> None:
    tree = tuple(("HL", str(n), parent.format(before=n - 1), "SS", "1") for n in range(1, 20_000))
    [found] = X12.read(written((("BHT", "0007", "13", "DHX-1", "20250602", "1405"), *tree)), PARTNER, RECEIVED)
    assert found.refused is not None
    assert answer(X12.refuse(found, found.refused, AT)).troubles == []
