"""Text that does something to a terminal or a page."""

from unicodedata import category

from hypothesis import strategies as st

from workers.console.printing import OURS

UNSEEN = (
    *map(chr, [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]),
    *"\u061c\u200b\u200e\u200f\u2028\u2029\ufeff\U000e0041",
)


EVIL = (
    "\x1b[31mRED",
    "\x9b31mRED",
    "\x9d0;title\x9c",
    "\x07\x08\x0b\x0c\r",
    "\u202eRTL",
    "\u2066isolated\u2069",
    "[bold red]X[/bold red]",
    "[/nothing]",
    "[link=evil.example]PA[/link]",
    ":smile:",
)


DATA = st.lists(st.one_of(st.sampled_from(UNSEEN), st.sampled_from(EVIL), st.text(max_size=5))).map("".join)


def unseen(text: str) -> set[str]:
    """What of a text does something, or shows nothing; our own lines aside."""
    return {one for one in text if one not in OURS and category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
