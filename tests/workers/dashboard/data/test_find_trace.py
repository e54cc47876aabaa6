"""A request's answers are found on Kafka by its id, dead letters too."""

import json
from pathlib import Path

import pytest

from events.topics import DEAD_LETTERS, DECISIONS
from tests.support.requests import request
from tests.support.reviews import adverse, pended_request, send_review
from tests.support.running import eventually, everything_on, publish, settings_for, worker
from workers.configuration.settings import Settings
from workers.dashboard.data import find_trace
from workers.dashboard.data.counters import DecisionPosition
from workers.ledger.trace import Trace
from workers.state.request_digests import digest
from workers.topics import apply_topics


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    return made


def kinds(trace: Trace | None) -> list[str]:
    return [answer.kind for answer in trace.asked.answers] if trace is not None else []


@pytest.mark.kafka
def test_a_request_is_found_whether_it_was_decided_or_not(found: Settings, tmp_path: Path) -> None:
    """A request is found by its id, decided or not, by a worker, at its position, and by reading everything."""
    wrong = request(request_id="R-2", policy_number="X.1")
    with worker(found, tmp_path):
        publish(found, [request(request_id="R-1"), wrong])
        assert eventually(lambda: len(everything_on(found, DECISIONS) + everything_on(found, DEAD_LETTERS)) == 2)
        url = f"http://{found.web_host}:{found.web_port}"
        assert eventually(lambda: find_trace.by_workers(found, [url], "R-2") is not None)
        by_workers = [find_trace.by_workers(found, ["http://127.0.0.1:1", url], one) for one in ("R-1", "R-2", "R-3")]
    anywhere = [find_trace.anywhere(found, one, lambda _: None, lambda: False) for one in ("R-1", "R-2", "R-3")]
    [letter] = everything_on(found, DEAD_LETTERS)
    place = DecisionPosition(letter.topic, letter.partition, letter.offset)
    at_place = [find_trace.at_place(found, place, digest(one).hex()) for one in (b"R-2", b"R-1")]

    expected = [["decision"], ["dead_letter"], []]
    assert [kinds(one) for one in by_workers] == expected
    assert [kinds(one) for one in anywhere] == expected
    assert [kinds(one) for one in at_place] == [["dead_letter"], []]
    assert find_trace.by_workers(found, [], "R-1") is None
    for one in (*by_workers[:2], *anywhere[:2]):
        assert one is not None
        [answer] = one.asked.answers
        assert answer.request is not None
        assert answer.request.data is not None
        assert answer.request.data["request_id"] == one.request_id


@pytest.mark.kafka
def test_what_a_verdict_made_is_found_with_the_verdict(found: Settings, tmp_path: Path) -> None:
    """However an answer is found, the request and the verdict that it was made from are kept apart."""
    with worker(found, tmp_path):
        publish(found, [json.dumps(pended_request("R-1")).encode()])
        assert eventually(lambda: len(everything_on(found, DECISIONS)) == 1)
        [recommended] = [json.loads(one.value)["data"] for one in everything_on(found, DECISIONS)]
        send_review(found, adverse(recommended, "V-1"))
        url = f"http://{found.web_host}:{found.web_port}"
        assert eventually(lambda: kinds(find_trace.by_workers(found, [url], "R-1")) == ["decision"] * 2)
        by_workers = find_trace.by_workers(found, [url], "R-1")
    anywhere = find_trace.anywhere(found, "R-1", lambda _: None, lambda: False)

    for one in (by_workers, anywhere):
        assert one is not None
        made_from = [(answer.request is not None, answer.review is not None) for answer in one.asked.answers]
        assert made_from == [(True, False), (False, True)]


@pytest.mark.broker
def test_a_search_that_is_stopped_finds_nothing(found: Settings) -> None:
    publish(found, [request(request_id="R-1")])

    assert find_trace.anywhere(found, "R-1", lambda _: None, lambda: True) is None
