"""The command line: data on standard output, messages on standard error, an exit code that tells."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from policy_core.history.library import PACKAGED
from tests.support import generator, naive
from tests.support.commands import Ran, dli
from tests.support.places import POLICIES
from tests.support.running import everything_on, settings_for
from workers.demo.run import REQUESTS_FILE
from workers.topics import apply_topics

DOCUMENT = PACKAGED / "L.2.03.402.yaml"


def as_naive(decision: dict[str, Any]) -> dict[str, Any]:
    """A decision in the second evaluation's form."""
    due = decision.get("due_at")
    return {
        "stage": decision["stage"],
        "action": decision["action"],
        "due_at": due and datetime.fromisoformat(due),
        "waiting": decision["clock"]["state"] == "waiting_for_information",
        "lines": [
            {
                "line": line["line"],
                "determination": line["determination"],
                "reasons": sorted(line["reasons"]),
                "action": line["action"],
                "valid_through": line.get("valid_through"),
                "missing": sorted(one["fact"] for one in line["missing"]),
                "revision": line["policy"].get("revision"),
                "conflicts": sorted(one["fact"] for one in line["missing"] if "conflict" in one),
            }
            for line in decision["lines"]
        ],
    }


def expected(request: dict[str, Any], *clocks: naive.ClockRule) -> dict[str, Any]:
    """What the second evaluation says of a request, in the same form."""
    found = naive.decide_request(request, *clocks)
    return {
        "stage": found["stage"],
        "action": found["action"],
        "due_at": found["due_at"] and datetime.fromisoformat(found["due_at"]),
        "waiting": found["clock_state"] == "waiting_for_information",
        "lines": [{**line, "reasons": sorted(line["reasons"])} for line in found["lines"]],
    }


def test_decide_equals_the_second_evaluation() -> None:
    """The decide command equals the second evaluation on five thousand requests."""
    requests = [one for one in generator.requests(20_260, 5_000) if isinstance(one, dict)]

    ran = dli("decide", "-", given=b"\n".join(generator.encode(one) for one in requests))

    decisions = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 0
    assert [one["request_id"] for one in decisions] == [one["request_id"] for one in requests]
    assert [as_naive(one) for one in decisions] == [expected(one) for one in requests]


def test_decide_equals_the_second_evaluation_under_other_clocks(tmp_path: Path) -> None:
    """With a clock that starts at submission, and with another clock of appeals, it equals the second evaluation."""
    requests = [one for one in generator.requests(20_261, 1_500) if isinstance(one, dict)]
    given = b"\n".join(generator.encode(one) for one in requests)
    text, state = DOCUMENT.read_text("utf-8"), "ms-prior-authorization-reform-act"
    usual = f"commercial, clock: {state}}}"
    for clocks, assigned in (
        ((naive.CMS_0057_F,), "commercial, clock: cms-0057-f}"),
        ((naive.MISSISSIPPI, naive.CMS_0057_F), f"commercial, clock: {state}, appeals: cms-0057-f}}"),
        ((naive.CMS_0057_F, naive.MISSISSIPPI), f"commercial, clock: cms-0057-f, appeals: {state}}}"),
    ):
        assert usual in text
        (tmp_path / DOCUMENT.name).write_text(text.replace(usual, assigned), "utf-8")

        ran = dli("decide", "-", "--policies", str(tmp_path), given=given)

        decisions = [json.loads(line) for line in ran.out.splitlines()]
        assert ran.code == 0
        assert [as_naive(one) for one in decisions] == [expected(one, *clocks) for one in requests]


def test_decide_answers_every_line_in_order() -> None:
    """The decide command answers every line in order, including those it cannot decide."""
    items = list(generator.requests(8, 60, malformed=0.2))
    lines = [generator.encode(one) for one in items if b"\n" not in generator.encode(one)]
    lines = [line for line in lines if line.strip()]

    ran = dli("decide", "-", given=b"\n".join(lines))

    answers = [json.loads(line) for line in ran.out.splitlines()]
    assert len(answers) == len(lines)
    for line, answer in zip(lines, answers, strict=True):
        if "decision_id" in answer:
            assert json.loads(line)["request_id"] == answer["request_id"]
        else:
            assert answer["reason"] in {"undecodable", "schema_violation"}


