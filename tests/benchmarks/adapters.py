"""Platforms' own formats without a broker: the processor time of reading and answering a message, beside the decision.

python -m tests.benchmarks.adapters [--messages 3000]   # as JSON
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from statistics import median
from time import process_time
from typing import Any, TypeVar

from events.adapters.adapter import Adapter, Decided
from events.adapters.chain import Requested, resolve
from events.adapters.pas.adapter import PAS
from events.adapters.submission import Context
from events.adapters.x12.adapter import X12
from events.decision import Decision
from events.decode import RejectedError, decode
from policy_core.history.library import Library, load_library
from tests.benchmarks.tables import number, table
from tests.support import pas_bundles, x12_messages
from tests.support.x12_messages import PARTNER, RECEIVED
from workers.configuration.settings import Settings
from workers.decide.handler import DecisionHandler
from workers.decide.handler import decide as decide_one
from workers.kafka.records import Record
from workers.process import logs
from workers.traffic.commands import as_record

T = TypeVar("T")
MESSAGES = 3_000
ROUNDS = 3
PARTS = ("bytes", "read", "decide", "answer", "read and answer to decide")
FORMATS: dict[str, tuple[Adapter, Callable[[int], bytes]]] = {
    "pas": (PAS, pas_bundles.message),
    "x12-278": (X12, lambda number: x12_messages.message(1, number)),
}


def measure(messages: int = MESSAGES) -> dict[str, dict[str, float]]:
    """Microseconds of processor time for a message, by format and part; bytes on average; shares of the decision."""
    logs.configure(level="CRITICAL")
    return {name: _measured(adapter, make, messages) for name, (adapter, make) in FORMATS.items()}


def report(found: dict[str, dict[str, float]]) -> str:
    """A row for each format."""
    head = ("format", "bytes", "read, µs", "decide, µs", "answer, µs", "read and answer to decide")
    rows = [(name, *(number(one[part], 2 if " to " in part else 0) for part in PARTS)) for name, one in found.items()]
    return table(head, rows)


def _measured(adapter: Adapter, make: Callable[[int], bytes], count: int) -> dict[str, float]:
    texts = [make(number) for number in range(count)]
    requests, contexts = _requests(adapter, texts)
    answered = [(context, decided) for context, data in zip(contexts, requests, strict=True) if (decided := _of(data))]
    read = _cpu(lambda text: adapter.read(text, PARTNER, RECEIVED), texts)
    answer = _cpu(lambda pair: adapter.answer(*pair), answered)
    decision = _decided(requests)
    return {
        "bytes": sum(map(len, texts)) / len(texts),
        "read": read,
        "decide": decision,
        "answer": answer,
        "read and answer to decide": (read + answer) / decision,
    }


def _requests(adapter: Adapter, texts: Sequence[bytes]) -> tuple[list[bytes], list[Context]]:
    """The canonical requests of those messages that become one, with their contexts."""
    requests, contexts = [], []
    for text in texts:
        for submission in adapter.read(text, PARTNER, RECEIVED):
            found = resolve(submission, None)
            if isinstance(found, Requested):
                requests.append(found.request.model_dump_json(exclude_none=True).encode())
                contexts.append(found.context)
    return requests, contexts


@cache
def _library() -> Library:
    settings = Settings()
    return load_library(settings.policies, settings.default_policy)


def _of(data: bytes) -> Decided | None:
    try:
        decision: Decision = decide_one(decode(data, bare_allowed=True), _library())
    except RejectedError:
        return None
    return Decided(decision, RECEIVED)


def _decided(requests: Sequence[bytes]) -> float:
    """The decision agent's handler on the same requests: bytes to bytes, as it is measured elsewhere."""
    handler = DecisionHandler(_library(), Settings())
    records = []
    for offset, line in enumerate(requests):
        sent = as_record(line, "authorization.requests")
        records.append(Record(sent.topic, 0, offset, RECEIVED, sent.key, sent.value, sent.headers))
    return _cpu(handler, [records]) / len(records)


def _cpu(call: Callable[[T], Any], arguments: Sequence[T]) -> float:
    """The median over some rounds, after one that is not counted, of a call's mean time."""
    rounds = []
    for _ in range(ROUNDS + 1):
        begun = process_time()
        for argument in arguments:
            call(argument)
        rounds.append((process_time() - begun) / len(arguments) * 1e6)
    return median(rounds[1:])


def main() -> None:
    """Print what was measured, as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.adapters", description=__doc__)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    sys.stdout.write(json.dumps(measure(parser.parse_args().messages), indent=2) + "\n")


if __name__ == "__main__":
    main()
