"""Every case there can be, decided twice: by the decision diagrams, and by the second evaluation of `naive`."""

import random
from collections.abc import Iterable, Iterator
from datetime import date
from functools import cache
from itertools import product
from math import prod
from typing import get_args

import pytest

from policy_core.diagrams.diagram import UNKNOWN
from policy_core.diagrams.variables import Value
from policy_core.evaluate.determine import Policy
from tests.support import naive
from tests.support.packaged import packaged_document

EDITIONS = get_args(naive.Edition)
SAMPLE = 20_000


@cache
def policy() -> Policy:
    return Policy(packaged_document())


@cache
def sizes() -> tuple[int, ...]:
    return tuple(len(domain) for domain in naive.FACTS.values())


def ours(index: int, value: int) -> int:
    """The engine's index of the value that the second evaluation has at `value`."""
    if value == sizes()[index]:
        return UNKNOWN
    variable = policy().variables[index]
    theirs = list(naive.FACTS.values())[index][value]
    stated: Value = tuple(sorted(theirs)) if isinstance(theirs, frozenset) else theirs
    return variable.index(stated)


@cache
def translation() -> list[list[int]]:
    return [[ours(index, value) for value in range(size + 1)] for index, size in enumerate(sizes())]


def disagreements(edition: naive.Edition, cases: Iterable[tuple[int, ...]]) -> Iterator[str]:
    table = naive.all_partial(edition)
    find = policy().editions[date.fromisoformat(edition)]._find  # noqa: SLF001 (without the memory, which 1.7 million cases would only churn)
    tables = translation()
    paths = list(naive.FACTS)
    for case in cases:
        found = find(tuple([table_of[value] for table_of, value in zip(tables, case, strict=True)]))
        reasons = sum(1 << naive.REASONS.index(reason) for reason in found.reasons)
        missing = sum(1 << variable for variable in found.missing)
        expected = (
            naive.DETERMINATIONS[table.determination[case]],
            int(table.reasons[case]),
            int(table.missing[case]),
        )
        if (found.determination.value, reasons, missing) != expected:
            known = {paths[index]: value for index, value in enumerate(case)}
            yield f"{known}: {found.determination}, {found.reasons}, {found.missing}; expected {expected}"


def test_the_deciding_facts_are_those_of_the_second_evaluation() -> None:
    assert [variable.path for variable in policy().variables] == list(naive.FACTS)
    assert [len(variable.domain) for variable in policy().variables] == list(sizes())


def test_the_editions_are_those_of_the_second_evaluation() -> None:
    assert [since.isoformat() for since in policy().editions] == list(EDITIONS)


@pytest.mark.parametrize("edition", EDITIONS)
def test_every_complete_case_is_decided_alike(edition: naive.Edition) -> None:
    cases = list(product(*(range(size) for size in sizes())))

    assert len(cases) == 46_656
    assert list(disagreements(edition, cases)) == []


@pytest.mark.parametrize("edition", EDITIONS)
def test_a_sample_of_the_partial_cases_is_decided_alike(edition: naive.Edition) -> None:
    seeded = random.Random(f"partial {edition}")
    cases = [tuple(seeded.randint(0, size) for size in sizes()) for _ in range(SAMPLE)]

    assert list(disagreements(edition, cases)) == []


@pytest.mark.slow
@pytest.mark.parametrize("edition", EDITIONS)
def test_every_partial_case_is_decided_alike(edition: naive.Edition) -> None:
    assert prod(size + 1 for size in sizes()) == 1_658_880
    assert list(disagreements(edition, product(*(range(size + 1) for size in sizes())))) == []
