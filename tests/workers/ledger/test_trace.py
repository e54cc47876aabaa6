"""Traces on a real broker: from any worker, from the request's bytes to the event that made the revision known."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from events.topics import DEAD_LETTERS, DEADLINES, DECISIONS, LEDGER, LINKS, REQUESTS, VERDICTS
from tests.support import generator
from tests.support.commands import Ran, dli
from tests.support.reviews import adverse, pended_request, send_review
from tests.support.running import eventually, everything_on, get, publish, settings_for, worker
from workers.configuration.settings import Settings
from workers.topics import apply_topics

pytestmark = pytest.mark.kafka

ODD = "PA/ü 1?#%2F"
"""An id that a path has to quote."""


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    return made


def request(name: str, supersedes: str | None = None, certification: str = "revision", **changes: Any) -> bytes:
    linked = {"request_id": name, "supersedes": supersedes, "certification": certification}
    return json.dumps(generator.request(11, 1) | linked | changes).encode()


def asked(found: Settings, name: str) -> tuple[int, Any]:
    return get(found, f"/requests/{quote(name, safe='')}")


def known(found: Settings, *names: str) -> bool:
    return all(asked(found, name)[0] == 200 for name in names)


def linked(found: Settings, name: str, members: int) -> bool:
    status, answer = asked(found, name)
    return status == 200 and len(answer["chain"]) == members


def trace(found: Settings, name: str, *options: str) -> Ran:
    where = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
    return dli("trace", name, "--url", f"http://{found.web_host}:{found.web_port}", *where, *options)


def records(found: Settings, topic: str) -> Iterator[tuple[str, Any]]:
    """All records of a topic by where they stand."""
    for one in everything_on(found, topic):
        yield f"{one.topic}/{one.partition}/{one.offset}", one


def at(place: dict[str, Any]) -> str:
    return f"{place['topic']}/{place['partition']}/{place['offset']}"


def test_every_request_is_traced_to_its_own_bytes_and_answers(found: Settings, tmp_path: Path) -> None:
    """Every request is traced to its own bytes and its own answers."""
    items = [one for one in generator.requests(51, 300, malformed=0.05) if isinstance(one, dict)]
    names = [one["request_id"] for one in items if isinstance(one.get("request_id"), str)]

    with worker(found, tmp_path):
        publish(found, [generator.encode(one) for one in items])
        assert eventually(lambda: known(found, *names[-20:]))
        assert eventually(lambda: len(everything_on(found, LEDGER)) >= len(items))
        by_place = {**dict(records(found, DECISIONS)), **dict(records(found, DEAD_LETTERS))}
        requests = dict(records(found, REQUESTS))
        assert eventually(lambda: known(found, *names))
        traced = {name: asked(found, name)[1] for name in names}
        status, unknown = asked(found, "PA-NEVER-SENT")

    assert (status, list(unknown)) == (404, ["error"])
    assert "PA-NEVER-SENT" not in str(unknown)
    for name, answer in traced.items():
        [pointer] = answer["answers"]
        event = json.loads(by_place[at(pointer)].value)["data"]
        assert (event["request_id"], "decision_id" in event) == (name, pointer["kind"] == "decision")
        assert json.loads(requests[at(pointer["request"])].value)["data"]["request_id"] == name
    rows = b"".join(one.key + one.value for one in by_place.values() if one.topic.endswith(LEDGER))
    assert [name for name in names if name.encode() in rows] == []


def test_a_chain_marks_its_newest_decision_and_its_unknowns(found: Settings, tmp_path: Path) -> None:
    """A chain marks its newest decision and says what is unknown."""
    chain = [
        request("PA-1", "PA-0"),
        request("PA-2", "PA-1", "extension"),
        request("PA-3", "PA-2", "renewal"),
        request("PA-4", "PA-3", "reconsideration"),
        request(ODD, "PA-4", "cancellation"),
        request("PA-9", None, "initial"),
    ]
    with worker(found, tmp_path):
        publish(found, chain)
        assert eventually(lambda: known(found, "PA-1", ODD, "PA-9") and linked(found, "PA-2", 6))
        assert eventually(lambda: all(one["known"] for one in asked(found, "PA-2")[1]["chain"][1:]))
        members = asked(found, "PA-2")[1]["chain"]
        alone = asked(found, "PA-9")[1]["chain"]
        text, data = trace(found, "PA-2"), trace(found, ODD, "-o", "json")

    assert [(one["request_id"], one.get("supersedes"), one["known"], one["newest"]) for one in members] == [
        ("PA-0", None, False, False),
        ("PA-1", "PA-0", True, False),
        ("PA-2", "PA-1", True, False),
        ("PA-3", "PA-2", True, False),
        ("PA-4", "PA-3", True, False),
        (ODD, "PA-4", True, True),
    ]
    assert [(one["request_id"], one["newest"]) for one in alone] == [("PA-9", True)]
    said = " ".join(text.out.split())
    assert (text.code, data.code) == (0, 0), text.err + data.err
    assert "PA-1 supersedes PA-0, which is unknown here" in said
    assert "C cancelled newest" in said
    assert "PA-2" in said
    told = json.loads(data.out)
    assert [one["answers"][0]["data"]["action"] for one in told["chain"][-1:]] == ["C"]
    assert told["chain"][-1]["answers"][0]["request"]["data"]["certification"] == "cancellation"


def test_a_trace_leads_to_statements_citations_and_revisions(found: Settings, tmp_path: Path) -> None:
    """A trace leads to statements, citations and the events that made the revisions known."""
    asked_for = json.dumps(generator.request(11, 1) | {"request_id": "PA-1", "supersedes": None}).encode()
    with worker(found, tmp_path):
        publish(found, [asked_for])
        assert eventually(lambda: known(found, "PA-1"))
        assert eventually(lambda: get(found, "/policies/L.2.03.402/revisions/2025-03-28")[0] == 200)
        text, data = trace(found, "PA-1"), trace(found, "PA-1", "-o", "json")
        revisions = dict(records(found, "policy.revisions"))

    told = json.loads(data.out)
    [decision] = told["chain"][0]["answers"]
    lines, policies = [line["policy"] for line in decision["data"]["lines"]], decision["data"]["policies"]
    made_known = {one["data"]["digest"]: one for one in told["revisions"]}
    assert {one["known_through"] for one in policies} <= set(made_known)
    assert {one["revision"] for one in lines} <= {one["data"]["revision"] for one in told["revisions"]}
    assert all(json.loads(revisions[at(one)].value)["data"] == one["data"] for one in told["revisions"])
    assert "sha256 " in text.out.split("Sentences of the published text")[1], "the document is that of its event"
    for part in ("Sentences of the published text", "The events that made these revisions known", "known through"):
        assert part in text.out
    assert at(decision["request"]) in text.out
    assert generator.request(11, 1)["member"]["member_id"] not in text.out


def test_a_trace_tells_the_whole_story_of_a_pended_request(found: Settings, tmp_path: Path) -> None:
    """Request, recommendation, deadlines, verdicts and what became of them, in one trace."""
    with worker(found, tmp_path):
        publish(found, [json.dumps(pended_request("PA-1")).encode()])
        assert eventually(lambda: len(everything_on(found, DEADLINES)) == 2)
        [recommended] = [json.loads(one.value)["data"] for one in everything_on(found, DECISIONS)]
        later = (
            (adverse(recommended, "V-1") | {"evaluated": False}, "reviewed"),
            (
                {"extension_id": "E-1", "request_id": "PA-1", "until": "2099-01-01T00:00:00Z", "reason": "records"},
                "extended",
            ),
            (adverse(recommended, "V-2"), "reviewed"),
        )
        for number, (said, kind) in enumerate(later, 2):
            if said.get("verdict_id") == "V-2":
                newest = trace(found, "PA-1", "-o", "json")
                said["decision_id"] = json.loads(newest.out)["chain"][0]["answers"][-1]["data"]["decision_id"]
            send_review(found, said, f"authorization.{kind}.v1")
            assert eventually(lambda number=number: len(asked(found, "PA-1")[1]["answers"]) == number)  # type: ignore[misc]
        assert eventually(lambda: len(asked(found, "PA-1")[1]["deadlines"]) == 2)
        text, data = trace(found, "PA-1"), trace(found, "PA-1", "-o", "json")
        sent = dict(records(found, VERDICTS))

    [member] = json.loads(data.out)["chain"]
    assert [(one["kind"], one["data"].get("action", one["data"].get("reason"))) for one in member["answers"]] == [
        ("decision", "A4"),
        ("dead_letter", "verdict_refused"),
        ("decision", "A4"),
        ("decision", "A3"),
    ]
    assert member["answers"][0]["request"]["data"]["request_id"] == "PA-1"
    assert "review" not in member["answers"][0]
    for answer, (said, _) in zip(member["answers"][1:], later, strict=True):
        assert answer["request"] is None
        assert answer["review"]["data"] == json.loads(sent[at(answer["review"])].value)["data"] == said
    assert [one["data"]["kind"] for one in member["deadlines"]] == ["due_soon", "overdue"]
    story = " ".join(text.out.split())
    for part in ("verdict V-1", "extension E-1", "verdict V-2", "until 2099-01-01", "due soon: due ", "overdue: due "):
        assert part in story, part
    assert "announced late" in story


def test_what_was_refused_has_a_trace_too(found: Settings, tmp_path: Path) -> None:
    with worker(found, tmp_path):
        publish(found, [request("PA-1", urgency="stat"), request("PA-2", "PA-2")])
        assert eventually(lambda: known(found, "PA-1", "PA-2"))
        text, itself = trace(found, "PA-1"), trace(found, "PA-2")

    assert (text.code, itself.code) == (0, 0)
    assert "schema violation" in text.out
    assert "urgency: should be 'standard' or 'expedited'" in text.out
    assert "supersedes: should be another request than this one" in itself.out


def test_a_circle_is_refused_once_and_its_trace_says_so(found: Settings, tmp_path: Path) -> None:
    with worker(found, tmp_path, "first"):
        for name, older in (("PA-1", "PA-3"), ("PA-2", "PA-1")):
            publish(found, [request(name, older)])
            assert eventually(lambda name=name: linked(found, name, {"PA-1": 2, "PA-2": 3}[name]))  # type: ignore[misc]
        publish(found, [request("PA-3", "PA-2")])
        assert eventually(lambda: len(everything_on(found, DEAD_LETTERS)) == 1)
        assert eventually(lambda: len(asked(found, "PA-3")[1]["answers"]) == 2)
        text = trace(found, "PA-3")
    shutil.rmtree(found.data_dir)
    with worker(found, tmp_path, "second"):
        assert eventually(lambda: known(found, "PA-3"))
        publish(found, [request("PA-4", "PA-2")])
        assert eventually(lambda: known(found, "PA-4") and linked(found, "PA-4", 4))
        members = asked(found, "PA-4")[1]["chain"]
        [letter] = everything_on(found, DEAD_LETTERS)
        decisions = everything_on(found, DECISIONS)

    data = json.loads(letter.value)["data"]
    assert (data["reason"], data["request_id"], letter.key) == ("circular_link", "PA-3", b"PA-3")
    assert "PA-3 its link to PA-2 is refused: it would close a circle" in " ".join(text.out.split())
    assert "the link is refused, the decision stands" in text.out
    assert [(one["request_id"], one.get("link"), one["newest"]) for one in members] == [
        ("PA-3", "refused", False),
        ("PA-1", "stands", False),
        ("PA-2", "stands", False),
        ("PA-4", "stands", True),
    ]
    assert sorted(one.key for one in decisions) == [b"PA-1", b"PA-2", b"PA-3", b"PA-4"]
    assert len(everything_on_links(found)) == 4


def everything_on_links(found: Settings) -> list[Any]:
    return everything_on(found, LINKS)


def test_a_trace_survives_a_lost_disk(found: Settings, tmp_path: Path) -> None:
    names = [f"PA-{number}" for number in range(1, 40)]
    with worker(found, tmp_path, "first"):
        publish(found, [request(name, f"PA-{number}") for number, name in enumerate(names)])
        assert eventually(lambda: known(found, *names) and linked(found, "PA-1", 40))
        before = [asked(found, name) for name in names]
    shutil.rmtree(found.data_dir)
    with worker(found, tmp_path, "second"):
        assert eventually(lambda: known(found, *names))
        after = [asked(found, name) for name in names]

    assert after == before


def test_an_unknown_request_and_an_absent_worker_are_sentences(found: Settings, tmp_path: Path) -> None:
    with worker(found, tmp_path):
        assert eventually(lambda: asked(found, "PA-1")[0] == 404)
        unknown = trace(found, "PA-1")
    absent = trace(found, "PA-1")

    assert (unknown.code, absent.code) == (1, 1)
    assert "request PA-1: the ledger knows no answer to this request" in " ".join(unknown.err.split())
    assert "no worker answers there; name any worker of the deployment with --url" in " ".join(absent.err.split())
    assert unknown.out == absent.out == ""


@pytest.mark.parametrize("scheme", ["file://", "ftp://localhost", "", "data:,"])
def test_an_address_that_no_worker_has_is_not_opened(found: Settings, tmp_path: Path, scheme: str) -> None:
    planted = tmp_path / "requests" / "PA-1"
    planted.parent.mkdir()
    planted.write_text('{"chain": []}', "utf-8")
    done = dli("trace", "PA-1", "--url", f"{scheme}{tmp_path}", "--bootstrap", found.bootstrap)

    assert (done.code, done.out) == (1, "")
    assert done.err.split("error: ")[1].strip().endswith("a worker's address is http://HOST:PORT")


def test_no_request_id_reaches_a_workers_log(found: Settings, tmp_path: Path) -> None:
    with worker(found, tmp_path):
        publish(found, [request("PA-MARKED-1", "PA-MARKED-2"), request("PA-MARKED-2", "PA-MARKED-1")])
        assert eventually(lambda: known(found, "PA-MARKED-1", "PA-MARKED-2"))
        assert eventually(lambda: len(everything_on(found, DEAD_LETTERS)) == 1)
        asked(found, "PA-MARKED-9")

    assert "MARKED" not in (tmp_path / "worker.log").read_text("utf-8")


# As in test_worker: the embedded broker has its trouble with two workers.
@pytest.mark.kafka
def test_either_of_two_workers_traces_every_request(found: Settings, tmp_path: Path) -> None:
    """Either of two workers traces every request, even when the other one is gone."""
    (tmp_path / "other").mkdir()
    other = settings_for(found.bootstrap, found.topic_prefix, tmp_path / "other", session_timeout_seconds=6)
    names = [f"PA-{number}" for number in range(1, 60)]
    circle = [request("PA-A", "PA-B"), request("PA-B", "PA-C"), request("PA-C", "PA-A")]

    with worker(found, tmp_path):
        with worker(other, tmp_path / "other"):
            publish(found, [request(name, f"PA-{number}") for number, name in enumerate(names)])
            publish(found, circle)
            assert eventually(lambda: known(found, *names) and known(other, *names))
            assert eventually(lambda: linked(found, "PA-1", 60) and linked(other, "PA-1", 60))
            assert eventually(lambda: len(everything_on(found, DEAD_LETTERS)) == 1)
            here, there = ([asked(one, name) for name in names] for one in (found, other))
            own = [get(one, f"/ledger/pointers/{names[0]}")[0] for one in (found, other)]
        assert eventually(lambda: known(found, *names))
        alone = [asked(found, name) for name in names]
        members = asked(found, "PA-A")[1]["chain"]
        letters = everything_on(found, DEAD_LETTERS)

    assert here == there == alone
    assert sorted(own) == [200, 503]
    assert sorted(one["link"] for one in members) == ["refused", "stands", "stands"]
    assert [json.loads(one.value)["data"]["reason"] for one in letters] == ["circular_link"]


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 257], ids=["empty", "blank", "two lines", "too long"])
def test_an_impossible_request_id_is_refused_before_any_query(name: str) -> None:
    """A name that no request can have is refused before anybody is asked."""
    ran = dli("trace", name, "--url", "http://127.0.0.1:1", "--bootstrap", "127.0.0.1:1")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "error: no request can have that id; an id has 1 to 256 characters, and no control characters\n"
