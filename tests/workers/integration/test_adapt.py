"""`dli adapt`: every message of the files becomes an object, without a broker."""

import json
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.commands import Ran, dli
from tests.support.interop_samples import ABSENT, SAMPLES, files
from tests.support.x12_messages import PARTNER, message, request, written
from workers.demo.platform import MESSAGES as DEMO

FIELDS = {"message", "request", "dead_letter", "decision", "response", "ignored"}


@pytest.fixture
def partner(tmp_path: Path) -> Path:
    file = tmp_path / "partner.json"
    file.write_text(json.dumps(PARTNER.model_dump(mode="json", by_alias=True, exclude_none=True)))
    return file


def message_file(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def adapted(ran: Ran) -> list[dict[str, Any]]:
    assert "Traceback" not in ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def test_a_request_is_decided_and_answered(tmp_path: Path, partner: Path) -> None:
    file = message_file(tmp_path, "one.edi", message(1))

    [one] = adapted(dli("adapt", file, "--partner", str(partner), "-o", "jsonl"))

    assert set(one) == FIELDS
    assert one["dead_letter"] is None
    assert one["decision"]["request_id"] == one["request"]["request_id"]
    assert one["response"].startswith("ISA")


def test_a_278_is_named_by_the_digest_of_its_transaction_set(tmp_path: Path) -> None:
    """SHA-256 from BHT up to SE, with the usual delimiters; a backslash before what would read as one."""
    own = DEMO / "request.edi"
    segments = [segment.strip() for segment in own.read_text().split("~")]
    between = segments[next(at for at, one in enumerate(segments) if one.startswith("BHT")) : -4]
    assert between[-1].startswith("SV1")
    other = own.read_bytes().replace(b"*", b"|").replace(b"BAYOU HEALTH PLAN", b"BAYOU*HEALTH PLAN")
    escaped = "~".join(between).replace("BAYOU HEALTH PLAN", "BAYOU\\*HEALTH PLAN")

    usual, odd = adapted(
        dli("adapt", str(own), message_file(tmp_path, "odd.edi", other), "--partner", str(DEMO / "partner.yaml"))
    )

    assert usual["message"] == sha256("~".join(between).encode()).hexdigest()
    assert odd["message"] == sha256(escaped.encode()).hexdigest()


def test_a_bundle_is_named_by_the_digest_of_its_canonical_json(tmp_path: Path) -> None:
    own = DEMO / "claim.json"
    canonical = json.dumps(json.loads(own.read_bytes()), sort_keys=True, separators=(",", ":")).encode()
    assert canonical.isascii()
    broken = message_file(tmp_path, "broken.json", b'{"resourceType":')

    bundle, no_json = adapted(dli("adapt", str(own), broken, "--partner", str(DEMO / "partner.yaml")))

    assert bundle["message"] == sha256(canonical).hexdigest()
    assert bundle["request"]["request_id"].endswith(f"~{bundle['message'][:12]}")
    assert no_json["message"] == sha256(b'{"resourceType":').hexdigest()


def test_a_message_that_follows_none_of_these_says_so(tmp_path: Path) -> None:
    """As one whose member is another's: it is decided by itself."""
    asks, answers = DEMO / "claim.json", DEMO / "claim-answers.json"
    other = message_file(tmp_path, "other.json", answers.read_bytes().replace(b"BHP00051040", b"BHP00051041"))
    where = ("--partner", str(DEMO / "partner.yaml"))

    _, joined = adapted(dli("adapt", str(asks), str(answers), *where))
    _, alone = adapted(dli("adapt", str(asks), other, *where))

    assert (joined["ignored"], "supersedes" in joined["request"]) == ([], True)
    assert "supersedes" not in alone["request"]
    assert [note for note in alone["ignored"] if "follows an earlier message" in note]


def test_a_repeat_gets_the_same_answer_and_makes_no_request(tmp_path: Path, partner: Path) -> None:
    file = message_file(tmp_path, "one.edi", message(1))

    first, again = adapted(dli("adapt", file, file, "--partner", str(partner)))

    assert again["request"] is None
    assert again["decision"] == first["decision"]
    assert again["response"] == first["response"]


def test_the_same_files_always_give_the_same_output(tmp_path: Path, partner: Path) -> None:
    arguments = ["adapt", message_file(tmp_path, "one.edi", message(2)), "--partner", str(partner)]

    assert dli(*arguments).out == dli(*arguments).out


@pytest.mark.parametrize("content", [b"", b"hello", b"<xml/>", b"\xff\xfe\x00", b"[1]"])
def test_what_is_no_message_becomes_a_dead_letter(tmp_path: Path, partner: Path, content: bytes) -> None:
    ran = dli("adapt", message_file(tmp_path, "one", content), "--partner", str(partner))

    [one] = adapted(ran)
    assert ran.code == 3
    assert one["dead_letter"]["reason"] == "undecodable"
    assert one["request"] is one["decision"] is one["response"] is None


def test_a_partner_with_mistakes_is_refused_with_its_file(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("time_zone: Mars\n")
    ran = dli("adapt", message_file(tmp_path, "one.edi", message(1)), "--partner", str(wrong))

    assert ran.code == 1
    assert "wrong.yaml:1: time_zone" in ran.err


def test_a_time_that_is_none_is_refused(tmp_path: Path, partner: Path) -> None:
    file = message_file(tmp_path, "one.edi", message(1))
    ran = dli("adapt", file, "--partner", str(partner), "--received", "yesterday")

    assert ran.code == 1
    assert "--received" in ran.err


def wanted(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.with_suffix(".expected.json").read_bytes())
    return found


@pytest.mark.skipif(SAMPLES is None, reason=ABSENT)
@pytest.mark.parametrize(("folder", "ending"), [("x12", "edi"), ("pas", "json")])
def test_every_sample_becomes_what_the_contract_says(folder: str, ending: str) -> None:
    assert SAMPLES is not None
    samples = files(folder, ending)
    assert len(samples) == 6
    ran = dli("adapt", *map(str, samples), "--partner", str(SAMPLES / "partner.json"))

    found = iter(adapted(ran))
    for file in samples:
        expected = wanted(file)
        for accepted in expected.get("accepted", ()):
            one = next(found)
            assert one["dead_letter"] is None, file.name
            assert one["request"]["request_id"].startswith(accepted["request_id"].split("<")[0]), file.name
            assert one["decision"]["action"] == expected["decided"]["action"], file.name
            lines = {str(line["line"]): line["determination"] for line in one["decision"]["lines"]}
            assert lines == expected["decided"]["lines"], file.name
            assert one["response"], file.name
        if "dead_letter" in expected:
            letter = next(found)["dead_letter"]
            assert letter["reason"] == expected["dead_letter"]["reason"], file.name
            assert [error["path"] for error in letter["errors"]] == expected["dead_letter"]["paths"], file.name
    assert next(found, None) is None


def test_each_transaction_of_an_interchange_has_its_object(tmp_path: Path, partner: Path) -> None:
    chance = Random(5)
    file = message_file(tmp_path, "three.edi", written(request(chance), request(chance), request(chance)))

    assert len(adapted(dli("adapt", file, "--partner", str(partner)))) == 3


def test_a_message_that_is_itself_an_answer_has_no_response(tmp_path: Path, partner: Path) -> None:
    [asked] = adapted(dli("adapt", message_file(tmp_path, "one.edi", message(1)), "--partner", str(partner)))
    answer = message_file(tmp_path, "answer.edi", asked["response"].encode())

    [one] = adapted(dli("adapt", answer, "--partner", str(partner)))

    assert one["dead_letter"]["reason"] == "unsupported_type"
    assert one["response"] is None
