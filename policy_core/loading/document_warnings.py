"""Parts that readers need, and parts without effect: reported as warnings, never as problems.

A document without the first loads and decides, but its decisions have no due date, or cite nothing that a reader could
look up in the published text. The second decide nothing, which is rarely what their author meant.
"""

from collections.abc import Iterator

from policy_core.determinations import Determination
from policy_core.diagrams.diagram import support
from policy_core.diagrams.editions import EditionCompiler
from policy_core.diagrams.variables import conditions, leaves, tested_elements, tested_values
from policy_core.document.code_forms import covers, matches_some
from policy_core.document.code_listings import CodeIndex
from policy_core.document.conditions import Named
from policy_core.document.models import FactDeclaration, FactKind, PolicyDocument
from policy_core.document.problems import Problem, listed
from policy_core.loading.check import cited_parts

_UNCITED = "cites no sentence of the published text; write `cites: [{section: …, ordinal: …, sha256: …}]`"
_RESTS_ON = frozenset(set(Determination) - {Determination.POLICY_NOT_ON_RECORD})


def lacks(document: PolicyDocument) -> list[Problem]:
    """The warnings for a valid document, in its order."""
    return [
        *_clocks(document),
        *_uncited(document),
        *_outcomes(document),
        *_codes(document),
        *_shared_rules(document),
        *_derivations(document),
        *_facts(document),
        *_named(document),
    ]


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


def _shared_rules(document: PolicyDocument) -> Iterator[Problem]:
    """Codes that no condition keeps apart: what one of them is certified for, all are."""
    index = CodeIndex(document.codes)
    named = {index.normal_named(value) for value in tested_values(document, "line.code")}
    apart = [code for code in document.codes.listed if index.normal_named(f"{code.system} {code.code}") not in named]
    silent = [f"{code.system} {code.code}" for code in apart if not code.shares_rules]
    if silent and len(apart) > 1:
        message = f"the same rules decide {listed(silent)} and nothing says that they are meant to"
        yield Problem(
            ("codes", "listed"), f"{message}; write `shares_rules: true` beside each, or test `{{line: code, is: …}}`"
        )


# --- parts without effect ------------------------------------------------------------------------------------------


def _derivations(document: PolicyDocument) -> Iterator[Problem]:
    for at, fact in enumerate(document.facts):
        for number, derivation in enumerate(fact.derived):
            path = ("facts", at, "derived", number)
            earlier = [other for other in fact.derived[:number] if other.value == derivation.value]
            if any(covers(other, derivation) for other in earlier):
                yield Problem(
                    path, "every code of it derives the same value before it; remove it, or correct its codes"
                )
            elif not matches_some(derivation):
                message = f"no code of {derivation.system} can match it, so it never derives anything"
                yield Problem(path, f"{message}; correct `codes`, `length` or `ends_with`")


def _facts(document: PolicyDocument) -> Iterator[Problem]:
    tested = set(tested_elements(document))
    idle = _idle(document)
    for at, fact in enumerate(document.facts):
        if fact.path not in tested:
            if fact.kind is not FactKind.DATE:
                message = f"no condition tests `{fact.path}`: it is recorded, and never decides or is asked for"
                yield Problem(("facts", at), f"{message}; remove it, or add a rule that does")
        elif fact in idle:
            message = f"`{fact.path}` changes no determination in any edition, so it is never asked for"
            yield Problem(("facts", at), f"{message}; see the rules that test it")


def _idle(document: PolicyDocument) -> list[FactDeclaration]:
    """The facts that conditions test, and on which no determination depends."""
    drawing = EditionCompiler(document)
    editions = drawing.editions()
    if not editions:
        return []  # its text is not known, so that nothing can depend on anything
    deciding = {variable for drawn in editions for variable in support(drawn.by_determination)}
    asked = {path for at in deciding for path in drawing.variables[at].asks}
    return [fact for fact in document.facts if fact.path in tested_elements(document) and fact.path not in asked]


def _named(document: PolicyDocument) -> Iterator[Problem]:
    used = {
        leaf.condition for condition in conditions(document) for leaf in leaves(condition) if isinstance(leaf, Named)
    }
    for at, named in enumerate(document.conditions):
        if named.id not in used:
            yield Problem(("conditions", at), f"nothing uses the condition `{named.id}`; remove it, or refer to it")
