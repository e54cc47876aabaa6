"""Codes: which diagnosis codes a selector matches, and which procedure codes are valid and listed on a day."""

from collections.abc import Callable
from datetime import date
from enum import Enum, auto
from functools import lru_cache

from policy_core.document.models import CodeList, CodeSelector, CodeSystem, ListedCode


def normal_diagnosis(code: str) -> str:
    """A diagnosis code normalized for comparison: trimmed, in capitals, without its dot."""
    return _capitals(code).replace(".", "")


@lru_cache(maxsize=1 << 14)  # the same few hundred codes recur
def _capitals(code: str) -> str:
    code = code.strip()
    # Some non-ASCII letters have an ASCII capital, but they are different letters.
    return code.upper() if code.isascii() else code


def selector(selected: CodeSelector) -> Callable[[str, str], bool]:
    """A predicate for the pairs of system and normal code that a selector matches."""
    ranges = tuple(bounds(written) for written in selected.codes)
    ending = selected.ends_with or ""

    # The same few hundred codes recur.
    @lru_cache(maxsize=4096)
    def matches(system: str, code: str) -> bool:
        return (
            system == selected.system
            and (selected.length is None or len(code) == selected.length)
            and code.endswith(ending)
            and any(_within(code, low, high) for low, high in ranges)
        )

    return matches


def bounds(written: str) -> tuple[str, str]:
    """The first and last prefix of an entry of a selector, such as `C81-C96` or `D46`."""
    low, _, high = written.partition("-")
    return normal_diagnosis(low), normal_diagnosis(high or low)


def _within(code: str, low: str, high: str) -> bool:
    # A code shorter than the range's ends (C8 for C81) is ambiguous, so it does not match.
    return len(code) >= max(len(low), len(high)) and low <= code[: len(low)] and code[: len(high)] <= high


class CodeStatus(Enum):
    """The status of a procedure code on a day."""

    LISTED = auto()
    NOT_LISTED = auto()
    INVALID = auto()


class CodeIndex:
    """The document's code list, indexed."""

    def __init__(self, codes: CodeList) -> None:
        self._systems = {system.system: system for system in codes.systems}
        self._listed = {(entry.system, self.normal(entry.system, entry.code)): entry for entry in codes.listed}

    def normal(self, system: str, code: str) -> str:
        """A procedure code normalized for comparison: trimmed, in capitals, without dots if its system ignores them."""
        known = self._systems.get(system)
        return _capitals(code).replace(".", "") if known and known.ignores_dots else _capitals(code)

    def normal_named(self, named: str) -> str:
        """The same for a code behind its system and a space, as conditions name it."""
        system, _, code = named.partition(" ")
        return f"{system} {self.normal(system, code)}"

    def entry(self, system: str, code: str) -> ListedCode | None:
        """The document's entry for a code, on any day."""
        return self._listed.get((system, self.normal(system, code)))

    def well_formed(self, system: str, code: str) -> bool:
        """Whether a code has its system's form, on any day."""
        known = self._systems.get(system)
        return known is None or known.length is None or _has_length(self.normal(system, code), known.length)

    @lru_cache(maxsize=1 << 14)  # noqa: B019 (an index lives as long as its policy)
    def standing(self, system: str, code: str, day: date) -> CodeStatus:
        """The status of the code on `day`: first its validity in its own code set, then the policy's list."""
        entry = self.entry(system, code)
        known = self._systems.get(system)
        if known is not None and not _valid_in(known, self.normal(system, code), day):
            return CodeStatus.INVALID
        if entry is None:
            return CodeStatus.NOT_LISTED
        if not entry.valid.holds(day):
            return CodeStatus.INVALID
        return CodeStatus.LISTED if entry.listed.holds(day) else CodeStatus.NOT_LISTED


def _valid_in(system: CodeSystem, code: str, day: date) -> bool:
    return system.valid.holds(day) and (system.length is None or _has_length(code, system.length))


def _has_length(code: str, length: int) -> bool:
    return len(code) == length and code.isascii() and code.isalnum()
