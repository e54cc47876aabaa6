"""Who did what is on the brokers before it is done, and what came of it behind; without a record nothing is done."""

import json
import os
import pwd
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer
from kafka.errors import KafkaConnectionError

from events.audit import MOST_LETTERS, Acted, Actor, Arguments
from events.topics import AUDIT, POLICY_REVISIONS, REQUESTS, TOPICS
from policy_core.history.library import PACKAGED, load_library
from tests.support.audit import without_the_topic
from tests.support.commands import Ran, dli
from tests.support.packaged import packaged_library
from tests.support.publishing import next_revision, revised
from tests.support.requests import request
from tests.support.running import everything_on, settings_for
from workers.audit.columns import UNENDED, row
from workers.audit.commands import END_BY_EXIT
from workers.audit.read_acts import RecordedAct, acts, joined
from workers.audit.record_acts import UnrecordedError, acting, end_of, letter_ids, ourselves
from workers.configuration.settings import Settings, read
from workers.console.errors import DliError
from workers.console.exit_codes import CommandError, Exit
from workers.event_log.kafka_log import unreachable
from workers.event_log.source import ReplayError
from workers.kafka import connect
from workers.kafka.errors import AccessRefusedError, ClusterError, ReadingError
from workers.kafka.records import OutgoingRecord
from workers.policies import publish_commands
from workers.policies.revision_events import Judging, Seen, as_record, terms_of
from workers.topics import apply_topics
from workers.traffic.commands import sent

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    return made


def run(found: Settings, *arguments: str, given: bytes = b"") -> Ran:
    ran = dli(*arguments, "--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix, given=given)
    assert "Traceback" not in ran.err, ran.err
    return ran


def outcomes(found: Settings, what: str) -> list[tuple[str, str | None]]:
    """What is recorded of one kind of act, in order."""
    told = [Acted.model_validate(json.loads(one.value)["data"]) for one in everything_on(found, AUDIT)]
    return [(one.outcome, one.reason) for one in told if one.what == what]


# --- twice ---------------------------------------------------------------------------------------------------------


@pytest.mark.broker
def test_the_beginning_precedes_the_act_and_the_end_follows_it(found: Settings) -> None:
    """The beginning is recorded before the act and the end after it."""
    with acting(found, "publish", topics=("t",)) as act:
        during = outcomes(found, "publish")
        act.note(count=3)
    [done] = acts(found)

    assert during == [("begun", None)]
    assert outcomes(found, "publish") == [("begun", None), ("done", None)]
    assert (done.last.who.user, done.last.arguments.topics, done.last.arguments.count) == (ME, ("t",), 3)
    assert done.until is not None
    assert done.at <= done.until


@pytest.mark.broker
def test_a_process_that_dies_in_between_leaves_the_beginning(found: Settings) -> None:
    text = (
        "import os, signal\n"
        "from workers.audit.record_acts import acting\n"
        "from workers.configuration.settings import read\n"
        f"with acting(read(bootstrap={found.bootstrap!r}, topic_prefix={found.topic_prefix!r}), 'restore'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", text], check=False, timeout=60)  # noqa: S603 (our own text)
    [left] = acts(found)

    assert killed.returncode == -signal.SIGKILL
    assert (left.last.outcome, left.until, row(left)[4]) == ("begun", None, UNENDED)


@pytest.mark.broker
def test_the_end_says_how_it_ended_and_the_error_goes_on(found: Settings) -> None:
    for error in (CommandError("x"), KeyboardInterrupt(), ReadingError("x"), ValueError("R-1")):
        with pytest.raises(type(error)), acting(found, "reset-offset", partition=1):
            raise error

    ends = [one for one in outcomes(found, "reset-offset") if one != ("begun", None)]
    assert ends == [("refused", "conditions"), ("failed", "interrupted"), ("failed", "brokers"), ("failed", "error")]


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (CommandError("x"), ("refused", "conditions")),
        (ReplayError("x"), ("refused", "conditions")),
        (DliError("x"), ("failed", "error")),
        (AccessRefusedError("x"), ("refused", "no_right")),
    ],
    ids=repr,
)
def test_an_error_is_recorded_as_what_it_is(error: BaseException, ended: tuple[str, str | None]) -> None:
    assert end_of(error) == ended


def test_brokers_that_go_while_requests_are_sent_are_no_refusal() -> None:
    """Some may have been taken: the act failed, and was not refused before it began."""
    nowhere = read(bootstrap="127.0.0.1:1")

    with pytest.raises(ClusterError) as failed:
        list(sent([OutgoingRecord("requests", b"R-1", b"{}")], nowhere))

    assert end_of(failed.value) == ("failed", "brokers")


def test_brokers_that_go_while_a_log_is_read_are_no_refusal() -> None:
    error = unreachable("127.0.0.1:1", KafkaConnectionError())

    assert isinstance(error, ReplayError)
    assert end_of(error) == ("failed", "brokers")


