"""Parts of the generated pages, in Markdown."""

from collections.abc import Iterable, Iterator, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield _row(heads)
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield _row(row)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def code(names: str) -> str:
    """Names with commas between them, each as code."""
    return ", ".join(f"`{name}`" for name in names.split(", ") if name)
