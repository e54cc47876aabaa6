"""A batch's counters are what its decisions say, whichever outcomes count alike."""

import json
from collections import Counter
from typing import Any

from events.decode import decode
from events.request_parts import RequestParts, parts_of
from events.topics import DECISIONS
from tests.support import generator
from tests.support.packaged import packaged_library
from workers.accounts.batch_counters import NONE, counted
from workers.configuration.settings import read
from workers.decide.handler import Decider, DecisionHandler
from workers.kafka.records import Record
from workers.traffic.commands import as_record

REQUESTS = [generator.encode(one) for one in generator.requests(12, 600)]


def records() -> list[Record]:
    sent = [as_record(line, "r") for line in REQUESTS]
    return [Record("r", 0, offset, 0, one.key, one.value, one.headers) for offset, one in enumerate(sent)]


def requests() -> list[RequestParts]:
    return [parts_of(decode(value, bare_allowed=True).request) for value in REQUESTS]


def revisions(decision: Any) -> list[str | None]:
    return [line["policy"].get("revision") for line in decision["lines"]]


def test_each_counter_is_what_the_decisions_say() -> None:
    answers = DecisionHandler(packaged_library(), read(topic_prefix="t."))(records())
    decisions = [json.loads(one.value)["data"] for one in answers if one.topic == "t." + DECISIONS]
    number = packaged_library().numbers[0]
    found = answers.counters

    assert len(decisions) == len(REQUESTS)
    assert found.actions == Counter(one["action"] for one in decisions)
    assert Counter({(*key[:3], str(key[3] or NONE)): count for key, count in found.lines.items()}) == Counter(
        (line["determination"], line["action"], number, revision or NONE)
        for one in decisions
        for line, revision in zip(one["lines"], revisions(one), strict=True)
    )
    assert found.under == Counter((number, one or NONE) for each in decisions for one in set(revisions(each)))
    assert found.asked == Counter(
        fact for one in decisions for fact in {asked["fact"] for line in one["lines"] for asked in line["missing"]}
    )


def test_outcomes_that_count_alike_are_one_kind() -> None:
    """Those that differ in what is not counted, such as their rules, are summed up together."""
    decider = Decider(packaged_library())
    outcomes = {decided.result.outcome for decided in map(decider.decide, requests())}
    kinds = {counted(outcome) for outcome in outcomes}

    assert len(kinds) < len(outcomes)
    assert len({(one.action, one.lines, one.asked) for one in kinds}) == len(kinds)
