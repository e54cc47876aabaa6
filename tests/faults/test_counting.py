"""The counting itself: it catches what the other tests say does not happen."""

import pytest

from tests.faults.counting import Answer, Counted, count, digest

ASKED = {b"REQ-%d" % n: digest(b"answer %d" % n) for n in range(4)}
RIGHT = [Answer(key, answer) for key, answer in ASKED.items()]
WRONG = Answer(b"REQ-1", digest(b"another answer"))

pytestmark = pytest.mark.faults


def test_each_answered_once_is_clean() -> None:
    assert count(ASKED, RIGHT) == Counted(4, 0, 0, 0, 0)
    assert count(ASKED, RIGHT).clean


@pytest.mark.parametrize(
    ("found", "counted"),
    [
        ([*RIGHT[:2], RIGHT[3]], Counted(4, lost=1, duplicated=0, different=0, foreign=0)),
        ([], Counted(4, lost=4, duplicated=0, different=0, foreign=0)),
        ([*RIGHT, RIGHT[2], RIGHT[2]], Counted(4, lost=0, duplicated=2, different=0, foreign=0)),
        ([RIGHT[0], WRONG, *RIGHT[2:]], Counted(4, lost=0, duplicated=0, different=1, foreign=0)),
        ([*RIGHT, WRONG], Counted(4, lost=0, duplicated=1, different=1, foreign=0)),
        ([*RIGHT, Answer(b"REQ-9", digest(b""))], Counted(4, lost=0, duplicated=0, different=0, foreign=1)),
        ([RIGHT[0], RIGHT[0], *RIGHT[2:]], Counted(4, lost=1, duplicated=1, different=0, foreign=0)),
    ],
)
def test_what_is_wrong_is_counted(found: list[Answer], counted: Counted) -> None:
    assert count(ASKED, found) == counted
    assert not counted.clean


def test_only_the_same_bytes_again_are_a_repetition() -> None:
    assert count(ASKED, [*RIGHT, RIGHT[0]]).repeated_at_most
    assert not count(ASKED, [*RIGHT, WRONG]).repeated_at_most
    assert not count(ASKED, RIGHT[1:]).repeated_at_most
