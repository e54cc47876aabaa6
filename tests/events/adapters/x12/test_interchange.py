"""The transaction sets of an interchange, whatever its sender does differently."""

import pytest

from events.adapters.x12.interchange import (
    MOST_INTERCHANGES,
    MOST_SETS,
    Delimiters,
    UnreadableError,
    sender,
    transaction_sets,
)
from tests.support.x12_messages import Style, written

SET = (("BHT", "0007", "13", "DHX-1"), ("HL", "1", "", "20"))
ISA = "ISA*00*          *00*          *ZZ*DELTAHOSP      *ZZ*MAGNOLIA       *250602*1405*^*00501*000000101*0*T*:~"


def _texts(value: bytes) -> list[list[str]]:
    return [found.written for found in transaction_sets(value).sets]


@pytest.mark.parametrize(
    "style",
    [
        Style(),
        Style(before="\ufeff"),
        Style(before="\r\n\r\n"),
        Style(after="\r\n"),
        Style(after="\n        "),
        Style(is_padded=False),
        Style(is_counted=False),
        Style(version="00401", repetition=""),
        Style(guide="005010X279A1"),
        Style(terminator="\n"),
        Style(terminator="\r\n"),
    ],
)
def test_a_style_is_let_be(style: Style) -> None:
    assert _texts(written(SET, style=style)) == [["BHT*0007*13*DHX-1", "HL*1**20"]]


@pytest.mark.parametrize(
    ("repetition", "wanted"), [("^", "^"), ("|", "|"), (">", ">"), ("U", ""), ("", ""), ("{", "{"), (":", "")]
)
def test_the_delimiters_are_those_of_isa(repetition: str, wanted: str) -> None:
    [found] = transaction_sets(written(SET, style=Style(repetition=repetition))).sets
    assert found.delimiters == Delimiters("*", ":", wanted, "~")


def test_a_line_break_within_a_segment_is_no_part_of_it() -> None:
    assert _texts(written(SET).replace(b"DHX-1", b"DH\r\nX-1")) == _texts(written(SET))


def test_groups_and_interchanges_follow_each_other() -> None:
    group = written(SET)[len(ISA) : written(SET).index(b"IEA")]
    value = ISA.encode() + group + group + b"IEA*2*000000101~\n" + written(SET, style=Style("|", ">", "!", "\x1e"))
    found = transaction_sets(value).sets
    assert [one.delimiters.element for one in found] == ["*", "*", "|"]
    assert len({one.digest for one in found}) == 1


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"", "should begin with ISA"),
        (b"ST*278*0001~BHT*0007*13~", "should begin with ISA"),
        (b'{"resourceType": "Bundle"}', "should begin with ISA"),
        (b"ISA", "should have its delimiters in ISA"),
        (ISA[:-3].encode(), "should have its delimiters in ISA"),
        (ISA.replace("*", "A").encode(), "should have its delimiters in ISA"),
        (ISA.encode(), "has no transaction set (ST)"),
        (ISA.encode() + b"ST*278~SE~" * (MOST_SETS + 1), "has more than 1,000 transaction sets"),
        (ISA.encode() * (MOST_INTERCHANGES + 1), "has more than 100 interchanges"),
    ],
)
def test_a_record_without_an_interchange_is_unreadable(value: bytes, says: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        transaction_sets(value)
    assert str(caught.value) == says


def test_a_set_without_an_end_is_known_to_be_cut_off() -> None:
    value = written(SET, SET)
    first, second = transaction_sets(value[: value.rindex(b"SE*")]).sets
    assert (first.is_ended, second.is_ended) == (True, False)


def test_what_follows_bht_is_the_message_and_nothing_else() -> None:
    [one] = transaction_sets(written(SET)).sets
    [other] = transaction_sets(written(SET, style=Style(sender="OTHER", is_counted=False))).sets
    assert one.digest == other.digest


@pytest.mark.parametrize("text", ["DHX:1", "DHX^1", "DHX|1", "DHX\\1", "DHX\\:1", "DHX~1"])
def test_a_value_is_never_taken_for_a_delimiter(text: str) -> None:
    style = Style("|", ">", "!", "\x1e") if "|" not in text else Style("*", ">", "!", "\x1e")
    usual, other, again = (
        transaction_sets(written((("BHT", "0007", "13", third),), style=how)).sets[0].digest
        for third, how in ((("DHX", "1"), Style()), (text, style), (("DHX", "1"), style))
    )
    assert usual == again
    assert usual != other


def test_an_unreadable_later_interchange_is_not_passed_over() -> None:
    found = transaction_sets(written(SET) + b"ISA*00*")
    assert (len(found.sets), found.unreadable) == (1, "should have its delimiters in ISA")


def test_bytes_that_are_not_utf_8_are_characters_too() -> None:
    [found] = transaction_sets(written(SET).replace(b"DHX-1", b"D\xe9X")).sets
    assert found.charset == "latin-1"
    assert found.written[0] == "BHT*0007*13*D\xe9X"


def test_the_sender_is_known_before_anything_else() -> None:
    assert sender(written(SET, style=Style(before="\ufeff\n", is_padded=False))) == "ZZ:DELTAHOSP"
    assert sender(b"ISA*00*") is None
