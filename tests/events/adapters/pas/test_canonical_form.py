"""The canonical form is RFC 8785's, by another implementation of it and by the RFC's own examples."""

import json
import struct
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from events.adapters.pas.canonical_form import canonical, canonical_bytes, number

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
