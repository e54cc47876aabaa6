"""The forms of codes that derive facts: whether a selector matches any code, or none that another does not.

The forms are those of the code sets themselves. Requests with other codes are refused before a policy sees them.
"""

from collections.abc import Sequence

from policy_core.document.code_listings import bounds
from policy_core.document.models import CodeSelector

_DIGITS = "0123456789"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_EITHER = _DIGITS + _LETTERS
_LOWEST, _HIGHEST = _EITHER[0], _EITHER[-1]

Shape = tuple[str, ...]
"""The characters that may stand at each position of a code."""


def _shapes(*characters: str, more: str = "", up_to: int = 0) -> tuple[Shape, ...]:
    """These characters, and up to `up_to` more."""
    return tuple((*characters, *[more] * count) for count in range(up_to + 1))


FORMS: dict[str, tuple[Shape, ...]] = {
    "icd-10-cm": _shapes(_LETTERS, _DIGITS, _EITHER, more=_EITHER, up_to=4),
    "icd-9-cm": (
        *_shapes(_DIGITS, _DIGITS, _DIGITS, more=_DIGITS, up_to=2),
        *_shapes("V", _DIGITS, _DIGITS, more=_DIGITS, up_to=2),
        *_shapes("E", _DIGITS, _DIGITS, _DIGITS, more=_DIGITS, up_to=2),
    ),
    "icd-10-pcs": _shapes(*[_EITHER] * 7),
    "icd-9-pcs": _shapes(_DIGITS, _DIGITS, more=_DIGITS, up_to=2),
    "cpt": _shapes(*[_DIGITS] * 4, _EITHER),
    "hcpcs": _shapes(_LETTERS, *[_DIGITS] * 4),
}
"""The codes of each known system, without dots."""


def matches_some(selected: CodeSelector) -> bool:
    """Whether a selector matches a code of its system's form; always true of an unknown system."""
    if selected.system not in FORMS:
        return True
    ending = selected.ends_with or ""
    return any(
        _holds_some(shape, bounds(written), ending)
        for shape in FORMS[selected.system]
        if selected.length in (None, len(shape))
        for written in selected.codes
    )


def _holds_some(shape: Shape, ends: tuple[str, str], ending: str) -> bool:
    """Whether a code of this shape lies in a range and has this ending."""
    low, high = ends
    if len(shape) < max(len(low), len(high), len(ending)):
        return False
    # Whether a beginning of the code is still equal to that of the lower and of the upper end.
    equal = {(True, True)}
    for at, characters in enumerate(shape):
        behind = at - (len(shape) - len(ending))
        possible = [one for one in characters if behind < 0 or one == ending[behind]]
        equal = {
            (as_low and one == low[at : at + 1], as_high and one == high[at : at + 1])
            for as_low, as_high in equal
            for one in possible
            if not (as_low and one < low[at : at + 1]) and not (as_high and at < len(high) and one > high[at])
        }
    return bool(equal)


def covers(wide: CodeSelector, narrow: CodeSelector) -> bool:
    """Whether every code that `narrow` matches is surely matched by `wide`."""
    return (
        wide.system == narrow.system
        and wide.length in (None, narrow.length)
        and (narrow.ends_with or "").endswith(wide.ends_with or "")
        and all(_in_one(written, wide.codes, narrow.length) for written in narrow.codes)
    )


def _in_one(written: str, ranges: Sequence[str], length: int | None) -> bool:
    low, high = bounds(written)
    shortest = max(len(low), len(high), length or 0)
    return any(
        max(len(first), len(last)) <= shortest
        and first <= low.ljust(len(first), _LOWEST)[: len(first)]
        and high.ljust(len(last), _HIGHEST)[: len(last)] <= last
        for first, last in map(bounds, ranges)
    )
