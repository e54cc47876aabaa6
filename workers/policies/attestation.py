"""Converts a comparison of two documents into an attestation event."""

from events.attestation import (
    AttestedAnswer,
    AttestedChange,
    AttestedExample,
    AttestedFact,
    AttestedLines,
    AttestedPart,
    AttestedVersion,
    Days,
    PolicyAttestation,
    StatedFact,
)
from policy_core.compare.answers import Change, ComparedAnswer, Comparison, Where
from policy_core.evaluate.determine import Policy


def attestation(found: Comparison, before: str | None = None, after: str | None = None) -> PolicyAttestation:
    """The event of a comparison; `before` and `after` are the publications' digests."""
    return PolicyAttestation(
        policy_number=found.new.number,
        before=_version(found.old, before),
        after=_version(found.new, after),
        equivalent=found.equivalent,
        cases=found.cases,
        cases_that_change=found.cases_that_change,
        changes=tuple(_change(change, found) for change in found.changes),
        parts=tuple(
            AttestedPart(
                category=part.category.value, part=part.part, field=part.field, before=part.before, after=part.after
            )
            for part in found.parts
        ),
    )


def _version(policy: Policy, digest: str | None) -> AttestedVersion:
    return AttestedVersion(revision=policy.document.revisions[-1].date, sha256=policy.sha256, digest=digest)


def _change(change: Change, found: Comparison) -> AttestedChange:
    example = change.example
    return AttestedChange(
        aspect=change.aspect.value,
        before=_answer(change.before),
        after=_answer(change.after),
        where=tuple(map(_lines, change.where)),
        conditions=tuple(
            tuple(
                AttestedFact(
                    fact=found.variables[variable].path,
                    values=tuple(found.variables[variable].domain[value] for value in sorted(cube[variable])),
                )
                for variable in sorted(cube)
            )
            for cube in change.conditions
        ),
        more_conditions=None if change.whole else True,
        further_cases=change.further or None,
        cases=change.cases,
        example=AttestedExample(
            service_date=example.day,
            line_of_business=example.line_of_business,
            system=example.system,
            code=example.code,
            unauthorized=example.unauthorized,
            facts=tuple(StatedFact(fact=path, value=value) for path, value in example.facts.items()),
        ),
    )


def _answer(answer: ComparedAnswer) -> AttestedAnswer:
    return AttestedAnswer(
        determination=answer.determination,
        reasons=answer.reasons,
        program=answer.program,
        by=answer.by,
        months=answer.months,
    )


def _lines(where: Where) -> AttestedLines:
    return AttestedLines(
        days=tuple(Days(since=day.since, until=day.until) for day in where.days),
        lines_of_business=where.lines_of_business,
        codes=where.codes,
        unauthorized=where.unauthorized,
    )
