"""What if: the report's numbers are those that somebody else counts, and each number has its requests."""

import json
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from events.topics import DECISIONS
from policy_core.evaluate.determine import Policy
from policy_core.history.library import Library
from policy_core.loading.load import load
from tests.support.commands import dli
from tests.support.edits import DOCUMENT, EDITS, edited
from tests.support.event_logs import MemorySource, archived, changed, recorded
from tests.support.interruptions import interrupted_often
from tests.support.packaged import packaged_library
from workers.configuration.settings import read
from workers.replay import runs
from workers.replay.documents import Draft
from workers.replay.partition_replay import Plan
from workers.replay.runs import Done
from workers.replay.what_if import ABSENT, UNRECORDED, what_if
from workers.replay.what_if_report import Report, report_of
from workers.traffic.generate import Generator

NUMBER = "L.2.03.402"
LINES = list(Generator(402, duplicates=0.02, malformed=0.02).lines(1_200))


@pytest.fixture(scope="module")
def library() -> Library:
    return packaged_library()


@pytest.fixture(scope="module")
def log(library: Library) -> MemorySource:
    return recorded(LINES, library)


def compared(log: Any, draft: Path | Draft, folder: Path, *, request_ids: bool = True) -> tuple[Report, Done]:
    meant = Draft(file=draft) if isinstance(draft, Path) else draft
    plan = Plan(log, read(topic_prefix="t."), (), folder, request_ids, meant)
    done = runs.over(plan, what_if, 1)
    before = packaged_library()
    after = Policy(load(meant.file)) if meant.file is not None else before[NUMBER]
    return report_of(done, list(before), after), done


# --- counted by somebody else --------------------------------------------------------------------------------------

NEXT = ["nobody", "provider", "case_management", "medical_policy_reviewer", "physician_reviewer"]
EXPLAINS = ("reasons", "missing", "rules", "rests_on", "guidance", "program", "edition", "step", "valid_through")


def recount(log: MemorySource, draft: Path) -> tuple[Counter[tuple[str, str, str]], Counter[str]]:
    """The same from the decisions' JSON alone: those recorded, beside those that the draft would have recorded."""
    policy = Policy(load(draft))
    after = recorded(LINES, Library([policy], policy.number))
    lines: Counter[tuple[str, str, str]] = Counter()
    requests: Counter[str] = Counter()
    for place, records in log.records.items():
        if place[0] != log.topic(DECISIONS):
            continue
        new = {
            json.loads(one.value or b"")["data"]["request_id"]: json.loads(one.value or b"")["data"]
            for one in after.records[place]
        }
        for one in records:
            old = json.loads(one.value or b"")["data"]
            other = new[old["request_id"]]
            pairs = [_kind(*pair) for pair in zip(old["lines"], other["lines"], strict=True)]
            lines.update(pairs)
            beside = any(old.get(name) != other.get(name) for name in ("trace", "due_at", "clock"))
            order = ["stricter", "looser", "reclassified", "evidence", "unchanged"]
            kinds = {pair[0] for pair in pairs} | ({"evidence"} if beside else set())
            requests[min(kinds, key=order.index)] += 1
    return lines, requests


def _kind(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, str, str]:
    before, after = old["determination"], new["determination"]
    if before == after:
        same = all(old.get(name) == new.get(name) for name in EXPLAINS)
        return ("unchanged" if same else "evidence", before, after)
    if {"C", "CT"} & {old["action"], new["action"]} or old["acts_next"] == new["acts_next"]:
        return "reclassified", before, after
    further = NEXT.index(new["acts_next"]) > NEXT.index(old["acts_next"])
    return "stricter" if further else "looser", before, after


@pytest.mark.parametrize("name", EDITS)
def test_the_numbers_match_a_count_of_the_decisions(log: MemorySource, tmp_path: Path, name: str) -> None:
    """The numbers are those that a count of the decisions gives."""
    draft = edited(tmp_path, *EDITS[name])

    report, _ = compared(log, draft, tmp_path / "work")

    lines, requests = recount(log, draft)
    assert report.counts.lines == lines
    assert report.counts.requests == requests
    assert report.differs == (name not in {"nothing", "a word", "another state's physicians"})
    assert report.complete


def test_a_code_taken_off_the_list_changes_exactly_its_lines(log: MemorySource, tmp_path: Path) -> None:
    draft = edited(tmp_path, *EDITS["a code delisted"])
    recorded_lines = [
        (line["determination"], line["step"])
        for place, records in log.records.items()
        if place[0] == log.topic(DECISIONS)
        for one in records
        for line in json.loads(one.value or b"")["data"]["lines"]
        if line["code"] == "86950"
    ]
    # Those that an earlier step decided stay as they are.
    expected = Counter(one for one, step in recorded_lines if step in {"prior_authorization", "clinical_statements"})

    report, done = compared(log, draft, tmp_path / "work")

    moved = [one for one in report.pairs() if one.kind != "evidence"]
    expected.pop("not_addressed", 0)
    assert {one.after for one in moved} == {"not_addressed"}
    assert {one.before: one.lines for one in moved} == expected
    assert expected.total() > 50
    # A piece of guidance named the code, and no longer speaks of it.
    assert {one.before == one.after for one in report.pairs() if one.kind == "evidence"} == {True}
    found = [json.loads(line) for line in done.findings()]
    assert Counter((one["kind"], one["from"], one["to"]) for one in found) == Counter(
        {(one.kind, one.before, one.after): one.lines for one in report.pairs()}
    )
    assert {rules.after for one in moved for rules in one.rules} == {"code_listed"}
    assert sum(rules.lines for one in report.pairs() for rules in one.rules) == report.changes


