"""The log of generated requests with their lives, in order of time, for the naive reckoning of cases."""

import heapq
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from events.decision import Decision
from events.decode import decode
from tests.support.packaged import packaged_library
from workers.decide.handler import decide
from workers.traffic.generate import Generator
from workers.traffic.lives import later_events

Json = dict[str, Any]


def generated_log(seed: int, requests: int) -> Iterator[Json]:
    """Yield what reaches the cases: decisions, supersessions, verdicts and extensions."""
    order = count()
    waiting: list[tuple[datetime, int, str, Json]] = []
    for line in Generator(seed).lines(requests):
        data = json.loads(line)
        data.pop("supersedes", None)  # generated at random: to requests of other providers and of later times
        heapq.heappush(waiting, (datetime.fromisoformat(data["submitted_at"]), next(order), "requested", data))
    given: dict[str, str] = {}
    while waiting:
        at, _, kind, data = heapq.heappop(waiting)
        written = (at + timedelta(seconds=1)).isoformat()
        if kind == "requested":
            decision = _decided(data)
            yield {"kind": "decided", "at": written, "request": data, "decision": decision}
            if "supersedes" in data:
                yield {"kind": "superseding", "at": written, "request_id": data["supersedes"], "by": data}
            for later in later_events(seed, data, decision):
                heapq.heappush(waiting, (later.at, next(order), later.kind, later.data))
            continue
        gives = f"after {data.get('verdict_id') or data['extension_id']}"
        if kind == "extended":
            yield {"kind": "extended", "at": written, "extension": data, "gives": gives}
            continue
        if "amends" in data:
            data["decision_id"] = given.get(data["amends"], "none")
        given[data["verdict_id"]] = gives
        yield {"kind": "reviewed", "at": written, "verdict": data, "gives": gives}


def _decided(request: Json) -> Json:
    decision = decide(decode(json.dumps(request).encode(), bare_allowed=True), packaged_library())
    if not isinstance(decision, Decision):
        raise TypeError("a generated request is no dead letter")
    found: Json = json.loads(decision.to_json())
    return found
