"""The page of what is read from a PAS bundle and written to one, from the tables: `dli schemas write` writes it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from events.adapters import code_lists
from events.adapters.pas.answering import PARTS
from events.adapters.pas.systems import DIAGNOSIS_SYSTEMS, PROCEDURE_SYSTEMS
from events.adapters.pas.table import FIELDS, LINE_FIELDS, NOT_STATED, OTHER_LOOPS, ROWS
from events.markdown import code, table

PAGE = Path(__file__).parent / "COVERAGE.md"
_TOP = """# FHIR Da Vinci PAS, field by field

Made from `table.py`, `answering.py`, `systems.py` and the code lists by `dli schemas write`; tests hold the page and
what it says to the code. Requests are read in the shapes of 2.2.1 and 2.0.1; answers have that of 2.2.1.

- **mapped**: becomes the canonical field. What cannot be mapped is refused, with all its paths.
- **kept**: goes into the context of the request, and comes back in the answer.
- **ignored**: is let be, and why.
- **refused**: makes a dead letter, and the sender is answered.

An element without a row is let be. Extensions stand by their names. A reference leads to the resource with that
fullUrl, then to the one beside the Claim, then to the one of that type and id; `#id` to a contained one. Equal messages
are the same message: the digest is the SHA-256 of the JSON in the form of RFC 8785.
"""
_ANSWERS = """A Bundle (`collection`) begins with the ClaimResponse; CommunicationRequests and what comes back follow.
A message that is no Bundle with a Claim is answered with an OperationOutcome, an inquiry with Parameters. An answer is
never answered.
"""


def text() -> str:
    """The page."""
    return "\n".join(
        (
            _TOP,
            "## Requests\n",
            *table(("resource", "part", "what happens", "canonical field", "rule"), _requests()),
            "\nCanonical fields that no part becomes:\n",
            *table(("canonical field", "why"), ((f"`{path}`", says) for path, says in NOT_STATED.items())),
            "\n## Codes\n",
            *table(("certificationType (1322)", "certification"), code_lists.CERTIFICATIONS.items()),
            "",
            *table(("levelOfServiceCode (1338)", "urgency"), code_lists.LEVELS_OF_SERVICE.items()),
            "",
            *table(("code system", "here"), (PROCEDURE_SYSTEMS | DIAGNOSIS_SYSTEMS).items()),
            "\n## Answers\n",
            _ANSWERS,
            *table(("ClaimResponse", "decision's field", "rule"), _answers()),
            "",
            *table(("error.code (901)", "where a field is"), ((c, t) for t, c in code_lists.REJECTED_BECAUSE.items())),
            "",
            *table(("errorElement", "canonical field"), _loops()),
            "",
        )
    )


def _requests() -> Iterator[Sequence[str]]:
    for row in ROWS:
        yield row.resource, row.part, row.fate, code(row.path), row.says


def _answers() -> Iterator[Sequence[str]]:
    for part in PARTS:
        yield part.part, code(part.canonical), part.says


def _loops() -> Iterator[Sequence[str]]:
    for field in FIELDS:
        if field.loop:
            yield field.loop, code(field.path)
    for line in LINE_FIELDS:
        yield line.loop, code(f"service_lines.N.{line.path}")
    for path, loop in OTHER_LOOPS.items():
        yield loop, code(path)