@pytest.mark.broker
def test_a_revision_that_came_too_late_is_no_refusal(found: Settings) -> None:
    """It was sent, and is on the topic for ever, although it is not in force."""
    library = load_library([PACKAGED], "L.2.03.402")
    late, first = (next_revision(library.chain("L.2.03.402"), author=name) for name in ("Late", "First"))
    sent_late, sent_first = (as_record(one, found.topic(POLICY_REVISIONS), "/s", "structured") for one in (late, first))
    judging = Judging(terms_of(found), [library.chain("L.2.03.402")])
    judging.chains = {"L.2.03.402": library.chain("L.2.03.402")}
    accepted = judging.take(Seen(0, -1, sent_late.value, sent_late.headers))
    list(sent([sent_first], found))

    with pytest.raises(CommandError, match="came first; this one was sent"):
        publish_commands._send("policy publish", [sent_late], [accepted], found)  # noqa: SLF001 (after it was compared)

    assert outcomes(found, "policy publish") == [("begun", None), ("failed", "conditions")]


def test_an_exit_code_is_recorded_as_how_the_act_ended() -> None:
    assert END_BY_EXIT == {
        Exit.DONE: ("done", None),
        Exit.DIFFERENT: ("done", "differences"),
        Exit.INTERRUPTED: ("failed", "interrupted"),
    }


@pytest.mark.broker
def test_an_act_that_ends_with_differences_is_recorded_so(found: Settings) -> None:
    with acting(found, "archive", topics=("t",)) as act:
        act.ended = END_BY_EXIT[Exit.DIFFERENT]

    assert outcomes(found, "archive") == [("begun", None), ("done", "differences")]


# --- no record, no act ---------------------------------------------------------------------------------------------


def commands(found: Settings, folder: Path) -> list[tuple[str, ...]]:
    """Each that would change something here and now."""
    document = revised(library_document())
    (folder / "new.json").write_text(json.dumps(document.model_dump(mode="json", by_alias=True)))
    app = ("--app-id", found.app_id)
    return [
        ("publish", str(folder / "requests.jsonl")),
        ("dead-letters", "redrive", "--all", "--execute", *app),
        ("reset-offset", found.topic(REQUESTS), "0", "--to", "earliest", "--execute", *app),
        ("policy", "publish", str(folder / "new.json"), "--author", "Office", "--retroactive", "--execute"),
        ("archive", str(folder / "kept")),
        ("topics", "scale", "8", "--execute", *app),
    ]


def library_document() -> Any:

    newest = packaged_library().chain("L.2.03.402").newest
    assert newest is not None
    return newest.document


def ends(found: Settings) -> dict[str, int]:
    """How many records each topic has, and of how many partitions."""
    names = [one.name for one in TOPICS if one.name != AUDIT]
    there = {name: len(everything_on(found, name)) for name in names}
    with apply_topics.admin(found) as client:
        return there | apply_topics.counts(client, found)


@pytest.mark.broker
def test_without_the_topic_no_command_acts(found: Settings, tmp_path: Path) -> None:
    (tmp_path / "requests.jsonl").write_bytes(request(request_id="R-1"))
    asked = commands(found, tmp_path)
    without_the_topic(found)
    before = ends(found)

    for one in asked:
        ran = run(found, *one)
        said = " ".join(ran.err.split())
        assert (ran.code, "nothing was done" in said, found.topic(AUDIT) in said) == (1, True, True), (one, said)

    assert ends(found) == before
    assert not (tmp_path / "kept").exists()


@pytest.mark.broker
def test_where_the_brokers_refuse_the_record_no_command_acts(found: Settings, tmp_path: Path) -> None:
    (tmp_path / "requests.jsonl").write_bytes(request(request_id="R-1"))
    asked = commands(found, tmp_path)
    refuse(found)
    before = ends(found)

    for one in asked:
        ran = run(found, *one)
        said = " ".join(ran.err.split())
        assert (ran.code, "does not take a record of it" in said) == (1, True), (one, said)

    assert ends(found) == before
    assert not (tmp_path / "kept").exists()


def refuse(found: Settings) -> None:
    """Have the brokers take no record there that says anything."""
    with apply_topics.admin(found) as client:
        apply_topics.set_on_topic(client, found.topic(AUDIT), {"max.message.bytes": "80"})


@pytest.mark.broker
def test_topics_apply_makes_the_topic_and_is_recorded_there(found: Settings) -> None:
    without_the_topic(found)

    applied = run(found, "topics", "apply", "--partitions", "4")

    assert (applied.code, f"created: {found.topic(AUDIT)}" in applied.err) == (0, True), applied.err
    assert outcomes(found, "topics apply") == [("begun", None), ("done", None)]


# --- what is told --------------------------------------------------------------------------------------------------


