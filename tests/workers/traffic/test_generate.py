"""Generated requests: the same seed, the same bytes, and all that is asked for among them."""

import json
from collections import Counter
from pathlib import Path

import pytest

from events.decode import RejectedError, decode
from tests.support.commands import dli
from workers.traffic.generate import BLOCK, Generator


def is_request(line: bytes) -> bool:
    try:
        decode(line, bare_allowed=True)
    except RejectedError:
        return False
    return True


def test_only_the_same_seed_gives_the_same_bytes() -> None:
    """The same seed gives the same bytes, and another seed gives others."""
    assert list(Generator(7).lines(2_000)) == list(Generator(7).lines(2_000))
    assert not set(Generator(7).lines(500)) & set(Generator(8).lines(500))


@pytest.mark.parametrize("count", [1, 999, BLOCK, BLOCK + 1])
def test_a_longer_run_begins_with_a_shorter_one(count: int) -> None:
    shares = {"duplicates": 0.1, "conflicts": 0.1, "malformed": 0.1}

    assert list(Generator(7, **shares).lines(count)) == list(Generator(7, **shares).lines(3_000))[:count]


def test_by_default_every_line_is_a_request_with_its_own_id() -> None:
    """Unless asked to do something else, every line is a request with an id of its own."""
    made = list(Generator(402).lines(5_000))

    assert all(map(is_request, made))
    assert len({json.loads(line)["request_id"] for line in made}) == 5_000


def test_a_line_supersedes_earlier_ones_only() -> None:
    seen: set[str] = set()
    superseding = 0
    for one in map(json.loads, Generator(402).lines(5_000)):
        if "supersedes" in one:
            superseding += 1
            assert one["supersedes"] in seen
        seen.add(one["request_id"])
    assert superseding > 1_000


def test_duplicates_repeat_a_line_and_conflicts_only_its_id() -> None:
    """Duplicates repeat an earlier line, and conflicts repeat only its id."""
    made = list(Generator(3, duplicates=0.05, conflicts=0.05).lines(10_000))
    first: dict[str, bytes] = {}
    kinds: Counter[str] = Counter()
    for line in made:
        request_id = json.loads(line)["request_id"]
        known = first.setdefault(request_id, line)
        kinds["first" if known is line else "duplicate" if known == line else "conflict"] += 1

    assert all(map(is_request, made))
    assert kinds["duplicate"] == pytest.approx(500, rel=0.2)
    assert kinds["conflict"] == pytest.approx(500, rel=0.2)


def test_malformed_lines_are_no_requests_and_the_others_are() -> None:
    made = list(Generator(3, malformed=0.1).lines(10_000))

    assert sum(not is_request(line) for line in made) == pytest.approx(1_000, rel=0.1)


def test_the_command_writes_a_new_file_and_never_over_one(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    arguments = ("generate", "--count", "1500", "--seed", "7", "--duplicates", "0", "--out", str(file))

    assert dli(*arguments).code == 0
    assert file.read_bytes().splitlines() == list(Generator(7).lines(1_500))
    again = dli(*arguments)
    assert again.code == 1
    assert "is there already" in again.err


def test_shares_of_more_than_everything_are_refused() -> None:
    refused = dli("generate", "--count", "1", "--duplicates", "0.6", "--malformed", "0.6")

    assert refused.code == 1
    assert "more than all lines" in refused.err
