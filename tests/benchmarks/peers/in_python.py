"""Evaluations of the policy that run in Python: ours, plain rules, and zen-engine by its package.

    python -m tests.benchmarks.peers.in_python NAME RULES CASES          # the answer to each case, as JSON
    python -m tests.benchmarks.peers.in_python NAME RULES CASES ROUNDS   # µs of processor time per case, for each round

RULES is a policy document, or for zen-engine its rules.
"""

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from policy_core.evaluate.case import Case
from policy_core.evaluate.determine import Policy
from policy_core.loading.load import load
from tests.benchmarks.peers.cases import Answer, from_input, in_words
from tests.benchmarks.tables import microseconds
from tests.support import naive
from tests.support.cases import case

Input = dict[str, Any]


class Evaluator(NamedTuple):
    """How a case is decided."""

    prepare: Callable[[Input], Any]
    """The case as it is decided; its time does not count."""
    decide: Callable[[Any], Any]
    answer: Callable[[Any], Answer | None]
    """What `decide` returned, in words; its time does not count."""


def ours(rules: Path, *, remembered: bool) -> Evaluator:
    """From a clinical object to its finding, whose diagrams remember patterns of facts or do not."""
    policy = Policy(load(rules))
    finders = {
        since.isoformat(): edition.find if remembered else edition._find  # noqa: SLF001 (without the memory)
        for since, edition in policy.editions.items()
    }

    def prepare(made: Input) -> tuple[Callable[..., Any], Case]:
        return finders[made["edition"]], case(clinical=made["clinical"])

    def decide(prepared: tuple[Callable[..., Any], Case]) -> Any:
        find, asked = prepared
        return find(policy.reader.pattern(policy.reader.read(asked)))

    def answer(finding: Any) -> Answer:
        return finding.determination.value, next(iter(finding.reasons), None), finding.rows[0].rule.id

    return Evaluator(prepare, decide, answer)


def plain(rules: Path) -> Evaluator:
    """The tests' second evaluation, which is given flat facts."""
    document = load(rules)

    def decide(asked: Any) -> tuple[str, str | None, str] | None:
        try:
            return naive.decide_complete(*asked)
        except KeyError:  # it reads a fact that is missing
            return None

    def answer(found: tuple[str, str | None, str] | None) -> Answer | None:
        return found and in_words(document, found)

    return Evaluator(from_input, decide, answer)


def zen(rules: Path) -> Evaluator:
    """A table's rules in zen-engine."""
    package: Any = import_module("zen")
    # From a loader, so that the rules are read only once; `create_decision` took ten times as long per case.
    content = package.ZenDecisionContent(rules.read_text("utf-8"))
    engine = package.ZenEngine({"loader": lambda _key: content})

    def decide(made: Input) -> Any:
        try:
            return engine.evaluate("policy", made)["result"]
        except RuntimeError:  # it reads a fact that is missing
            return None

    def answer(result: Any) -> Answer | None:
        return result and (result["determination"], result.get("reason"), result["rule"])

    return Evaluator(lambda made: made, decide, answer)


EVALUATORS: dict[str, Callable[[Path], Evaluator]] = {
    "ours-remembered": lambda rules: ours(rules, remembered=True),
    "ours": lambda rules: ours(rules, remembered=False),
    "plain": plain,
    "zen": zen,
}


def main() -> None:
    """Print answers or times."""
    name, rules, cases, *rounds = sys.argv[1:]
    evaluator = EVALUATORS[name](Path(rules))
    prepared = [evaluator.prepare(made) for made in json.loads(Path(cases).read_text("utf-8"))]
    said: list[Any] = (
        [microseconds(evaluator.decide, prepared, repeats=1) for _ in range(int(rounds[0]))]
        if rounds
        else [evaluator.answer(evaluator.decide(one)) for one in prepared]
    )
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
