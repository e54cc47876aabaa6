"""A program of the next version: its decisions have one more field, and it keeps the writer of those before.

python -m tests.support.second_writer        runs its worker, configured by the environment
"""

import orjson

from events.decision import content_id
from events.request_parts import RequestParts
from policy_core.evaluate.plan import PlannedResult
from policy_core.history.library import load_library
from workers.configuration.settings import read
from workers.decide.encode_decision import DecisionEncoder, Encoded
from workers.decide.writers import WRITERS, Writer, Writers


class SecondEncoder(DecisionEncoder):
    """Adds the number of lines to a decision."""

    def encode(self, request: RequestParts, result: PlannedResult) -> Encoded:
        """The decision's id and event data."""
        fields = orjson.loads(super().encode(request, result).data)
        del fields["decision_id"]
        content = orjson.dumps(fields | {"line_count": len(fields["lines"])})
        decision_id = content_id(content)
        return Encoded(decision_id, b'{"decision_id":"%b",%b' % (decision_id.encode(), content[1:]))


SECOND = Writer(2, SecondEncoder)
BOTH = Writers((*WRITERS.versions, SECOND))


if __name__ == "__main__":
    from workers.main.run import run_worker

    found = read()
    run_worker(found, load_library(found.policies, found.default_policy), BOTH)
