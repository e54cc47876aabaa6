"""`dli cases`: what it prints, from the brokers and without them."""

import json

import pytest

from tests.support.case_records import Written, case, line, publish_cases, written
from tests.support.commands import dli
from workers.configuration.settings import read
from workers.topics import apply_topics
from workers.work_list.read_cases import read_once


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--urgency", "urgent"), "error: --urgency is never urgent; it is one of standard, expedited"),
        (("--due-before", "soon"), "error: --due-before: neither a day nor an instant"),
        (("--overdue", "--due", "today"), "error: --overdue and --due today contradict each other"),
    ],
)
def test_a_wrong_filter_is_a_sentence(arguments: tuple[str, ...], says: str) -> None:
    ran = dli("cases", *arguments)

    assert (ran.code, ran.err.startswith(says)) == (1, True), ran.err


@pytest.mark.broker
def test_it_lists_what_is_open_and_says_what_is_not_there(bootstrap: str, prefix: str) -> None:
    """It says that the topic is missing, then that it is empty, then lists its open cases, then that none is open."""
    found = read(bootstrap=bootstrap, topic_prefix=prefix)
    where = ("--bootstrap", bootstrap, "--topic-prefix", prefix)
    missing = dli("cases", *where)
    apply_topics.apply(found)
    empty = dli("cases", *where)
    late, asks = case("R-late"), case("R-asks", lines=(line(1, "information_needed"),), state="waiting")
    publish_cases(found, [written(asks, 1), written(case("R-done", state="final"), 2), written(late, 0)])
    listed = dli("cases", *where, "-o", "jsonl")
    filtered = dli("cases", *where, "--acts-next", "provider")
    board = read_once(found)
    publish_cases(found, [Written(1, b"R-asks", None), written(case("R-late", state="cancelled"), 0)])
    none = dli("cases", *where)

    assert missing.code == 1
    assert f"has no topic {prefix}authorization.cases" in missing.err
    assert "no case was ever opened" in empty.err
    lines = [json.loads(one) for one in listed.out.splitlines()]
    assert {one["request_id"]: (one["acts_next"], one["overdue"]) for one in lines} == {
        "R-late": (["physician_reviewer"], True),
        "R-asks": (["provider"], True),
    }
    assert ("R-asks" in filtered.out, "R-late" in filtered.out) == (True, False)
    assert "1 open case of 2; 2 of all are overdue" in filtered.err
    assert (len(board), sum(board.offsets.values())) == (2, 3)
    assert "no case is open" in none.err
