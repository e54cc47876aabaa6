"""A document as it read at one of its revisions.

All parts have dates, so a document contains its own history: parts that begin after the revision did not exist, and
ends after it were not known. A date is known from the revision in force on that day. Parts without dates (facts,
guidance, definitions, clocks) read as they do now.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from datetime import date
from typing import TypeVar

from policy_core.determinations import CODE_NOT_LISTED
from policy_core.document.conditions import AllOf, AnyOf, Condition, IndicationsOf, Not, Otherwise
from policy_core.document.models import Dated, Guidance, ListedCode, PolicyDocument, PolicyException, Rule
from policy_core.loading.check import cited_parts

SomeDated = TypeVar("SomeDated", bound=Dated)

_NEVER = Not.model_validate({"not": Otherwise(otherwise=True)})


def as_of(document: PolicyDocument, revision: date) -> PolicyDocument:
    """The document as it read when the revision of that date was its newest; for the last one, the document itself.

    Raises:
        ValueError: The document has no revision of that date.
    """
    if all(entry.date != revision for entry in document.revisions):
        raise ValueError(f"no revision of {revision}")
    if revision == document.revisions[-1].date:
        return document
    return _without_dangling(_Past(document, revision).document())


class _Past:
    """What a document knew at one of its revisions."""

    def __init__(self, document: PolicyDocument, revision: date) -> None:
        self._document = document
        self._revision = revision
        self._days = [entry.date for entry in document.revisions]

    def document(self) -> PolicyDocument:
        now = self._document
        return now.model_copy(
            update={
                "editions": tuple(edition for edition in now.editions if self._known(edition.since)),
                "statements": tuple(self._dated(now.statements)),
                "indications": tuple(self._dated(now.indications)),
                "rules": tuple(self._rules()),
                "codes": now.codes.model_copy(update={"listed": tuple(self._listed())}),
                "exceptions": tuple(self._exceptions()),
                "revisions": tuple(entry for entry in now.revisions if self._known(entry.date)),
                "examples": (),  # of the document as it reads now
            }
        )

    def _known(self, day: date) -> bool:
        index = bisect_right(self._days, day)
        return index == 0 or self._days[index - 1] <= self._revision

    def _end(self, day: date | None) -> date | None:
        return day if day is not None and self._known(day) else None

    def _dated(self, parts: Sequence[SomeDated]) -> Iterator[SomeDated]:
        for part in parts:
            if self._known(part.since):
                yield part.model_copy(update={"until": self._end(part.until)})

    def _rules(self) -> Iterator[Rule]:
        for rule in self._document.rules:
            if outcomes := tuple(self._dated(rule.outcomes)):
                yield rule.model_copy(update={"outcomes": outcomes})

    def _exceptions(self) -> Iterator[PolicyException]:
        for exception in self._document.exceptions:
            if outcomes := tuple(self._dated(exception.outcomes)):
                yield exception.model_copy(update={"outcomes": outcomes})

    def _listed(self) -> Iterator[ListedCode]:
        for code in self._document.codes.listed:
            since = code.listed.since
            if since is None or self._known(since):
                listed = code.listed.model_copy(update={"until": self._end(code.listed.until)})
                # The code set defines when a code becomes valid; its deletion is recorded by a revision.
                valid = code.valid.model_copy(update={"until": self._end(code.valid.until)})
                yield code.model_copy(update={"listed": listed, "valid": valid})


# --- references to parts that did not exist yet --------------------------------------------------------------------


def _without_dangling(document: PolicyDocument) -> PolicyDocument:
    """The document without references to missing parts."""
    codes = {f"{code.system} {code.code}" for code in document.codes.listed}
    reasons = {outcome.reason for rule in document.rules for outcome in rule.outcomes if outcome.reason is not None}
    kept = document.model_copy(
        update={
            name: tuple(_guidance(getattr(document, name), codes, reasons | {CODE_NOT_LISTED}))
            for name in ("guidance", "definitions")
        }
    )
    parts = {part.id for _, part in cited_parts(kept)}
    statements = {statement.id for statement in kept.statements}
    return kept.model_copy(
        update={
            "conditions": tuple(
                condition.model_copy(update={"when": _asking(condition.when, statements)})
                for condition in kept.conditions
            ),
            "statements": tuple(
                statement.model_copy(update={"applies_when": _asking(statement.applies_when, statements)})
                for statement in kept.statements
            ),
            "indications": tuple(indication for indication in kept.indications if indication.statement in statements),
            "rules": tuple(_resting(rule, parts, statements) for rule in kept.rules),
        }
    )


def _guidance(guidance: Sequence[Guidance], codes: Collection[str], reasons: Collection[str]) -> Iterator[Guidance]:
    for piece in guidance:
        applies = piece.applies_to
        named = tuple(code for code in applies.codes if code in codes)
        given = tuple(reason for reason in applies.reasons if reason in reasons)
        # If nothing it applied to is left, omit it: an empty list would apply to everything.
        if bool(named) == bool(applies.codes) and bool(given) == bool(applies.reasons):
            yield piece.model_copy(update={"applies_to": applies.model_copy(update={"codes": named, "reasons": given})})


def _resting(rule: Rule, parts: Collection[str], statements: Collection[str]) -> Rule:
    outcomes = tuple(
        outcome.model_copy(update={"rests_on": tuple(name for name in outcome.rests_on if name in parts)})
        for outcome in rule.outcomes
    )
    return rule.model_copy(update={"when": _asking(rule.when, statements), "outcomes": outcomes})


def _asking(condition: Condition, statements: Collection[str]) -> Condition:
    """The condition, with indications of missing statements replaced by false."""
    match condition:
        case AllOf(all=parts):
            return AllOf(all=tuple(_asking(part, statements) for part in parts))
        case AnyOf(any=parts):
            return AnyOf(any=tuple(_asking(part, statements) for part in parts))
        case Not(not_=part):
            return Not.model_validate({"not": _asking(part, statements)})
        case IndicationsOf(indications_of=statement) if statement not in statements:
            return _NEVER
    return condition
