"""Conditions on the entries of a list: whether one holds of an entry, as far as the entry says."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from policy_core.document.conditions import AnyField, EntryCondition, EveryField, FieldTest, NotField
from policy_core.document.models import FactDeclaration


def entry_holds(where: EntryCondition, entry: Mapping[str, Any], fact: FactDeclaration) -> bool | None:
    """Whether a condition holds of an entry; None if the fields that it lacks decide."""
    match where:
        case EveryField(all=parts):
            return _all([entry_holds(part, entry, fact) for part in parts])
        case AnyField(any=parts):
            return _negated(_all([_negated(entry_holds(part, entry, fact)) for part in parts]))
        case NotField(not_=part):
            return _negated(entry_holds(part, entry, fact))
    stated = entry.get(where.field)
    if stated is None:
        return None
    return stated in where.values if where.values else where.holds(Fraction(str(stated).partition(" ")[0]))


def _all(found: Sequence[bool | None]) -> bool | None:
    if False in found:
        return False
    return None if None in found else True


def _negated(found: bool | None) -> bool | None:
    return None if found is None else not found


def written(where: EntryCondition) -> str:
    """A condition in words; different conditions have different words."""
    match where:
        case EveryField(all=parts):
            return "(" + " and ".join(map(written, parts)) + ")"
        case AnyField(any=parts):
            return "(" + " or ".join(map(written, parts)) + ")"
        case NotField(not_=part):
            return f"not {written(part)}"
        case FieldTest(values=values) if values:
            return f"{where.field} is {' or '.join(_word(value) for value in values)}"
    return f"{where.field} {' and '.join(f'{word} {number}' for word, number in where.limits)}"


def _word(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else value
