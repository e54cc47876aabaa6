"""Dead letters, shown without what is personal and sent again without looping, doubling or changing an answer."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from events.dead_letter import DeadLetter
from events.decode import RejectedError
from events.envelope import header
from events.topics import DEAD_LETTERS, DECISIONS, PAS_REQUESTS, REQUESTS
from policy_core.history.library import PACKAGED
from tests.support import generator
from tests.support.commands import Ran, dli
from tests.support.packaged import packaged_library
from tests.support.places import POLICIES
from tests.support.requests import record, request
from tests.support.reviews import adverse, event
from tests.support.running import eventually, everything_on, publish, settings_for, worker
from workers.accounts import account
from workers.configuration.settings import Settings, read
from workers.console.exit_codes import CommandError
from workers.dead_letters.commands import chosen
from workers.dead_letters.masking import masked
from workers.dead_letters.read import TRIES, StoredDeadLetter, letters, read_letter
from workers.dead_letters.redrive import FROM, again, planned, redrive, refusal
from workers.dead_letters.write import dead_letter, rejection
from workers.decide.handler import DecisionHandler
from workers.kafka.reader import data_of
from workers.kafka.records import Headers, Record, Unreadable
from workers.topics import apply_topics
from workers.traffic.commands import sent

MARK = "MARKED-7f3a"
SETTINGS = read(topic_prefix="t.")
OTHER_POLICIES = POLICIES


def letter(reason: Any = "unknown_policy", headers: Headers = (), **changes: Any) -> StoredDeadLetter:
    original = record(request(request_id="R-1"))
    original = original._replace(headers=(*original.headers, *headers), **changes)
    content = dead_letter(original, original.value, RejectedError(reason))
    return StoredDeadLetter("0123456789abcdef" * 2, datetime(2025, 6, 1, tzinfo=UTC), content)


# --- which are sent again ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["unknown_policy", "schema_violation", "internal_error", "undecodable"])
def test_an_event_that_may_be_decided_by_now_is_sent_again(reason: str) -> None:
    assert refusal(letter(reason), SETTINGS) is None


@pytest.mark.parametrize("reason", ["verdict_refused", "unknown_request", "internal_error"])
def test_a_verdict_that_may_stand_by_now_is_sent_again(reason: str) -> None:
    assert refusal(letter(reason, topic="t.authorization.verdicts"), SETTINGS) is None


@pytest.mark.parametrize("topic", ["t.pas.requests", "t.x12.278.requests"])
def test_a_platforms_message_is_sent_again(topic: str) -> None:
    refused = letter("schema_violation", topic=topic, value=b"ISA*00*")

    assert refusal(refused, SETTINGS) is None
    assert masked(refused) == "7 bytes that are not JSON"


@pytest.mark.parametrize(
    ("value", "partner"),
    [(b"riverbend", "riverbend"), (b"Tillman, Odessa", None), (b"\xff", None), (None, None), (b"x" * 65, None)],
)
def test_the_partner_is_shown_if_it_could_be_one(value: bytes | None, partner: str | None) -> None:
    assert letter("schema_violation", headers=(("partner", value),)).partner == partner
    assert letter("schema_violation").partner is None


@pytest.mark.parametrize(
    ("refused", "sentence"),
    [
        (letter("conflicting_duplicate"), "the first answer stands"),
        (letter("circular_link", topic="t.authorization.links"), "the answer stands"),
        (letter("conflicting_duplicate", topic="t.authorization.verdicts"), "use a new id"),
        (letter("denied_link", topic="t.authorization.case-events"), "the answer stands"),
        (letter(topic="t.policy.revisions"), "nothing of its topic is sent again"),
        (letter(topic="authorization.requests"), "nothing of its topic is sent again"),
        (letter(value=None), "no value"),
        (letter(value=b"x" * 1_000_001), "only the beginning of its value"),
        (letter(headers=((TRIES, b"3"),)), "sent again 3 times already"),
        (letter(headers=(("null", None),)), "has no value"),
        (letter(headers=(("caf\udce9", b"1"),)), "a name that is not UTF-8"),
        (letter(key=b"k" * 900_000, value=b"x" * 900_000), "only the beginning of its key"),
        (letter(headers=(("h", b"x" * 2_000_000),)), "only the beginning of its headers"),
        (letter(value=Unreadable(b"bytes", 41, "it is damaged")), "what cannot be read"),
    ],
)
def test_what_is_not_sent_again_says_why(refused: StoredDeadLetter, sentence: str) -> None:
    assert sentence in (refusal(refused, SETTINGS) or "")


@pytest.mark.parametrize(
    ("beginning", "sentence"),
    [
        ("", "a letter's id, or its beginning, is not empty; `dli dead-letters list` shows what is kept"),
        (" ", "a letter's id, or its beginning, is not empty; `dli dead-letters list` shows what is kept"),
        ("f", "no dead letter has an id that begins with f; `dli dead-letters list` shows what is kept"),
        ("0", "3 dead letters have an id that begins with 0; give more of it, as `dli dead-letters list` shows it"),
    ],
)
def test_a_beginning_that_names_no_letter_alone_says_so(beginning: str, sentence: str) -> None:
    kept = [letter()._replace(id=f"0{number}") for number in range(3)]

    with pytest.raises(CommandError) as refused:
        chosen(kept, [beginning])
    assert str(refused.value) == sentence
    assert chosen(kept, ["01", "01"]) == [kept[1]]


def test_more_tries_can_be_allowed() -> None:
    assert refusal(letter(headers=((TRIES, b"3"),)), SETTINGS, most_tries=4) is None


def test_the_event_keeps_its_headers_and_counts_its_tries() -> None:
    first, third = letter(), letter(headers=((TRIES, b"2"), (FROM, b"an earlier one"), ("h", b"\xff")))

    assert again(first) == [*first.headers, (TRIES, b"1"), (FROM, first.id.encode())]
    assert again(third) == [*first.headers, ("h", b"\xff"), (TRIES, b"3"), (FROM, third.id.encode())]


@pytest.mark.parametrize("text", [b"", b"many", b"-1", b"\xff", b"99999999999999999999"])
def test_a_count_of_tries_that_is_none_counts_as_none(text: bytes) -> None:
    assert letter(headers=((TRIES, text),)).tries == 0


# --- what is shown -------------------------------------------------------------------------------------------------


def shown(line: bytes | None) -> str:
    original = Record("t.authorization.requests", 0, 0, 0, None, line, ())
    content = dead_letter(original, line, RejectedError("schema_violation"))
    return json.dumps(masked(StoredDeadLetter("0" * 32, datetime(2025, 6, 1, tzinfo=UTC), content)))


def test_what_leads_to_nobody_is_shown() -> None:
    line = {"line": 1, "system": "cpt", "code": "38242", "units": 1, "service_date": "2025-05-06"}
    member = {"member_id": MARK, "line_of_business": "fep"}
    tree = json.loads(shown(request(urgency="expedited", member=member, service_lines=[line])))

    assert tree["urgency"] == "expedited"
    assert tree["member"] == {"member_id": "***", "line_of_business": "fep"}
    assert tree["service_lines"] == [line]
    assert tree["request_id"] == tree["provider"]["npi"] == "***"


def test_who_is_treated_is_masked_and_where_and_how_is_shown() -> None:
    line = {"line": 1, "system": "cpt", "code": "38242", "units": 1, "service_date": "2025-05-06"}
    stated = {"place_of_service": "22", "modifiers": ["LT", "26"]}
    member = {"member_id": MARK, "line_of_business": "fep", "birth_date": "1957-02-03", "sex": "female"}
    provider = {"npi": "1234567893", "specialty": "207RH0003X"}
    lines = [line | stated | {"clinical": {"device": MARK, "units": 3}}]
    tree = json.loads(shown(request(member=member, provider=provider, service_lines=lines)))

    assert tree["member"] == {"member_id": "***", "line_of_business": "fep", "birth_date": "***", "sex": "***"}
    assert tree["provider"] == {"npi": "***", "specialty": "207RH0003X"}
    assert tree["service_lines"] == [line | stated | {"clinical": {"?": "***", "units": "***"}}]


def shown_review(data: dict[str, Any], kind: str = "authorization.reviewed.v1") -> Any:
    original = Record("t.authorization.verdicts", 0, 0, 0, None, event(data, kind), ())
    content = dead_letter(original, original.value, RejectedError("verdict_refused"))
    return masked(StoredDeadLetter("0" * 32, datetime(2025, 6, 1, tzinfo=UTC), content))["data"]


def test_of_a_verdict_all_is_shown_but_persons_and_words() -> None:
    decision = {"request_id": f"PA-{MARK}", "decision_id": "0" * 32, "lines": [{"line": 1, "action": "A4"}]}
    said = adverse(decision, f"V-{MARK}")
    said["reviewer"]["license_number"] = MARK
    said["lines"][0] |= {"text": MARK, "authorized": {"code": "38242", "units": 1, "from": "2025-06-20"}}
    tree = shown_review(said)

    assert MARK not in json.dumps(tree)
    assert tree["reviewer"] == {"role": "physician", "license_state": "MS", "license_number": "***", "npi": "***"}
    assert tree["lines"] == [said["lines"][0] | {"text": "***"}]
    assert (tree["decided_at"], tree["evaluated"], tree["concurrence"]) == (said["decided_at"], True, True)


def test_of_an_extension_its_end_is_shown() -> None:
    said = {"extension_id": MARK, "request_id": MARK, "until": "2025-06-20T09:30:00Z", "reason": MARK}

    assert shown_review(said, "authorization.extended.v1") == dict.fromkeys(said, "***") | {"until": said["until"]}


@pytest.mark.parametrize("changes", [{"reviewer": MARK}, {"lines": [{"line": MARK, MARK: MARK}]}, {MARK: MARK}])
def test_a_personal_value_in_any_place_of_a_verdict_is_masked(changes: dict[str, Any]) -> None:
    decision = {"request_id": "PA-1", "decision_id": "0" * 32, "lines": [{"line": 1, "action": "A4"}]}

    assert MARK not in json.dumps(shown_review(adverse(decision, "V-1") | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"urgency": MARK},
        {"urgency": [MARK]},
        {"member": MARK},
        {"member": {"member_id": "M", "line_of_business": MARK}},
        {"service_lines": [{"line": MARK}]},
        {"service_lines": {MARK: MARK}},
        {MARK: MARK},
        {"submitted_at": MARK},
        {"clinical": {MARK: {"transplant": MARK}}},
        {"diagnoses": [{"system": MARK, "code": MARK}]},
        {"certification": {"x": MARK}},
    ],
)
def test_a_personal_value_in_any_place_is_masked(changes: dict[str, Any]) -> None:
    assert MARK not in shown(request(**changes))
    assert MARK not in shown(
        json.dumps({"specversion": "1.0", MARK: MARK, "data": json.loads(request(**changes))}).encode()
    )


def marked(tree: Any) -> Any:
    """The tree with every text marked that is not one of a request's own words."""
    if isinstance(tree, dict):
        return {name: marked(one) for name, one in tree.items()}
    if isinstance(tree, list):
        return [marked(one) for one in tree]
    return f"{tree}{MARK}" if isinstance(tree, str) else tree


