"""The page of what is read from a 278 and written to one, from the tables: `dli schemas write` writes it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from events.adapters import code_lists
from events.adapters.x12.answering import PARTS
from events.adapters.x12.loops import LOOPS
from events.adapters.x12.table import NOT_STATED, ROWS
from events.markdown import code, table

PAGE = Path(__file__).parent / "COVERAGE.md"
_TOP = """# X12 278, field by field

Made from `table.py`, `answering.py` and the code lists by `dli schemas write`; tests hold the page and what it says to
the code. The guide is 005010X217, Health Care Services Review: requests (BHT02 13) and their responses (BHT02 11).

- **mapped**: becomes the canonical field. What cannot be mapped is refused, with all its paths.
- **kept**: goes into the context of the request, and comes back in the answer where the second table says so.
- **ignored**: is let be, and why.
- **refused**: makes a dead letter, and the sender is answered.

A segment without a row is let be and noted. Loops are told by HL03; `2010E` and `2010F` are the loops of all other
providers of an event and of a service. A message without an event level (EV) has what the patient's levels say of it.
"""
_ANSWERS = """Each level of the request comes back, numbered anew, with these segments in this order. BHT06 is 19 where
anything is pended, else 18.
"""


def text() -> str:
    """The page."""
    return "\n".join(
        (
            _TOP,
            "## Requests\n",
            *table(("loop", "part", "what happens", "canonical field", "rule"), _requests()),
            "\nCanonical fields that no part becomes:\n",
            *table(("canonical field", "why"), ((f"`{path}`", says) for path, says in NOT_STATED.items())),
            "\n## Code lists\n",
            *table(("UM02 (1322)", "certification"), code_lists.CERTIFICATIONS.items()),
            "",
            *table(("UM06 (1338)", "urgency"), code_lists.LEVELS_OF_SERVICE.items()),
            "\n## Answers\n",
            _ANSWERS,
            *table(("loops", "segment", "decision's field", "rule"), _answers()),
            "",
            *table(("AAA03 (901)", "where a field is"), ((c, t) for t, c in code_lists.REJECTED_BECAUSE.items())),
            "",
        )
    )


def _requests() -> Iterator[Sequence[str]]:
    for row in ROWS:
        yield row.loop or "envelope", row.part, row.fate, code(row.path), row.says


def _answers() -> Iterator[Sequence[str]]:
    for part in PARTS:
        loops = ", ".join(f"2000{LOOPS[code]}" for code in part.levels)
        yield loops, part.segment, code(part.canonical), part.says