def test_decide_gives_the_same_bytes_again(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_bytes(b"\n".join(generator.encode(one) for one in generator.requests(9, 200)))

    assert dli("decide", str(file)).out == dli("decide", str(file)).out


def test_decide_shows_a_table() -> None:
    ran = dli("decide", str(REQUESTS_FILE), "-o", "table")

    assert ran.code == 3
    assert "PA-2025-00114" in ran.out
    assert "investigational" in ran.out
    assert "Federal Employee Program" in ran.out


@pytest.mark.parametrize(
    ("request_id", "sentences"),
    [
        ("PA-2025-00101", ["A1 certified in total", "derived from icd-10-cm C92.02", "S1: yes", "revision 2025-03-28"]),
        ("PA-2025-00109", ["A4 pended", "What is missing", "Is the chimerism mixed"]),
        ("PA-2025-00114", ["a physician decides; this is a recommendation", "S4: yes"]),
        ("PA-2025-00123", ["contradicts itself", "C92.02 says hematologic, but icd-10-cm C50.911 says nonhematologic"]),
        ("PA-2025-00125", ["CT contact payer", "Service Benefit Plan decides"]),
        ("PA-2025-00136", ["Not decided", "urgency: should be 'standard' or 'expedited'"]),
    ],
)
def test_explain_says_it_as_a_person_reads_it(request_id: str, sentences: Sequence[str]) -> None:
    ran = dli("explain", str(REQUESTS_FILE), "--request", request_id)

    text = " ".join(ran.out.split())
    assert ran.code == 0
    assert [sentence for sentence in sentences if sentence not in text] == []


def test_bad_input_is_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    document = tmp_path / "X.yaml"
    document.write_text("format: 1\nnumber: X\n", "utf-8")

    for arguments, sentence in (
        (("decide", "nowhere.jsonl"), "nowhere.jsonl: No such file or directory"),
        (("explain", str(REQUESTS_FILE), "--request", "PA-0"), "no request with that id"),
        (("policy", "verify-source", "X.9", str(document)), "no policy X.9"),
        (("policy", "check", str(document)), "missing; write `title: …`"),
        (("decide", "-", "--policies", str(tmp_path / "none")), "no such folder"),
        (("topics", "apply", "--bootstrap", "127.0.0.1:1"), "is Kafka there"),
        (("topics", "apply", "--bootstrap", "nonsense"), "DLI_BOOTSTRAP"),
    ):
        ran = dli(*arguments)
        assert (ran.code, sentence in " ".join(ran.err.split()), "Traceback" in ran.err) == (1, True, False), ran.err


def test_a_wrong_option_is_a_usage_error() -> None:
    assert dli("decide", "--no-such-option").code == 2


def test_policy_check_says_that_every_case_is_decided() -> None:
    ran = dli("policy", "check", str(DOCUMENT))

    assert ran.code == 0
    assert ran.out.count("every one of 46,656 cases is decided, every rule can apply") == 2


def test_verify_source_exits_3_and_names_what_does_not_match(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("This is another policy's text.\n", "utf-8")

    ran = dli("policy", "verify-source", "L.2.03.402", str(text))

    assert ran.code == 3
    assert "line 1: no element claims this sentence: This is another policy's text." in " ".join(ran.out.split())
    assert "S1: cites policy 2, which is not in the text" in " ".join(ran.out.split())


def test_schemas_check_exits_0_when_all_are_as_generated() -> None:
    assert dli("schemas", "check").code == 0


def test_help_names_every_command() -> None:
    ran = dli("--help")

    assert [
        name for name in ("worker", "decide", "explain", "publish", "tail", "policy", "topics") if name not in ran.out
    ] == []


@pytest.mark.broker
def test_publish_then_tail_gives_back_what_was_published(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    found = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(found)
    where = ("--bootstrap", bootstrap, "--topic-prefix", prefix)
    bare = [generator.encode(one) for one in generator.requests(12, 20)]

    published = dli("publish", "-", *where, given=b"\n".join(bare))
    tailed = dli("tail", "authorization.requests", "--from-beginning", "--until-end", *where)
    first = dli("tail", "authorization.requests", "--from-beginning", "-n", "1", *where)
    records = everything_on(found, "authorization.requests")

    assert (published.code, tailed.code, first.code) == (0, 0, 0)
    assert "20 published" in published.err
    events = [json.loads(line) for line in tailed.out.splitlines()]
    assert {one["data"]["request_id"] for one in events} == {json.loads(line)["request_id"] for line in bare}
    assert {one["type"] for one in events} == {"authorization.requested.v1"}
    assert all(one.key.decode() == json.loads(one.value)["data"]["request_id"] for one in records)
    assert len(first.out.splitlines()) == 1


@pytest.mark.broker
def test_tail_of_a_topic_that_is_not_there_is_a_sentence(bootstrap: str) -> None:
    ran = dli("tail", "no.such.topic", "--until-end", "--bootstrap", bootstrap)

    assert ran.code == 1
    assert "no topic no.such.topic" in ran.err


def test_another_insurers_policy_is_decided_without_new_code() -> None:
    """Another insurer's policy is decided from a folder without a change of code."""
    here = POLICIES
    header = {"urgency": "standard", "certification": "initial", "submitted_at": "2025-03-01T09:00:00Z"}
    people = {
        "member": {"member_id": "M-1", "line_of_business": "commercial"},
        "provider": {"npi": "1234567893"},
    }
    line = {"line": 1, "system": "hcpcs", "code": "E2103", "units": 1, "service_date": "2025-03-10"}
    common = {**header, **people, "service_lines": [line], "policy_number": "EV-12"}
    asked = {
        "gestational": {"diabetes": {"type": "gestational"}, "monitor": "personal"},
        "professional": {"monitor": "professional"},
        "unknown fact": {"chimerism": "mixed"},
        "nothing": {},
    }
    requests = [{"request_id": name, **common, "clinical": clinical} for name, clinical in asked.items()]
    folders = ("--policies", str(here), "--policies", str(PACKAGED))

    ran = dli("decide", "-", *folders, given=b"\n".join(json.dumps(one).encode() for one in requests))
    only_packaged = dli("decide", "-", given=json.dumps(requests[0]).encode())

    gestational, professional, unknown, nothing = (json.loads(one) for one in ran.out.splitlines())
    assert ran.code == 3
    assert gestational["lines"][0]["determination"] == "investigational"
    assert professional["lines"][0]["reasons"] == ["professional_monitor"]
    assert (unknown["reason"], unknown["errors"][0]["path"]) == ("schema_violation", "clinical.?")
    assert {one["fact"] for one in nothing["lines"][0]["missing"]} == {
        "clinical.diabetes.type",
        "clinical.diabetes.insulin",
        "clinical.hypoglycemia",
        "clinical.monitor",
    }
    assert json.loads(only_packaged.out)["reason"] == "unknown_policy"


# --- how it ends ---------------------------------------------------------------------------------------------------


def first_line_only(*arguments: str) -> Ran:
    """Run a command whose reader goes away behind the first line, if there is any."""
    command = [sys.executable, "-m", "workers.main", *arguments]
    with subprocess.Popen(  # noqa: S603 (our own command)
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        first = running.stdout.readline()
        running.stdout.close()
        said = running.stderr.read()
        return Ran(running.wait(60), first.decode(), said.decode())


@pytest.mark.parametrize(
    "arguments",
    [
        ("topics", "show"),
        ("rights",),
        ("policy", "history", "L.2.03.402"),
        ("policy", "list"),
        ("decide", "--help"),
        ("--help",),
    ],
    ids=" ".join,
)
def test_a_reader_that_has_enough_is_no_error(arguments: Sequence[str]) -> None:
    ran = first_line_only(*arguments)

    assert (ran.code, ran.err) == (0, "")
    assert ran.out


GOOD = [generator.encode(generator.request(5, number)) for number in range(500)]
"""Their answers are many times what a pipe holds."""


@pytest.mark.parametrize(
    ("lines", "options", "code"),
    [
        (GOOD, (), 141),
        ([b"{}", *GOOD], (), 3),
        ([*GOOD, b"{}"], (), 141),
        (GOOD, ("-o", "table"), 0),
        ([b"{}", *GOOD], ("-o", "table"), 3),
        ([*GOOD, b"{}"], ("-o", "table"), 3),
    ],
    ids=["lines", "refused first", "refused last", "table", "table, refused first", "table, refused last"],
)
def test_decide_that_is_not_read_to_its_end_says_what_it_knows(
    lines: Sequence[bytes], options: Sequence[str], code: int, tmp_path: Path
) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_bytes(b"\n".join(lines))

    ran = first_line_only("decide", str(file), *options)

    assert (ran.code, "error" in ran.err, "Traceback" in ran.err) == (code, False, False)


def test_a_command_that_loses_its_reader_ends_as_if_by_a_signal() -> None:
    """A command that writes more than is read ends as if a signal had ended it."""
    ran = first_line_only("generate", "--count", "100000000")

    assert (ran.code, ran.err) == (141, "")
    assert ran.out


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_report_that_nobody_reads_has_its_own_code(output: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [
        sys.executable,
        "-m",
        "workers.main",
        "policy",
        "diff",
        "L.2.03.402",
        "2011-08-11",
        "2016-03-08",
        "-o",
        output,
    ]

    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=120)  # noqa: S603
    os.close(writing)

    assert (done.returncode, done.stderr) == (3, b"")


@pytest.mark.parametrize("buffering", ["", "1"], ids=["at the end", "at once"])
def test_a_reader_that_never_reads_is_no_error_at_the_last_flush(buffering: str) -> None:
    """A reader that never reads is no error at the last flush either."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "workers.main", "policy", "list"]

    done = subprocess.run(  # noqa: S603 (our own command)
        command, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=120,
        env={**os.environ, "PYTHONUNBUFFERED": buffering},
    )  # fmt: skip
    os.close(writing)

    assert (done.returncode, done.stderr) == (0, b"")


def test_unread_messages_do_not_change_the_data() -> None:
    """Messages that nobody reads change nothing about the data."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "workers.main", "decide", str(REQUESTS_FILE)]

    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=writing, check=False, timeout=120)  # noqa: S603
    os.close(writing)

    assert (done.returncode, len(done.stdout.splitlines())) == (3, 39)


def test_a_full_disk_is_a_sentence_and_not_the_inputs_fault() -> None:
    command = [sys.executable, "-m", "workers.main", "decide", str(REQUESTS_FILE)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, timeout=120)  # noqa: S603

    assert (done.returncode, done.stderr.decode()) == (1, "error: standard output: No space left on device\n")


def test_without_a_standard_output_a_command_works_all_the_same() -> None:
    done = subprocess.run(  # noqa: S602 (our own command; only a shell closes it)
        f"{sys.executable} -m workers.main topics show >&-",
        shell=True,
        stderr=subprocess.PIPE,
        check=False,
        timeout=120,
    )

    assert (done.returncode, done.stderr) == (0, b"")


# --- files that are no lines of JSON -------------------------------------------------------------------------------


def test_decide_exits_3_and_names_the_refused_lines(tmp_path: Path) -> None:
    """The decide command exits with 3 and names the lines where some were refused."""
    good = [generator.encode(generator.request(5, number)) for number in range(3)]
    file = tmp_path / "requests.jsonl"
    file.write_bytes(b"\n".join([good[0], b"no request", b"", good[1], b"{}", good[2]]))

    whole, bad = dli("decide", "-", given=b"\n".join(good)), dli("decide", str(file))
    worst = dli("decide", "-", given=b"bad\n" * 30)

    assert (whole.code, whole.err) == (0, "")
    assert bad.code == 3
    assert " ".join(bad.err.split()) == (
        f"{file}: 2 of 5 events could not be decided: line 2 (undecodable), line 5 (schema_violation)"
    )
    assert len(bad.out.splitlines()) == 5
    assert (worst.code, worst.err.count("undecodable")) == (3, 20)
    assert worst.err.endswith("line 20 (undecodable), and 10 more\n")


@pytest.mark.parametrize(
    "written",
    [gzip.compress, lambda raw: raw.decode().encode("utf-16"), lambda raw: b"[" + raw.replace(b"\n", b",\n") + b"]"],
    ids=["gzip", "UTF-16", "array"],
)
def test_decide_and_explain_read_a_file_however_it_is_written(
    tmp_path: Path, written: Callable[[bytes], bytes]
) -> None:
    requests = b"\n".join(generator.encode(generator.request(5, number)) for number in range(20))
    file = tmp_path / "requests"
    file.write_bytes(written(requests))

    assert dli("decide", str(file)) == dli("decide", "-", given=requests)
    assert dli("explain", str(file), "--request", json.loads(requests.splitlines()[3])["request_id"]).code == 0


def test_a_file_of_another_kind_gives_one_sentence(tmp_path: Path) -> None:
    """A file of another kind gives one sentence and no dead letters."""
    file = tmp_path / "requests.zst"
    file.write_bytes(b"\x28\xb5\x2f\xfd" + b"\n" * 40)

    for arguments in (("decide", str(file)), ("publish", str(file), "--bootstrap", "127.0.0.1:1")):
        ran = dli(*arguments)
        assert (ran.code, ran.out) == (1, "")
        assert "is compressed with zstd: hand over what `zstd -dc` makes of it" in " ".join(ran.err.split())


@pytest.mark.broker
def test_publish_takes_what_decide_takes_or_nothing(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """Publish takes what decide takes, and nothing of a file that cannot be read to its end."""
    found = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(found)
    where = ("--bootstrap", bootstrap, "--topic-prefix", prefix)
    bare = b"\n".join(generator.encode(generator.request(12, number)) for number in range(300))
    cut, whole = tmp_path / "cut.gz", tmp_path / "whole"
    cut.write_bytes(gzip.compress(bare)[:-1_000])
    whole.write_bytes(gzip.compress(json.dumps([json.loads(line) for line in bare.splitlines()], indent=1).encode()))

    refused = dli("publish", str(cut), *where)
    before = everything_on(found, "authorization.requests")
    published = dli("publish", str(whole), *where)
    records = everything_on(found, "authorization.requests")

    assert (refused.code, len(before)) == (1, 0)
    assert "damaged or cut off" in refused.err
    assert (published.code, len(records)) == (0, 300), published.err
    assert {json.dumps(json.loads(one.value)["data"]) for one in records} == {
        json.dumps(json.loads(line)) for line in bare.splitlines()
    }


@pytest.mark.broker
def test_an_event_too_large_for_kafka_is_named(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """An event too large for Kafka is named, and the others are published."""
    found = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(found)
    good = [generator.encode(generator.request(12, number)) for number in range(2)]
    large = b'{"request_id":"PA-1","note":"' + b"x" * 2_100_000 + b'"}'

    ran = dli(
        "publish", "-", "--bootstrap", bootstrap, "--topic-prefix", prefix, given=b"\n".join([good[0], large, good[1]])
    )

    assert ran.code == 3
    assert "line 2 (2,100,031 bytes)" in ran.err
    assert "2 published" in ran.err
    assert len(everything_on(found, "authorization.requests")) == 2


@pytest.mark.broker
def test_publish_reports_missing_topics_before_it_sends(bootstrap: str, prefix: str) -> None:
    """Publishing to topics that do not exist is reported before anything is sent."""
    ran = dli("publish", str(REQUESTS_FILE), "--bootstrap", bootstrap, "--topic-prefix", prefix)

    said = " ".join(ran.err.split())
    assert ran.code == 1
    assert f"{bootstrap} has no topic {prefix}authorization.requests: nothing was published" in said
    assert "`dli topics apply`" in said
