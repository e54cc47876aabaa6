"""The processor time of the policy alone: one case again and again, patterns of facts seen and new.

python -m tests.benchmarks.policy   # as JSON
"""

import json
import sys
from random import Random

from policy_core.diagrams.diagram import UNKNOWN
from policy_core.evaluate.determine import Policy
from policy_core.history.library import PACKAGED
from policy_core.loading.load import load
from tests.benchmarks.peers.cases import partial
from tests.benchmarks.tables import microseconds
from tests.support import naive
from tests.support.cases import case

NEW_PATTERNS = 5_000
COMPLETE = 2_000
HALVES = 500
CALLS = 5_000


def measure() -> dict[str, float]:
    """Microseconds by what was called."""
    policy = Policy(load(PACKAGED / "L.2.03.402.yaml"))
    edition = list(policy.editions.values())[-1]
    rng = Random(402)
    sizes = [len(variable.domain) for variable in policy.variables]
    new = list({tuple(rng.choice((UNKNOWN, *range(size))) for size in sizes): None for _ in range(NEW_PATTERNS)})
    complete = [tuple(rng.randrange(size) for size in sizes) for _ in range(COMPLETE)]
    # Each new pattern once and first of all: the diagrams remember nothing of them yet.
    found = {"new pattern, facts missing": microseconds(edition._find, new, repeats=1)}  # noqa: SLF001 (without the memory)
    found["new pattern, complete"] = microseconds(edition._find, complete, repeats=1)  # noqa: SLF001 (as above)
    edition.find(new[0])
    found["seen pattern"] = microseconds(edition.find, [new[0]] * CALLS)
    for pattern in new:
        edition.find(pattern)
    found["seen pattern, thousands in turn"] = microseconds(edition.find, new)
    asked = case()
    policy.determine(asked)
    found["determine, a case again"] = microseconds(policy.determine, [asked] * CALLS)
    # The table of all cases is made before.
    for known in (halves := list(partial(HALVES))):
        naive.all_complete(known.edition)
    found["plain Python rules, every completion of half the facts"] = microseconds(
        lambda known: naive.decide_partial(*known), halves, repeats=1
    )
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()))