def test_the_requests_behind_a_number_are_named(log: MemorySource, tmp_path: Path) -> None:
    draft = edited(tmp_path, *EDITS["a code delisted"])
    report, done = compared(log, draft, tmp_path / "work")
    by_place = {(one.topic, one.partition, one.offset): one for records in log.records.values() for one in records}

    found = [json.loads(line) for line in done.findings()]
    assert len(found) == sum(pair.lines for pair in report.pairs()) > 50
    for one in found:
        request = json.loads(by_place[one["topic"], one["partition"], one["offset"]].value or b"")["data"]
        assert request["request_id"] == one["request_id"]
        assert next(each for each in request["service_lines"] if each["line"] == one["line"])["code"].strip() == "86950"


def test_an_earlier_revision_can_be_asked_for_by_its_date(log: MemorySource, tmp_path: Path) -> None:
    report, _ = compared(log, Draft(published="2023-04-04"), tmp_path / "work")

    # Exceptions came on record in 2024: before that nobody was redirected.
    assert sum(count for (_, before, _), count in report.counts.lines.items() if before == "redirected") > 50
    assert not any(after == "redirected" for _, _, after in report.counts.lines)


def test_interrupted_and_taken_up_again_the_report_is_the_same(
    log: MemorySource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.event_logs.CHUNK", 150)
    draft = edited(tmp_path, *EDITS["a presumption less"])
    whole, whole_done = compared(log, draft, tmp_path / "whole")
    interrupted_often(monkeypatch)

    attempts = 0
    for _ in range(30):
        attempts += 1
        report, done = compared(log, draft, tmp_path / "parts")
        if done.finished:
            break

    assert attempts > 6
    assert report == whole
    assert list(done.findings()) == list(whole_done.findings())


# --- what stands beside the numbers --------------------------------------------------------------------------------


def test_what_the_record_says_otherwise_or_not_at_all_is_told(log: MemorySource, tmp_path: Path) -> None:
    there = list(log.records[log.topic(DECISIONS), 0])
    at = next(at for at, one in enumerate(there) if b'"determination":"medically_necessary"' in (one.value or b""))
    value = (there[at].value or b"").replace(b'"determination":"medically', b'"determination":"un', 1)
    there[at] = there[at]._replace(value=value)
    del there[3]
    draft = edited(tmp_path, *EDITS["nothing"])

    report, _ = compared(changed(log, DECISIONS, 0, there), draft, tmp_path / "work")

    assert report.counts.beside["recorded otherwise than its own document decides: see `dli replay verify`"] == 1
    assert report.counts.beside[UNRECORDED] == 1


def test_decisions_under_a_document_that_is_not_here_are_told(tmp_path: Path) -> None:
    other = Policy(load(edited(tmp_path, *EDITS["a word"])))
    log = recorded(LINES[:100], Library([other], other.number), partitions=1)

    report, _ = compared(log, DOCUMENT, tmp_path / "work")

    assert report.counts.beside[ABSENT] == len(log.records[log.topic(DECISIONS), 0])
    assert not report.counts.lines


# --- the command and the page --------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """What a page loads, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: Counter[str] = Counter()
        self.text = ""
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.loads += [f"{tag} {value}" for name, value in attrs if name in {"src", "href", "xlink:href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def run(log: MemorySource, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    folder = archived(log, tmp_path / "kept")

    def ran(draft: Path | str, *flags: str) -> tuple[int, str]:
        command = ("replay", "what-if", str(folder), "--policy", str(draft), "--work", str(tmp_path / "work"))
        done = dli(*command, *flags)
        return done.code, done.out + done.err

    return ran


def test_the_command_ends_with_3_only_if_something_changes(
    run: Callable[..., tuple[int, str]], log: MemorySource, tmp_path: Path
) -> None:
    """The command ends with 3 where something changes and with 0 where nothing does."""
    code, said = run(edited(tmp_path, *EDITS["a code delisted"]), "-o", "jsonl")
    report, _ = compared(log, tmp_path / "draft.yaml", tmp_path / "mine")
    assert code == 3
    assert json.loads(said.splitlines()[0])["summary"] == report.as_json()
    assert "PA-402" not in said

    assert run(edited(tmp_path, *EDITS["a word"]))[0] == 0
    refused, why = run("no-such-file.yaml")
    assert refused == 1
    assert why.endswith(
        "error: no-such-file.yaml: neither a file nor a revision of L.2.03.402, which has "
        + ", ".join(str(one.revision) for one in packaged_library().chain(NUMBER))
        + "\n"
    )
    assert run("2001-01-01")[0] == 1


def test_the_page_stands_alone_and_hides_request_ids(
    run: Callable[..., tuple[int, str]], log: MemorySource, tmp_path: Path
) -> None:
    """The page stands alone, has the numbers and names requests only on demand."""
    draft = edited(tmp_path, *EDITS["a code delisted"])
    plain, named = tmp_path / "plain.html", tmp_path / "named.html"

    assert run(draft, "--html", str(plain))[0] == 3
    assert run(draft, "--html", str(named), "--request-ids")[0] == 3
    assert "is not written over" in run(draft, "--html", str(plain))[1]

    page = _Page()
    page.feed(plain.read_text("utf-8"))
    report, _ = compared(log, draft, tmp_path / "mine")
    assert page.loads == []
    assert "script" not in page.tags
    assert page.tags["svg"] >= 2
    assert "@import" not in plain.read_text("utf-8")
    for pair in report.pairs():
        assert f"{pair.lines:,}" in page.text
        assert pair.before.replace("_", " ") in page.text
    assert "PA-402" not in page.text
    assert "PA-402" in named.read_text("utf-8")
