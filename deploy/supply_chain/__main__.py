"""`python -m deploy.supply_chain`: four checks and one table.

Exit codes: 0 all passed, perhaps with warnings; 1 a check could not be made; 2 wrong usage; 3 a check failed.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from deploy.supply_chain import advisories, bom, code, licences
from deploy.supply_chain.check import REQUIREMENTS, RUNTIME, AuditError, Outcome, Verdict

_DONE, _NOT_MADE, _FAILED = 0, 1, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the checks, say what came of them, and return how the command ends."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.supply_chain", description="Audit what the software is built from."
    )
    parser.add_argument("--osv-url", metavar="URL", help="a service of your own that answers as OSV's `query` does")
    asked = parser.parse_args(arguments)
    # What the image holds first: a package that stands in several files is told for that.
    files = [RUNTIME, *sorted(set(REQUIREMENTS.glob("*.txt")) - {RUNTIME})]
    made = [
        _made(advisories.CHECK, partial(advisories.check, files, service=asked.osv_url)),
        _made(licences.CHECK, licences.check),
        _made(bom.CHECK, bom.check),
        _made(code.CHECK, code.check),
    ]
    _tell(made)
    verdicts = {one.verdict for one in made}
    return _FAILED if Verdict.FAILED in verdicts else _NOT_MADE if Verdict.NOT_MADE in verdicts else _DONE


def _made(name: str, check: Callable[[], Outcome]) -> Outcome:
    try:
        return check()
    except AuditError as error:
        return Outcome(name, Verdict.NOT_MADE, "", (str(error),))


def _tell(made: Sequence[Outcome]) -> None:
    for one in made:
        for sentence in one.said:
            _say(f"{one.check}: {sentence}")
    if any(one.said for one in made):
        _say("")
    wide = max(len(one.check) for one in made)
    for one in made:
        _say(f"{one.check:<{wide}}  {one.verdict:<8}  {one.looked_at}".rstrip())


def _say(text: str) -> None:
    """A line; nothing that a package or a service says does anything to a terminal."""
    sys.stdout.write("".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text) + "\n")


if __name__ == "__main__":
    sys.exit(main())