def test_no_marked_text_shows_in_three_thousand_events() -> None:
    """Of three thousand events, sound and malformed, no marked text is shown."""
    for one in generator.requests(91, 3_000, malformed=0.5):
        raw = generator.encode(one)
        try:
            tree = json.loads(raw)
        except (ValueError, RecursionError):
            assert "not JSON" in shown(raw)
            continue
        assert MARK not in shown(json.dumps(marked(tree)).encode())


@pytest.mark.parametrize("line", [None, b"", b"\xff", b"{", f'["{MARK}"]'.encode(), f'"{MARK}"'.encode(), b"1"])
def test_what_is_no_event_shows_nothing_of_itself(line: bytes | None) -> None:
    assert MARK not in shown(line)


# --- end to end ----------------------------------------------------------------------------------------------------


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    return made


def consumed(found: Settings, count: int) -> Callable[[], bool]:
    return lambda: account.total(account.ask(found)).consumed == count


def command(found: Settings, *arguments: str) -> Ran:
    where = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
    ran = dli("dead-letters", *arguments, *where, *(("--app-id", found.app_id) if "redrive" in arguments else ()))
    assert "Traceback" not in ran.err, ran.err
    return ran


@pytest.mark.kafka
def test_events_are_resent_once_per_letter_up_to_a_limit(found: Settings, tmp_path: Path) -> None:
    """Events are sent again once for each letter until they are decided or have been tried enough."""
    waits = request(request_id="R-1", policy_number="EV-12", clinical={}, member=MEMBER)
    lines = [waits, request(request_id="R-2"), request(request_id="R-2", urgency="expedited"), b"{" + MARK.encode()]
    with worker(found, tmp_path):
        publish(found, [line for line in lines if b"R-2" not in line])
        for line in lines[1:3]:
            publish(found, [line])
        assert eventually(consumed(found, 4))
        before = {one.content.reason: one for one in letters(found)}
        dry = command(found, "redrive", "--all")
        assert len(everything_on(found, REQUESTS)) == 4
        sent = command(found, "redrive", "--all", "--execute")
        assert eventually(consumed(found, 6))
        repeated = command(found, "redrive", "--all", "--execute")
        assert eventually(consumed(found, 8))
        failed = [one for one in letters(found) if one.content.reason == "unknown_policy"]
        listed, shown_one = command(found, "list", "-o", "jsonl"), command(found, "show", before["unknown_policy"].id)
        revealed = command(found, "show", before["unknown_policy"].id[:16], "--reveal")

    assert set(before) == {"unknown_policy", "conflicting_duplicate", "undecodable"}
    assert (dry.code, "2 of 3 dead letters would be sent again" in dry.err) == (3, True)
    assert (sent.code, "2 of 3 dead letters sent again; 1 cannot be sent again" in sent.err) == (3, True)
    assert "2 of 5 dead letters sent again; 2 had been sent again earlier; 1 cannot be sent again" in repeated.err
    assert sorted(one.tries for one in failed) == [0, 1, 2]
    for text in (listed.out, listed.err, dry.out, shown_one.out, shown_one.err):
        assert MARK not in text
        assert "R-1" not in text
    assert MARK in revealed.out

    # Third time lucky: the policy is loaded now.
    knowing = found.model_copy(update={"policies": (PACKAGED, OTHER_POLICIES)})
    apply_topics.apply(knowing)
    with worker(knowing, tmp_path, "knowing"):
        last = next(one for one in failed if one.tries == 2)
        redrive(found, [last])
        assert eventually(consumed(found, 9))
        assert [plan.done for plan in planned(found, failed)] == [True] * 3
        decided = Counter(one.key for one in everything_on(found, DECISIONS))
        records = [one for one in everything_on(found, REQUESTS) if one.key == b"R-1"]

    assert decided == {b"R-1": 1, b"R-2": 1}
    assert len({(one.partition, one.value) for one in records}) == 1
    assert [header(tuple(one.headers), TRIES) for one in records] == [None, "1", "2", "3"]
    assert account.total(account.ask(found)).difference == 0


