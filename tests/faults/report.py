"""The table at the end of a run: one row for each fault."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.faults.counting import Counted

HEAD = ("fault", "requests", "faults", "lost", "duplicated", "different", "back after s, p50", "max", "notes")


@dataclass
class Report:
    """What the tests of this run counted, in the order in which they ended."""

    rows: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, fault: str, faults: int, counted: Counted, seconds: Sequence[float] = (), notes: str = "") -> None:
        """Add a row. Call it before asserting, so that the table also shows what went wrong."""
        middle, longest = (f"{median(seconds):.1f}", f"{max(seconds):.1f}") if seconds else ("", "")
        numbers = (counted.requests, faults, counted.lost, counted.duplicated, counted.different)
        self.rows.append((fault, *(f"{one:,}" for one in numbers), middle, longest, notes))

    def note(self, sentence: str) -> None:
        """Add a sentence below the table."""
        self.notes.append(sentence)

    def table(self) -> str:
        """All rows as a Markdown table, then the sentences."""
        widths = [max(map(len, column)) for column in zip(HEAD, *self.rows, strict=True)]
        rows = [HEAD, tuple("-" * width for width in widths), *self.rows]
        lines = (" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
        return "".join(f"| {line} |\n" for line in lines) + "".join(f"\n{note}\n" for note in self.notes)

    def write(self, file: Path, command: str) -> None:
        """Leave the table in a file."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"`{command}`\n\n{self.table()}", encoding="utf-8")
