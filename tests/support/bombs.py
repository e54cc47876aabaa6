"""Documents whose shape is right, and that ask for more work than anybody has."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from policy_core.document.models import PolicyDocument

Tree = dict[str, Any]
Json = dict[str, Any]


def document(facts: Sequence[str], when: Json, **parts: Any) -> PolicyDocument:
    """A small document over boolean facts, in this order, whose one condition is `when`."""
    day = "2020-01-01"
    tree: Tree = {
        "format": 1,
        "number": "B-1",
        "title": "A bomb",
        "source": {"publisher": "Us", "sections": ["text"]},
        "facts": [{"path": f"clinical.{one}", "kind": "boolean", "question": f"{one}?"} for one in facts],
        "conditions": [{"id": "bomb", "says": "All of it.", "when": when}],
        "editions": [{"since": day, "on_record": True, "says": "All."}],
        "rules": [
            {
                "id": "first",
                "says": "First.",
                "when": {"condition": "bomb"},
                "outcomes": [{"since": day, "determination": "medically_necessary"}],
            },
            {
                "id": "last",
                "says": "Last.",
                "when": {"otherwise": True},
                "outcomes": [{"since": day, "determination": "criteria_not_met"}],
            },
        ],
        "codes": {
            "id": "codes",
            "says": "Codes.",
            "systems": [{"system": "own", "says": "Ours."}],
            "listed": [{"system": "own", "code": "1"}],
        },
        "revisions": [{"date": day, "kinds": ["approval"], "says": "Approved."}],
    }
    return PolicyDocument.model_validate({**tree, **parts}, strict=False)


def is_(fact: str) -> Json:
    return {"fact": f"clinical.{fact}", "is": True}


def pairs(count: int) -> tuple[list[str], list[str], Json]:
    """Pairs of facts of which one pair must hold: the facts in the worst order, in the best, and the condition."""
    named = [(f"x{at}", f"y{at}") for at in range(count)]
    worst = [one for one, _ in named] + [other for _, other in named]
    return worst, list(chain.from_iterable(named)), {"any": [{"all": [is_(one), is_(other)]} for one, other in named]}


def _one_of(one: Json, other: Json) -> Json:
    return {"any": [{"all": [one, {"not": other}]}, {"all": [{"not": one}, other]}]}


def chained_parity(facts: Sequence[str]) -> Iterator[Json]:
    """True where an odd number of facts is, as a named condition for each fact: small to draw, long to write down."""
    for at, fact in enumerate(facts):
        when = _one_of({"condition": f"odd-{at - 1}"}, is_(fact)) if at else is_(fact)
        yield {"id": f"odd-{at}", "says": f"An odd number up to {fact}.", "when": when}
