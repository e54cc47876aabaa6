"""Codes as people write them, and the one spelling in which everything behind the wire has them.

White space around a code says nothing (extracts of fixed width pad), nor does its case; nor do dots, but in CPT and
HCPCS, which have none. So a code that has the form of its system is spelled in one way: in capitals, with the dot that
its system prints.

A diagnosis code is evidence. One that has not the form of its system would be passed over, and a contradiction with it:
so it is refused. A procedure code that has not stays as it was written, and the policy answers it.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from events.field_types import CONTROLS

LONGEST = 64
"""Characters of a code, the white space around it not counted."""
WHITE_SPACE = r"\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""What `str.strip` takes off, as a pattern's brackets have it, in Python and in JSON Schema."""


def _around(pattern: str) -> str:
    """A pattern with white space around it."""
    return f"^[{WHITE_SPACE}]*{pattern}[{WHITE_SPACE}]*$"


class Form(NamedTuple):
    """What the codes of a system look like."""

    written: str
    """A pattern: either case, and dots wherever they are put."""
    says: str
    dot: int | None
    """So many characters stand before the dot; None where the system prints none."""


def _dotted(*characters: str, more: str = "", up_to: int = 0) -> str:
    """A pattern of these characters, and up to so many more, with dots anywhere."""
    rest = rf"(?:\.*{more}){{0,{up_to}}}" if up_to else ""
    return "".join(rf"\.*{character}" for character in characters) + rest + r"\.*"


_DIGIT, _LETTER, _EITHER = "[0-9]", "[A-Za-z]", "[0-9A-Za-z]"
# Of C90 to C95 the fifth and last character tells the remission: there is 0, 1 and 2, and anything else is a slip.
_SLIP = _dotted("[Cc]", "9", "[0-5]", _EITHER, "[3-9A-Za-z]")

DIAGNOSES = {
    "icd-10-cm": Form(
        rf"(?!{_SLIP}[{WHITE_SPACE}]*$)" + _dotted(_LETTER, _DIGIT, _EITHER, more=_EITHER, up_to=4),
        "should have the form of an ICD-10-CM code: letter, digit, letter or digit, then up to four letters or digits; "
        "of five characters in C90 to C95 the last is 0, 1 or 2",
        3,
    ),
    "icd-9-cm": Form(
        rf"(?:{_dotted(_DIGIT, _DIGIT, _DIGIT)}|{_dotted('[Vv]', _DIGIT, _DIGIT)}|{_dotted('[Ee]', *[_DIGIT] * 3)})"
        rf"(?:{_DIGIT}\.*){{0,2}}",
        "should have the form of an ICD-9-CM code: three digits, or V and two, or E and three, then up to two digits",
        3,
    ),
}
"""By system, the codes that are evidence."""
PROCEDURES = {
    "icd-10-pcs": Form(_dotted(*[_EITHER] * 7), "Seven letters or digits.", None),
    "icd-9-pcs": Form(_dotted(_DIGIT, _DIGIT, more=_DIGIT, up_to=2), "Two digits, then up to two.", 2),
}
"""By system, the codes in which dots say nothing."""

ANY_CODE = _around(f"[^{CONTROLS}{WHITE_SPACE}](?:[^{CONTROLS}]{{0,{LONGEST - 2}}}[^{CONTROLS}{WHITE_SPACE}])?")
"""What any code looks like, as JSON Schema says it."""
DIAGNOSIS_PATTERNS = {system: _around(form.written) for system, form in DIAGNOSES.items()}
"""By system, what a diagnosis code looks like, as JSON Schema says it."""

_FORMS = {system: (re.compile(form.written), form.dot) for system, form in (DIAGNOSES | PROCEDURES).items()}
_CONTROLS = re.compile(f"[{CONTROLS}]")


def trimmed(written: str) -> str:
    """A code without the white space around it.

    Raises:
        ValueError: No code is left, or none that fits in a line; the sentence repeats nothing of it.
    """
    code = written.strip()
    if not code:
        raise ValueError("should not be empty")
    if len(code) > LONGEST:
        raise ValueError(f"should have at most {LONGEST} characters")
    if _CONTROLS.search(code):
        raise ValueError("should have no control characters")
    return code


def diagnosis(system: str, written: str) -> str:
    """A diagnosis code in the spelling of its system.

    Raises:
        ValueError: It has not the form of its system; the sentence repeats nothing of it.
    """
    return _diagnosis(system, written if len(written) <= LONGEST else trimmed(written))


def procedure(system: str, written: str) -> str:
    """A procedure code in the spelling of its system; one that has not its form as it was written, in capitals.

    Raises:
        ValueError: No code is left, or none that fits in a line; the sentence repeats nothing of it.
    """
    return _procedure(system, written if len(written) <= LONGEST else trimmed(written))


# The same few hundred come again and again.


@lru_cache(maxsize=1 << 14)
def _diagnosis(system: str, written: str) -> str:
    found = _spelled(system, trimmed(written))
    if found is None:
        raise ValueError(DIAGNOSES[system].says)
    return found


@lru_cache(maxsize=1 << 14)
def _procedure(system: str, written: str) -> str:
    code = trimmed(written)
    found = _spelled(system, code) if system in PROCEDURES else None
    return found or (code.upper() if code.isascii() else code)


def _spelled(system: str, code: str) -> str | None:
    """A code in capitals with its system's dot; None where it has not its system's form."""
    form, dot = _FORMS[system]
    if not form.fullmatch(code):
        return None
    bare = code.upper().replace(".", "")
    if dot is None:
        return bare
    if system == "icd-9-cm" and bare.startswith("E"):
        dot += 1  # of an external cause: E and three digits
    return f"{bare[:dot]}.{bare[dot:]}" if len(bare) > dot else bare
