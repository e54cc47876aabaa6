"""The reports of a folder: what they say, and that nothing else of the machine is served."""

import json
from pathlib import Path
from typing import Any

import pytest

from workers.dashboard.views.replays import page_of, reports

VERIFIED: dict[str, Any] = {
    "complete": True,
    "requests": 10,
    "identical": {"all": 10},
    "different": 0,
    "not_replayable": 0,
}


def write(folder: Path, summary: Any) -> None:
    (folder / "r.jsonl").write_text(json.dumps({"summary": summary}) + '\n{"kind": "different"}\n', "utf-8")


@pytest.mark.parametrize(
    ("changes", "level", "says"),
    [
        ({}, "good", "10 answers to 10 requests are identical"),
        ({"different": 2}, "bad", "2 different"),
        ({"missing_decision": 1}, "bad", "1 missing decision"),
        ({"damaged": 1, "complete": False}, "bad", "1 damaged"),
        ({"not_replayable": 3}, "waiting", "3 not replayable"),
        ({"complete": False}, "waiting", "Interrupted"),
    ],
)
def test_a_verified_log(tmp_path: Path, changes: dict[str, Any], level: str, says: str) -> None:
    write(tmp_path, VERIFIED | changes)
    [row] = reports(tmp_path)

    assert (row.kind, row.level, says in row.headline) == ("verify", level, True), row


def test_what_another_document_would_change(tmp_path: Path) -> None:
    write(tmp_path, {"complete": True, "requests_read": 9, "lines": {"stricter": 2, "unchanged": 8}, "requests": {}})
    [row] = reports(tmp_path)

    assert (row.kind, row.headline) == ("what if", "2 lines would be answered otherwise, of 9 requests")


@pytest.mark.parametrize("text", ["", "no json", "[1]", '{"summary": 3}', '{"summary": {"other": 1}}', "\xff"])
def test_what_is_no_report_is_never_good(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.jsonl").write_bytes(text.encode("latin-1"))

    assert [row.level for row in reports(tmp_path)] == ["unknown"]


def test_only_pages_of_the_folder_are_served(tmp_path: Path) -> None:
    (tmp_path / "secret.html").write_text("secret", "utf-8")
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "page.html").write_text("page", "utf-8")
    (folder / "log.jsonl").write_text("{}", "utf-8")
    (folder / "link.html").symlink_to(tmp_path / "secret.html")

    assert page_of(folder, "page.html") == b"page"
    assert [page_of(folder, name) for name in ("../secret.html", "link.html", "log.jsonl", "", "nothing.html")] == [
        None
    ] * 5
    assert reports(tmp_path / "nowhere") == []