@pytest.mark.broker
def test_what_commands_did_is_shown_the_newest_first(found: Settings, tmp_path: Path) -> None:
    (tmp_path / "requests.jsonl").write_bytes(request(request_id="R-SECRET"))
    asked = commands(found, tmp_path)
    dry = [tuple(part for part in one if part != "--execute") for one in asked if "--execute" in one]

    for one in dry:
        run(found, *one)
    unrecorded = run(found, "audit", "-o", "jsonl")
    for one in asked[:-1]:
        ran = run(found, *one)
        assert ran.code == 0, (one, ran.err)
    table, lines = run(found, "audit"), run(found, "audit", "-o", "jsonl")
    told = [json.loads(line) for line in lines.out.splitlines()]
    later = run(found, "audit", "--since", (datetime.now(UTC) + timedelta(hours=1)).isoformat(), "-o", "jsonl")
    kind = run(found, "audit", "--what", "archive", "--since", "2020-01-01", "-o", "jsonl")

    assert unrecorded.out == ""
    assert [one["what"] for one in told] == [
        *("archive", "policy publish", "reset-offset", "dead-letters redrive", "publish")
    ]
    assert {one["outcome"] for one in told} == {"done"}
    assert {one["who"]["user"] for one in told} == {ME}
    assert told[-1]["arguments"] == {"topics": [found.topic(REQUESTS)], "count": 1}
    assert told[1]["arguments"]["revision"] == "2026-01-05"
    assert "R-SECRET" not in table.out + lines.out + str([one.value for one in everything_on(found, AUDIT)])
    assert "5 acts" in table.err
    assert later.out == ""
    assert [json.loads(line)["what"] for line in kind.out.splitlines()] == ["archive"]


@pytest.mark.broker
def test_what_is_no_act_is_passed_over(found: Settings) -> None:
    with acting(found, "restore"):
        pass
    producer = KafkaProducer(**connect.client(found))
    for value in (b"{", b"[]", b'{"specversion":"1.0","data":{"what":"restore"}}', None):
        producer.send(found.topic(AUDIT), value, key=b"k")
    forged = Acted(act="0" * 32, what="archive", who=Actor(user="\x1b[2J[bold]"), arguments=Arguments(), outcome="done")
    producer.send(found.topic(AUDIT), json.dumps({"specversion": "1.0", "data": json.loads(forged.to_json())}).encode())
    producer.close()

    ran = run(found, "audit")

    assert [one.last.what for one in acts(found)] == ["archive", "restore"]
    assert ran.err.count("record_passed_over") == 4
    assert "\x1b" not in ran.out
    assert "\\x1b[2J[bold]" in ran.out


def test_a_wrong_option_and_an_absent_topic_are_sentences(bootstrap: str, prefix: str) -> None:
    for arguments, sentence in (
        (("--what", "thinking"), "nothing recorded is called thinking; there is topics apply"),
        (("--since", "yesterday"), "--since yesterday: neither a day nor an instant"),
        ((), f"has no topic {prefix}dli.audit"),
    ):
        ran = dli("audit", *arguments, "--bootstrap", bootstrap, "--topic-prefix", prefix)
        assert (ran.code, sentence in " ".join(ran.err.split()), "Traceback" in ran.err) == (1, True, False), ran.err


def test_what_is_made_on_this_machine_is_told_in_the_log(tmp_path: Path) -> None:
    made = dli("policy", "keygen", str(tmp_path / "key.pem"), "--name", "Office", "--policy", "L.2.03.402")

    assert made.code == 0
    assert "acting_here" in made.err
    assert ME in made.err
    assert "policy keygen" in made.err


# --- plain functions -----------------------------------------------------------------------------------------------

AT = datetime(2026, 1, 1, tzinfo=UTC)


def told(act: int, outcome: Any, minute: int) -> RecordedAct:
    content = Acted(act=f"{act:032x}", what="publish", who=Actor(), arguments=Arguments(), outcome=outcome)
    return RecordedAct(AT + timedelta(minutes=minute), content)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["begun", "done", "refused", "failed"])), max_size=20))
def test_an_act_is_one_entry_and_its_end_is_never_lost(some: list[tuple[int, str]]) -> None:
    """An act is one entry, whatever records there are of it, and its end is never lost."""
    records = [told(act, outcome, minute) for minute, (act, outcome) in enumerate(some)]

    found = joined(records)

    assert sorted(int(one.last.act, 16) for one in found) == sorted({act for act, _ in some})
    for one in found:
        own = [record for record in records if record.acted.act == one.last.act]
        over = [record for record in own if record.acted.outcome != "begun"]
        assert one.at == own[0].at
        assert one.until == (over[-1].at if over else None)
        assert one.last == (over[-1] if over else own[0]).acted


@given(st.lists(st.text(max_size=40)))
def test_only_ids_of_letters_are_told(some: list[str]) -> None:
    ours = ["0123456789abcdef" * 2] * 120

    assert letter_ids([*some, *ours])[-1] == ours[0]
    assert len(letter_ids([*some, *ours])) == MOST_LETTERS
    Arguments(letters=letter_ids(some))


def test_who_is_all_that_there_is() -> None:
    plain = ourselves(read(topic_prefix=""))

    assert (plain.user, plain.kafka_user, plain.key) == (ME, None, None)
    assert ourselves(read(topic_prefix=""), key="Office").key == "Office"
    with pytest.raises(UnrecordedError), acting(read(bootstrap="127.0.0.1:1"), "archive"):
        raise AssertionError
