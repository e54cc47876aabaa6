"""An act in display columns; values are as recorded, and must be escaped for display."""

from events.audit import Actor, Arguments
from workers.audit.read_acts import Done
from workers.console.printable import words

COLUMNS = ("when", "who", "what", "with", "outcome", "took")
UNENDED = "begun, no end recorded"


def row(act: Done) -> tuple[str, ...]:
    """An act in the columns."""
    took = f"{(act.until - act.at).total_seconds():.1f} s" if act.until is not None else "-"
    when = act.at.isoformat(timespec="seconds")
    return when, who(act.last.who), act.last.what, arguments(act.last.arguments), outcome(act), took


def outcome(act: Done) -> str:
    """The outcome, with its cause."""
    if act.until is None:
        return UNENDED
    return act.last.outcome if act.last.reason is None else f"{act.last.outcome}: {words(act.last.reason)}"


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
