"""Platforms' own messages are sent as they are, to the topic of their format, and their answers shown as they came."""

import json
from pathlib import Path

import pytest

from events.topics import AUDIT, PAS_REQUESTS, X12_REQUESTS, X12_RESPONSES
from tests.support.commands import dli
from tests.support.running import everything_on, settings_for
from workers.configuration.settings import Settings
from workers.demo.platform import MESSAGES
from workers.kafka.records import OutgoingRecord
from workers.topics import apply_topics
from workers.traffic.commands import sent
from workers.traffic.platform_messages import interchange_text

CLAIM, INTERCHANGE = MESSAGES / "claim.json", MESSAGES / "request.edi"


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    return made


def where(found: Settings) -> tuple[str, ...]:
    return ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)


@pytest.mark.broker
def test_a_message_is_sent_as_it_is_to_the_topic_of_its_format(found: Settings) -> None:
    both = [
        dli("publish", "--messages", str(file), "--partner", "riverbend", *where(found))
        for file in (CLAIM, INTERCHANGE)
    ]
    piped = dli("publish", "--messages", "-", *where(found), given=INTERCHANGE.read_bytes())
    [claim] = everything_on(found, PAS_REQUESTS)
    interchanges = everything_on(found, X12_REQUESTS)
    acts = [json.loads(one.value) for one in everything_on(found, AUDIT)]

    assert [ran.code for ran in (*both, piped)] == [0, 0, 0]
    assert f"1 published to {found.topic(PAS_REQUESTS)}" in both[0].err
    assert (claim.value, claim.key, claim.headers) == (CLAIM.read_bytes(), b"riverbend", [("partner", b"riverbend")])
    assert [one.value for one in interchanges] == [INTERCHANGE.read_bytes()] * 2
    assert sorted(dict(one.headers).get("partner", b"") for one in interchanges) == [b"", b"riverbend"]
    done = [one["data"] for one in acts if one["data"]["outcome"] == "done"]
    assert [one["what"] for one in done] == ["publish"] * 3
    assert done[0]["arguments"] == {"topics": [found.topic(PAS_REQUESTS)], "count": 1}


@pytest.mark.broker
def test_an_interchange_is_shown_as_harmless_text(found: Settings) -> None:
    answers = [b"ISA*00*~ST*278~", b"ISA|00|\r\nNM1|1P|M\xfcller\x1b[2J\r\n", b"\xff\xfe"]
    list(sent([OutgoingRecord(found.topic(X12_RESPONSES), b"k", one) for one in answers], found))

    tailed = dli("tail", X12_RESPONSES, "--from-beginning", "--until-end", *where(found))

    *shown, last = tailed.out.splitlines()
    assert shown == ["ISA*00*~ST*278~", "ISA|00|", "NM1|1P|Müller\\x1b[2J"]
    assert json.loads(last)["passed_over"] == "2 bytes that are not JSON"


@pytest.mark.parametrize("content", [b"", b"<xml/>", b"{" + b" " * 1_000_000])
def test_what_is_no_message_is_not_sent(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "message"
    file.write_bytes(content)

    ran = dli("publish", "--messages", str(file))

    assert ran.code == 1
    assert "nothing was published" in ran.err


def test_a_partner_is_for_messages_only() -> None:
    ran = dli("publish", str(CLAIM), "--partner", "riverbend")

    assert (ran.code, "add --messages" in ran.err) == (1, True)


@pytest.mark.parametrize("name", ["", "Odessa Tillman", "x" * 65])
def test_a_name_that_no_partner_can_have_is_refused(name: str) -> None:
    ran = dli("publish", "--messages", str(CLAIM), "--partner", name)

    assert (ran.code, "--partner: should be a trading partner's name" in ran.err) == (1, True)


@pytest.mark.parametrize("value", [None, b"", b"{}", b'{"ISA": 1}'])
def test_only_an_interchange_is_text(value: bytes | None) -> None:
    assert interchange_text(value) is None
