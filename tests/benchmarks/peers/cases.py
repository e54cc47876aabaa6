"""The cases that every evaluation of the policy is asked about, and what the tests' second evaluation says of them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from random import Random
from string import ascii_lowercase
from typing import Any, NamedTuple, get_args

from policy_core.document.models import PolicyDocument
from tests.support import naive

Answer = tuple[str, str | None, str | None]
"""Determination, reason, and the id of the rule that decides; of a case that lacks facts the first alone is known."""


class Asked(NamedTuple):
    """A case under one edition."""

    edition: naive.Edition
    facts: Mapping[str, naive.Value]
    """By path; those left out are unknown."""


def complete(count: int, seed: int = 402) -> Iterator[Asked]:
    """Cases that have all facts; every rule decides about as many, also those that few combinations of facts reach."""
    rng = Random(seed)
    rules = list(_by_rule().values())
    for _ in range(count):
        edition, values = rng.choice(rng.choice(rules))
        yield Asked(edition, dict(zip(naive.FACTS, values, strict=True)))


@cache
def _by_rule() -> Mapping[str, Sequence[tuple[naive.Edition, tuple[naive.Value, ...]]]]:
    """Every combination of facts under each edition, by the letter of the row that decides it."""
    found: dict[str, list[tuple[naive.Edition, tuple[naive.Value, ...]]]] = defaultdict(list)
    for edition in get_args(naive.Edition):
        for values in product(*naive.FACTS.values()):
            _, _, row = naive.decide_complete(edition, dict(zip(naive.FACTS, values, strict=True)))
            found[row].append((edition, values))
    return found


def partial(count: int, seed: int = 402) -> Iterator[Asked]:
    """The same cases without about half of their facts; none lacks what the policy presumes, which only ours can do."""
    rng = Random(seed)
    for edition, facts in complete(count, seed):
        kept = {*rng.sample(list(facts), len(facts) // 2), *naive.PRESUMED}
        yield Asked(edition, {fact: value for fact, value in facts.items() if fact in kept})


def as_input(asked: Asked) -> dict[str, Any]:
    """A case as rules read it: the edition, and the clinical object of a request."""
    made: dict[str, Any] = {"edition": asked.edition, "clinical": {}}
    for path, value in asked.facts.items():
        at = made
        *above, last = path.split(".")
        for name in above:
            at = at.setdefault(name, {})
        at[last] = sorted(value) if isinstance(value, frozenset) else value
    return made


def from_input(made: Mapping[str, Any]) -> Asked:
    """The case that `as_input` made it of."""
    facts: dict[str, naive.Value] = {}
    for path in naive.FACTS:
        value: Any = made
        for name in path.split("."):
            value = value.get(name) if value is not None else None
        if value is not None:
            facts[path] = frozenset(value) if isinstance(value, list) else value
    return Asked(made["edition"], facts)


def expected(document: PolicyDocument, asked: Asked) -> Answer:
    """What the second evaluation says."""
    if len(asked.facts) < len(naive.FACTS):
        return naive.decide_partial(*asked)[0], None, None
    return in_words(document, naive.decide_complete(*asked))


def in_words(document: PolicyDocument, decided: tuple[str, str | None, str]) -> Answer:
    """An answer of the second evaluation, whose rows are lettered in the order of the document's rules."""
    determination, reason, letter = decided
    return determination, reason, document.rules[ascii_lowercase.index(letter)].id
