"""The clinical step as decision-table rules for zen-engine: `zen.json`, and how a case is put to it.

python -m tests.benchmarks.zen_rules   # times it, as JSON
"""

import json
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, get_args

from tests.benchmarks.tables import microseconds
from tests.support import naive

RULES = Path(__file__).with_name("zen.json")
SAMPLE = 2_000

Asked = tuple[naive.Edition, dict[str, naive.Value]]
Answered = tuple[str, str | None, str]


def sample(count: int, seed: int = 402) -> Iterator[Asked]:
    """Complete cases under one edition or the other."""
    rng = Random(seed)
    for _ in range(count):
        yield rng.choice(get_args(naive.Edition)), {fact: rng.choice(values) for fact, values in naive.FACTS.items()}


def as_input(asked: Asked) -> dict[str, Any]:
    """A case as the rules read it: nested objects of plain JSON."""
    edition, facts = asked
    made: dict[str, Any] = {"edition": edition}
    for path, value in facts.items():
        at = made
        *above, last = path.split(".")
        for name in above:
            at = at.setdefault(name, {})
        at[last] = sorted(value) if isinstance(value, frozenset) else value
    return made


def engine() -> Callable[[dict[str, Any]], Answered]:
    """What the rules say of an input."""
    zen: Any = import_module("zen")
    # Handed out by a loader the rules are read once; `create_decision` took ten times as long for every case.
    content = zen.ZenDecisionContent(RULES.read_text("utf-8"))
    rules = zen.ZenEngine({"loader": lambda _key: content})

    def evaluate(asked: dict[str, Any]) -> Answered:
        result = rules.evaluate(RULES.name, asked)["result"]
        return result["determination"], result.get("reason"), result["row"]

    return evaluate


def disagreements(cases: Iterator[Asked]) -> list[str]:
    """Where the rules say something else than the second evaluation."""
    evaluate = engine()
    return [
        f"{asked}: {found}, expected {expected}"
        for asked in cases
        if (found := evaluate(as_input(asked))) != (expected := naive.decide_complete(*asked))
    ]


def main() -> None:
    """Print microseconds per case, and how many of them were decided otherwise than they should."""
    inputs = [as_input(asked) for asked in sample(SAMPLE)]
    different = len(disagreements(sample(SAMPLE)))
    sys.stdout.write(json.dumps({"us": microseconds(engine(), inputs), "cases": SAMPLE, "different": different}))


if __name__ == "__main__":
    main()