@pytest.mark.broker
def test_a_platforms_letter_is_shown_with_its_partner(found: Settings) -> None:
    message = Record(found.topic(PAS_REQUESTS), 3, 7, 0, None, MARK.encode(), (("partner", b"riverbend"),))
    list(sent([rejection(message, RejectedError("undecodable"), found)], found))

    listed, table = command(found, "list", "-o", "jsonl"), command(found, "list")
    whole = command(found, "show", json.loads(listed.out)["letter"])

    assert json.loads(listed.out)["partner"] == json.loads(whole.out)["partner"] == "riverbend"
    assert "riverbend" in table.out
    assert MARK not in listed.out + table.out + whole.out


ASKED = [("list",), ("list", "-o", "jsonl"), ("show", "0"), ("redrive", "--all")]


@pytest.mark.broker
@pytest.mark.parametrize("arguments", ASKED, ids=" ".join)
def test_without_their_topic_there_is_no_empty_list_of_letters(
    arguments: tuple[str, ...], bootstrap: str, prefix: str
) -> None:
    ran = dli("dead-letters", *arguments, "--bootstrap", bootstrap, "--topic-prefix", prefix)

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        f"error: {bootstrap} has no topic {prefix}authorization.dead-letters: there are no dead letters to show; `dli "
        "topics apply` makes the topics, and --topic-prefix is part of their names\n"
    )


