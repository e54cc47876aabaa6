"""Optional parts that readers need: reported as warnings, never as problems.

A document without them loads and decides, but its decisions have no due date, or cite nothing that a reader could look
up in the published text.
"""

from collections.abc import Iterator

from policy_core.determinations import Determination
from policy_core.document.models import PolicyDocument
from policy_core.document.problems import Problem
from policy_core.loading.check import cited_parts

_UNCITED = "cites no sentence of the published text; write `cites: [{section: …, ordinal: …, sha256: …}]`"
_RESTS_ON = frozenset(set(Determination) - {Determination.POLICY_NOT_ON_RECORD})


def lacks(document: PolicyDocument) -> list[Problem]:
    """The warnings for a valid document, in its order."""
    return [*_clocks(document), *_uncited(document), *_outcomes(document), *_codes(document)]


def _clocks(document: PolicyDocument) -> Iterator[Problem]:
    if not document.clock_for:
        yield Problem((), "no line of business has a clock, so no decision is ever due; write `clocks` and `clock_for`")


def _uncited(document: PolicyDocument) -> Iterator[Problem]:
    for path, part in cited_parts(document):
        if not part.cites:
            yield Problem(path, f"`{part.id}` {_UNCITED}")
    for at, code in enumerate(document.codes.listed):
        if not code.cites:
            yield Problem(("codes", "listed", at), f"{code.system} {code.code} {_UNCITED}")
    for at, revision in enumerate(document.revisions):
        if not revision.cites:
            yield Problem(("revisions", at), f"the revision of {revision.date} {_UNCITED}")


def _outcomes(document: PolicyDocument) -> Iterator[Problem]:
    for at, rule in enumerate(document.rules):
        for number, outcome in enumerate(rule.outcomes):
            if outcome.determination in _RESTS_ON and not outcome.rests_on:
                path = ("rules", at, "outcomes", number)
                yield Problem(path, f"`{rule.id}` rests on no part of the document; write `rests_on: [statement]`")
    if document.rules and all(
        outcome.determination is not Determination.MEDICALLY_NECESSARY
        for rule in document.rules
        for outcome in rule.outcomes
    ):
        yield Problem(("rules",), "no rule finds anything medically necessary: nothing is ever certified")


def _codes(document: PolicyDocument) -> Iterator[Problem]:
    if not document.codes.listed:
        yield Problem(("codes", "listed"), "no code is listed: every line is asked for another code")
