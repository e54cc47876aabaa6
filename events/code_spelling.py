"""Normalize codes as people write them to the one spelling used internally.

Surrounding white space (as in fixed-width extracts) and case have no meaning; nor do dots, except in CPT and HCPCS,
which have none. A code in the form of its system is therefore spelled in one way: in capitals, with its system's dot.

A diagnosis code and the code of a past procedure are evidence. If one does not have the form of its system it is
refused: otherwise it, and any contradiction that it causes, would be overlooked. A malformed code of a requested
procedure stays as written, and the policy answers it.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from events.field_types import CONTROLS

LONGEST = 64
"""Maximum length of a code, without surrounding white space."""
WHITE_SPACE = r"\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""What `str.strip` removes, as a character class in Python and JSON Schema."""


def _around(pattern: str) -> str:
    """A pattern with optional white space around it."""
    return f"^[{WHITE_SPACE}]*{pattern}[{WHITE_SPACE}]*$"


class Form(NamedTuple):
    """The form of a system's codes."""

    written: str
    """A pattern: any case, and dots anywhere."""
    says: str
    dot: int | None
    """Number of characters before the dot; None if the system has none."""


def _dotted(*characters: str, more: str = "", up_to: int = 0) -> str:
    """A pattern of these characters and up to `up_to` more, with dots anywhere."""
    rest = rf"(?:\.*{more}){{0,{up_to}}}" if up_to else ""
    return "".join(rf"\.*{character}" for character in characters) + rest + r"\.*"


_DIGIT, _LETTER, _EITHER = "[0-9]", "[A-Za-z]", "[0-9A-Za-z]"
# In C90 to C95 the fifth and last character gives the remission: only 0, 1 and 2 exist.
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
"""Forms of diagnosis codes, by system."""
PROCEDURES = {
    "icd-10-pcs": Form(_dotted(*[_EITHER] * 7), "Seven letters or digits.", None),
    "icd-9-pcs": Form(_dotted(_DIGIT, _DIGIT, more=_DIGIT, up_to=2), "Two digits, then up to two.", 2),
}
"""Forms of procedure codes in which dots have no meaning, by system."""
_WITHOUT_DOTS = {
    "cpt": Form("[0-9]{4}[0-9A-Za-z]", "should have the form of a CPT code: four digits, then a digit or letter", None),
    "hcpcs": Form("[A-Za-z][0-9]{4}", "should have the form of an HCPCS code: a letter and four digits", None),
}
PAST = {
    **_WITHOUT_DOTS,
    "icd-10-pcs": PROCEDURES["icd-10-pcs"]._replace(
        says="should have the form of an ICD-10-PCS code: seven letters or digits"
    ),
    "icd-9-pcs": PROCEDURES["icd-9-pcs"]._replace(
        says="should have the form of an ICD-9 procedure code: two digits, then up to two"
    ),
}
"""Forms of the codes of past procedures, by system."""

ANY_CODE = _around(f"[^{CONTROLS}{WHITE_SPACE}](?:[^{CONTROLS}]{{0,{LONGEST - 2}}}[^{CONTROLS}{WHITE_SPACE}])?")
"""The JSON Schema pattern of any code."""
DIAGNOSIS_PATTERNS = {system: _around(form.written) for system, form in DIAGNOSES.items()}
"""JSON Schema patterns of diagnosis codes, by system."""
PAST_PATTERNS = {system: _around(form.written) for system, form in PAST.items()}
"""JSON Schema patterns of the codes of past procedures, by system."""

_FORMS = {system: (re.compile(form.written), form.dot) for system, form in (DIAGNOSES | PAST).items()}
_CONTROLS = re.compile(f"[{CONTROLS}]")


def trimmed(written: str) -> str:
    """A code without the white space around it.

    Raises:
        ValueError: It is empty, too long, or has control characters; the message does not contain it.
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
        ValueError: It does not have the form of its system; the message does not contain it.
    """
    return _diagnosis(system, written if len(written) <= LONGEST else trimmed(written))


def past_procedure(system: str, written: str) -> str:
    """The code of a past procedure in the spelling of its system.

    Raises:
        ValueError: It does not have the form of its system; the message does not contain it.
    """
    found = _spelled(system, trimmed(written))
    if found is None:
        raise ValueError(PAST[system].says)
    return found


def procedure(system: str, written: str) -> str:
    """A procedure code in the spelling of its system; a malformed code stays as written, in capitals.

    Raises:
        ValueError: It is empty, too long, or has control characters; the message does not contain it.
    """
    return _procedure(system, written if len(written) <= LONGEST else trimmed(written))


# The same few hundred codes recur.


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
    """A code in capitals with its system's dot; None if it does not have its system's form."""
    form, dot = _FORMS[system]
    if not form.fullmatch(code):
        return None
    bare = code.upper().replace(".", "")
    if dot is None:
        return bare
    if system == "icd-9-cm" and bare.startswith("E"):
        dot += 1  # external causes: E and three digits
    return f"{bare[:dot]}.{bare[dot:]}" if len(bare) > dot else bare
