"""An act in display columns; values are as recorded, and must be escaped for display."""

from events.audit import Actor, Arguments
from workers.audit.read_acts import Done
from workers.console.printable import words

COLUMNS = ("when", "who", "what", "with", "outcome", "took")
UNENDED = "begun, no end recorded"


def row(one: Done) -> tuple[str, ...]:
    """An act in the columns."""
    took = f"{(one.until - one.at).total_seconds():.1f} s" if one.until is not None else "-"
    when = one.at.isoformat(timespec="seconds")
    return when, who(one.last.who), one.last.what, arguments(one.last.arguments), outcome(one), took


def outcome(one: Done) -> str:
    """The outcome, with its cause."""
    if one.until is None:
        return UNENDED
    return one.last.outcome if one.last.reason is None else f"{one.last.outcome}: {words(one.last.reason)}"


def who(actor: Actor) -> str:
    """The actor, with everything known."""
    there = actor.model_dump(exclude_none=True)
    named = [(words(name), value) for name, value in there.items()]
    return ", ".join(f"{name} {value}" for name, value in named) or "nobody who is known"


def arguments(found: Arguments) -> str:
    """The arguments; of several letters only the number."""
    there = found.model_dump(mode="json", exclude_defaults=True)
    letters = there.pop("letters", ())
    if len(letters) == 1:
        there["letter"] = letters[0]
    texts = [(name, ", ".join(value) if isinstance(value, list) else str(value)) for name, value in there.items()]
    return "; ".join(f"{words(name)} {text}" for name, text in texts) or "-"
