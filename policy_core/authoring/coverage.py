"""What the examples of a document reach: rules in each edition, and indications."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from policy_core.authoring.examples import Tried
from policy_core.determinations import Determination
from policy_core.diagrams.editions import Status
from policy_core.evaluate.determine import Policy


@dataclass(frozen=True)
class Coverage:
    """What no example reaches; information for authors, and never a mistake."""

    rules: Mapping[date, tuple[str, ...]]
    """For each edition on record, by its first day: the rules in force that decide no example."""
    indications: tuple[str, ...]
    """The indications that hold of no example."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left out."""
        return not self.indications and not any(self.rules.values())


def coverage(policy: Policy, tried: Collection[Tried]) -> Coverage:
    """What examples that were run do not reach.

    A rule is reached by a case that it alone decides: where information is needed, none has decided yet.
    """
    decided = {
        (one.answer.edition, one.answer.rules[0])
        for one in tried
        if len(one.answer.rules) == 1 and one.answer.determination is not Determination.INFORMATION_NEEDED
    }
    met = {
        name
        for one in tried
        for finding in one.result.findings
        for name, status in finding.statuses.items()
        if status is Status.APPLIES
    }
    return Coverage(
        {
            since: tuple(
                row.rule.id for row in drawn.rows[: len(drawn.conditions)] if (since, row.rule.id) not in decided
            )
            for since, drawn in policy.editions.items()
        },
        tuple(indication.id for indication in policy.document.indications if indication.id not in met),
    )
