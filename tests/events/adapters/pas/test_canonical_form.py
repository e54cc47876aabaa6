"""The canonical form is RFC 8785's, by another implementation of it and by the RFC's own examples."""

import json
import struct
from random import Random
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from events.adapters.pas.canonical_form import canonical, canonical_bytes, digest, number, parsed
from events.envelope import loads

DOUBLES = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
}
"""Of the RFC's appendix B: the bits of a double, and how it is written."""
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
TREES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner, max_size=5),
    max_leaves=40,
)


@pytest.mark.parametrize(("bits", "written"), DOUBLES.items())
def test_numbers_are_written_as_the_rfc_has_them(bits: str, written: str) -> None:
    assert number(struct.unpack(">d", bytes.fromhex(bits))[0]) == written


@given(TREES)
def test_any_tree_is_written_as_another_implementation_writes_it(tree: Any) -> None:
    assert canonical_bytes(tree) == rfc8785.dumps(tree)
    assert canonical(tree).encode() == rfc8785.dumps(tree)


@given(st.integers(-(2**1000), 2**1000))
def test_an_integer_of_any_size_is_written(value: int) -> None:
    written = canonical_bytes([value])
    assert float(json.loads(written)[0]) == pytest.approx(float(value), rel=1e-15)
    assert canonical_bytes(json.loads(written)) == written


def test_names_are_sorted_by_their_utf_16_units() -> None:
    tree = {"\ufb33": 1, "\U0001f600": 2, "\r": 3, "1": 4, "\u20ac": 5, "\x80": 6, "\xf6": 7}
    assert list(json.loads(canonical_bytes(tree)).values()) == [3, 4, 6, 7, 5, 2, 1]


def _spelled(tree: Any, chance: Random) -> bytes:
    """A text of a tree in one of many spellings; with a fault, or a key twice, in some."""
    text = json.dumps(tree, ensure_ascii=chance.random() < 0.5, indent=chance.choice((None, None, 1)))
    for _ in range(chance.choice((0, 0, 1, 2))):
        at = chance.randrange(len(text) + 1)
        put = chance.choice((" ", "\n", '"":1,', "0", "1.0,", "1e2,", "-", "\\u0041", "\\/", "x", "{", "]", "\ufeff"))
        text = text[:at] + put + text[at + chance.randrange(2) :]
    return text.encode("utf-8", "surrogatepass")


@given(TREES, st.integers(0, 2**32).map(Random))
@example({"a": 1, "b": {"": 2}}, Random(3))
def test_a_text_is_read_as_strictly_as_an_event_is(tree: Any, chance: Random) -> None:
    value = _spelled(tree, chance)
    try:
        strictly = loads(value)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            parsed(value)
        return
    found = parsed(value)
    assert repr(found.tree) == repr(strictly)
    assert found.digest == digest(strictly)


@pytest.mark.parametrize(
    "value",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":1}',
        b'{"a":{"b":[{"c":1,"c":22}]}}',
        b'{"":1,"":1}',
        b'{"a":NaN}',
        b'"\\ud800"',
        b"\xff",
        b"[" * 1_000 + b"]" * 1_000,
    ],
)
def test_what_readers_take_differently_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed(value)


def test_a_key_that_is_twice_is_seen_in_a_shorter_text() -> None:
    spellings = (b"1.50", b"1E2", b"1e22", b"100000000000000000000000", b"-0", b'"\\u00e9"', b'"\\/"', b" 7 ")
    for one in spellings:
        assert parsed(b'{"a":%s}' % one).tree == loads(b'{"a":%s}' % one)
        for twice in (b'{"a":%s,"a":%s}', b'{"b":%s,"c":{"":%s,"":0}}'):
            with pytest.raises(ValueError, match="twice"):
                parsed(twice % (one, one))