MEMBER = {"member_id": MARK, "line_of_business": "commercial"}


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.kafka
@pytest.mark.broker
def test_an_interrupted_redrive_sends_nothing_twice(found: Settings, tmp_path: Path) -> None:
    """What an interrupted redrive has already sent is not sent again."""
    lines = [request(request_id=f"I-{number}", policy_number="X.1") for number in range(20)]
    with worker(found, tmp_path):
        publish(found, lines)
        assert eventually(consumed(found, 20))
    chosen = list(letters(found))
    redrive(found, chosen[:7])

    plans = redrive(found, chosen)

    assert (sum(plan.done for plan in plans), sum(plan.refusal is None for plan in plans)) == (7, 13)
    assert Counter(Counter(one.key for one in everything_on(found, REQUESTS)).values()) == {2: 20}


@pytest.mark.kafka
def test_each_line_of_jsonl_says_what_becomes_of_a_letter(found: Settings, tmp_path: Path) -> None:
    """With `-o jsonl` each letter has a line, whether it is sent or not; the summary is no part of the output."""
    with worker(found, tmp_path):
        for line in (request(request_id="R-1", policy_number="X.1"), request(request_id="R-2")):
            publish(found, [line])
        publish(found, [request(request_id="R-2", urgency="expedited")])
        assert eventually(consumed(found, 3))
    ids = {one.content.reason: one.id for one in letters(found)}
    partition = {one.content.reason: one.content.original.partition for one in letters(found)}
    before = len(everything_on(found, REQUESTS))

    dry = command(found, "redrive", "--all", "-o", "jsonl")
    untouched = len(everything_on(found, REQUESTS))
    sent = command(found, "redrive", "--all", "--execute", "-o", "jsonl")
    again_sent = command(found, "redrive", "--all", "--execute", "-o", "jsonl")

    def lines(ran: Ran) -> dict[str, dict[str, Any]]:
        return {line["reason"]: line for line in map(json.loads, ran.out.splitlines())}

    assert set(ids) == {"unknown_policy", "conflicting_duplicate"}
    waiting = {
        "letter": ids["unknown_policy"],
        "reason": "unknown_policy",
        "to": f"{found.topic(REQUESTS)}/{partition['unknown_policy']}",
        "try": 1,
        "sent": False,
        "refusal": None,
    }
    refused = lines(dry)["conflicting_duplicate"]
    assert "the first answer stands" in refused.pop("refusal")
    assert refused == {
        **{key: value for key, value in waiting.items() if key != "refusal"},
        "letter": ids["conflicting_duplicate"],
        "reason": "conflicting_duplicate",
        "to": f"{found.topic(REQUESTS)}/{partition['conflicting_duplicate']}",
    }
    assert lines(dry)["unknown_policy"] == waiting
    assert lines(sent)["unknown_policy"] == {**waiting, "sent": True}
    assert lines(again_sent)["unknown_policy"] == {**waiting, "refusal": "sent again before"}
    assert [len(ran.out.splitlines()) for ran in (dry, sent, again_sent)] == [2, 2, 2]
    assert [ran.code for ran in (dry, sent, again_sent)] == [3, 3, 3]
    assert "1 of 2 dead letters sent again; 1 cannot be sent again" in flat(sent.err)
    assert (before, untouched, len(everything_on(found, REQUESTS))) == (3, 3, 4)


