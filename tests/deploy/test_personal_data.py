"""The page on personal data: it has a true row for every topic, copy and archive."""

import ast
import re
from datetime import timedelta

from events.topics import ANSWERED, CASES, LEDGER, LINKS, REPLAYED_KEPT, TOPICS, Topic
from tests.support.places import ROOT
from workers.replay.archive_commands import ARCHIVED

PAGE = (ROOT / "deploy/personal-data.md").read_text("utf-8")
ROWS = {cells[0]: cells[1:] for cells in (
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")
)}  # fmt: skip
"""Which personal data, how long, and how it is deleted, by place."""


def lasting(kept: timedelta) -> str:
    return f"{kept.days} days"


def retention(topic: Topic) -> str:
    if topic.retention is None:
        return "for ever"
    return "the newest of each key" if topic.cleanup == "compact" else lasting(topic.retention)


def test_every_topic_has_a_row_and_no_other_has() -> None:
    named = {match[1] for where in ROWS if (match := re.fullmatch(r"topic `([^`]+)`", where))}

    assert named == {one.name for one in TOPICS}


def test_each_row_states_retention_and_personal_data() -> None:
    """Each row says how long the data is kept and whether it is about a person."""
    for topic in TOPICS:
        what, how_long, how = ROWS[f"topic `{topic.name}`"]
        assert how_long == retention(topic), topic.name
        assert what.startswith("none") == (not topic.personal), topic.name
        assert (how == "Kafka removes it") == ("delete" in topic.cleanup and topic.retention is not None), topic.name
    assert ROWS["topics `replay.…`"][1] == lasting(REPLAYED_KEPT)


def test_every_copy_on_a_workers_disk_has_a_row() -> None:
    tree = ast.walk(ast.parse((ROOT / "workers/main/app.py").read_text("utf-8")))
    joined = (one.right for one in tree if isinstance(one, ast.BinOp) and isinstance(one.op, ast.Div))
    made = {one.value for one in joined if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    named = {match[1] for where in ROWS if (match := re.fullmatch(r"copy `([^`]+)` in `DLI_DATA_DIR`", where))}

    assert named == made == {"answered", "cases", "ledger", "links"}
    for topic in TOPICS:
        if topic.name in {ANSWERED, CASES, LEDGER}:
            kept = ROWS[f"copy `{topic.name.rpartition('.')[2]}` in `DLI_DATA_DIR`"][1]
            assert topic.retention is not None
            assert kept.startswith(lasting(topic.retention))
    assert LINKS.rpartition(".")[2] in named


def test_an_archive_is_of_the_topics_that_it_is_said_to_be_of() -> None:
    what = ROWS["archive of `dli archive`"][0]

    assert re.findall(r"`([^`]+)`", what) == list(ARCHIVED)


def test_the_page_is_found_from_where_one_looks() -> None:
    for page in ("README.md", "deploy/security.md", "deploy/README.md"):
        assert "personal-data.md" in (ROOT / page).read_text("utf-8"), page
