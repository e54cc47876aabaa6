"""An act as it is shown, in columns; what is in them is as it was recorded, for whoever shows it to escape."""

from events.audit import Actor, Arguments
from workers.audit.read import Done

COLUMNS = ("when", "who", "what", "with", "outcome", "took")
UNENDED = "begun, no end recorded"


def row(one: Done) -> tuple[str, ...]:
    """An act in the columns."""
    took = f"{(one.until - one.at).total_seconds():.1f} s" if one.until is not None else "-"
    when = one.at.isoformat(timespec="seconds")
    return when, who(one.last.who), one.last.what, arguments(one.last.arguments), outcome(one), took


def outcome(one: Done) -> str:
    """What came of it, with the word that says why."""
    if one.until is None:
        return UNENDED
    return one.last.outcome if one.last.reason is None else f"{one.last.outcome}: {one.last.reason.replace('_', ' ')}"


def who(actor: Actor) -> str:
    """Whoever it was, by all there is of them."""
    there = actor.model_dump(exclude_none=True)
    named = [(name.replace("_", " "), value) for name, value in there.items()]
    return ", ".join(f"{name} {value}" for name, value in named) or "nobody who is known"


def arguments(found: Arguments) -> str:
    """With what it was done; of several letters the number alone."""
    there = found.model_dump(mode="json", exclude_defaults=True)
    letters = there.pop("letters", ())
    if len(letters) == 1:
        there["letter"] = letters[0]
    texts = [(name, ", ".join(value) if isinstance(value, list) else str(value)) for name, value in there.items()]
    return "; ".join(f"{name.replace('_', ' ')} {text}" for name, text in texts) or "-"
