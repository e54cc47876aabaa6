"""The report of `dli replay verify`: what the partitions found, summed."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from workers.replay.runs import Done
from workers.replay.verify import IDENTICAL, KINDS


@dataclass(frozen=True)
class Report:
    """The result of a verification."""

    complete: bool
    """Whether the whole log was replayed."""
    requests: int
    identical: Counter[str]
    found: Counter[str]
    why: Counter[str]
    """The reasons for requests that cannot be replayed."""

    @property
    def differs(self) -> bool:
        """Whether anything is not identical."""
        return any(self.found.values())

    def as_json(self) -> dict[str, Any]:
        """The report; deterministic for a log."""
        return {
            "complete": self.complete,
            "requests": self.requests,
            "identical": {"all": self.identical.total()} | {name: self.identical[name] for name in IDENTICAL},
            **{name: self.found[name] for name in KINDS},
            "why_not_replayable": dict(sorted(self.why.items())),
        }


def report_of(done: Done) -> Report:
    """The sum over all partitions."""
    judged = [state["judge"] for state in done.states.values()]

    def total(name: str) -> Counter[str]:
        return sum((Counter(verdict[name]) for verdict in judged), Counter())

    return Report(done.finished, done.requests, total("identical"), total("found"), total("why"))
