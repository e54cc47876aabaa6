"""Ids and numbers that both formats derive in the same way."""

import re
from hashlib import sha256

from events.decode import is_request_id

_DIGITS = 12
_SHORT_TRACE = 24
_LONGEST_TRACE = 256 - _DIGITS - 1
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: people read it aloud without mistaking a letter for a digit."""
_CHARACTERS = 10
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_PLACES = range(5 * (_CHARACTERS - 2), -1, -10)
OURS = re.compile(f"DLI[{_ALPHABET}]{{{_CHARACTERS}}}")
"""The form of a control number of ours."""


def request_id(trace: str, message: str) -> str:
    """The canonical request's id: its trace, and what identifies the message within it.

    A trace that is too long, or has characters that a request id may not have, is replaced by its own digest.
    """
    shown = trace if len(trace) <= _LONGEST_TRACE and is_request_id(trace) else _digest(trace)[:_SHORT_TRACE]
    return f"{shown}~{message[:_DIGITS]}"


def control_number(decision_id: str) -> str:
    """The number by which a provider refers to a decision: 13 characters, from the decision's id."""
    first = int(decision_id, 16) >> (4 * len(decision_id) - 5 * _CHARACTERS)
    return "DLI" + "".join([_PAIRS[first >> place & 1023] for place in _PLACES])


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
