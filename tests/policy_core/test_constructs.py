"""The page of constructs: it has a row for everything that a document can say."""

import re
from collections.abc import Iterable

from policy_core.document.conditions import SHAPES
from policy_core.document.models import FactKind, PolicyDocument
from policy_core.history.library import PACKAGED

PAGE = (PACKAGED.parent / "constructs.md").read_text("utf-8")
CELL = re.compile(r"^\| (`.*?) \|", re.MULTILINE)
HEAD = {"format", "number", "title", "source", "facts", "conditions", "description", "page", "time_zone"}
"""Parts of a document that are no constructs of its language."""


def named(page: str) -> set[str]:
    """The words that the first cells of the page's tables show as code."""
    code = [text for cell in CELL.findall(page) for text in re.findall(r"`([^`]+)`", cell)]
    return {word for text in code for word in re.findall(r"[a-z_]+", text)}


def lacking(page: str, words: Iterable[str]) -> set[str]:
    return set(words) - named(page)


def test_every_shape_of_a_condition_has_a_row() -> None:
    assert lacking(PAGE, SHAPES) == set()


def test_every_kind_of_fact_has_a_row() -> None:
    assert [kind for kind in FactKind if f"| `kind: {kind}` |" not in PAGE] == []


def test_every_part_of_a_document_that_says_something_has_a_row() -> None:
    assert lacking(PAGE, set(PolicyDocument.model_fields) - HEAD) == set()


def test_a_row_that_is_not_there_is_noticed() -> None:
    without = "".join(line for line in PAGE.splitlines(keepends=True) if not line.startswith("| `{indications_of"))

    assert lacking(without, SHAPES) == {"indications_of"}


def test_every_row_has_four_cells() -> None:
    """But for the last table, which has three."""
    rows = [line for line in PAGE.partition("## What there is not")[0].splitlines() if line.startswith("| ")]

    assert len(rows) > 40
    assert [row for row in rows if row.count(" | ") != 3] == []