def test_choosing_nothing_or_an_unknown_reason_is_a_sentence() -> None:
    for arguments, sentence in (
        (("redrive",), "choose letters by their ids, by --reason, or --all"),
        (("redrive", "abc", "--all"), "choose letters"),
        (("list", "--reason", "unlucky"), "no reason unlucky; there is undecodable"),
        (("list", "--bootstrap", "127.0.0.1:1"), "is Kafka there"),
    ):
        ran = dli("dead-letters", *arguments)
        assert (ran.code, sentence in flat(ran.err), "Traceback" in ran.err) == (1, True, False), ran.err


def test_a_letter_reads_back_from_its_record_in_either_mode() -> None:
    for mode in ("structured", "binary"):
        settings = read(topic_prefix="t.", mode=mode)
        handler = DecisionHandler(packaged_library(), settings)
        [sent] = handler([record(b"{", 5)])
        made = FakeRecord(sent.value, sent.headers)
        found = read_letter(made)
        assert isinstance(found.content, DeadLetter)
        assert (found.content.original.offset, found.value, len(found.id)) == (5, b"{", 32)
        assert sent.topic == "t." + DEAD_LETTERS
        assert data_of(sent.value)["reason"] == "undecodable"


class FakeRecord:
    """As much of a consumer's record as is read."""

    timestamp = 1_750_000_000_000

    def __init__(self, value: bytes, headers: Any) -> None:
        self.value = value
        self.headers = list(headers)
