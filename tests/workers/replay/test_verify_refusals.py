"""Verify: requests refused at deciding, answers of the other kind in their place, and ranges that begin late."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from events.topics import DEAD_LETTERS, DECISIONS, REQUESTS
from policy_core.history.library import Library
from tests.support.event_logs import MemorySource, changed, recorded
from tests.support.packaged import packaged_library
from tests.support.verifying import decisions, found_in, report
from workers.traffic.generate import Generator

CLEAN = list(Generator(5).lines(120))
AT = 60
REFUSED = {
    "at decoding": (b'"certification":"', b'"certification":"un', "schema_violation"),
    "for a fact's value": (b'"malignancy":"', b'"malignancy":"un', "schema_violation"),
    "for a policy that is not loaded": (b'"request_id":', b'"policy_number":"X-1","request_id":', "unknown_policy"),
}
"""What is written instead, and the reason of the dead letter."""


@pytest.fixture(scope="module")
def library() -> Library:
    return packaged_library()


def refused(why: str) -> list[bytes]:
    """Requests of which some, the one AT its place among them, are refused."""
    before, after, _ = REFUSED[why]
    plain = [line.replace(b'"policy_number":"L.2.03.402",', b"") for line in CLEAN] if why.endswith("loaded") else CLEAN
    spoiled = [one.replace(before, after, 1) if number % 20 == 0 else CLEAN[number] for number, one in enumerate(plain)]
    assert spoiled[AT] != CLEAN[AT]
    return spoiled


def answers_of(asked: MemorySource, answered: MemorySource) -> MemorySource:
    """The requests of one log with all that was answered in another."""
    topic = asked.topic(REQUESTS)
    return MemorySource({place: (asked if place[0] == topic else answered).records[place] for place in asked.records})


def one_of(lines: Sequence[bytes], library: Library, failing: Sequence[str] = ()) -> MemorySource:
    return recorded(lines, library, partitions=1, failing=failing)


@pytest.mark.parametrize("why", REFUSED)
def test_a_request_refused_at_deciding_has_its_dead_letter(why: str, library: Library, tmp_path: Path) -> None:
    """Requests are refused while decoded, for a fact and for their policy: each letter is made again to the byte."""
    lines = refused(why)

    came = report(one_of(lines, library), tmp_path)

    assert (came.found.total(), came.differs) == (0, False)
    letters = sum(line != clean for line, clean in zip(lines, CLEAN, strict=True))
    assert came.identical == {"decision": len(CLEAN) - letters, "dead_letter": letters}


@pytest.mark.parametrize("why", REFUSED)
def test_a_refused_request_without_a_dead_letter_is_missed(why: str, library: Library, tmp_path: Path) -> None:
    """Where a request is refused, and neither letter nor decision is recorded for it, the letter is missing."""
    log = one_of(refused(why), library)
    letters = list(log.records[log.topic(DEAD_LETTERS), 0])
    del letters[AT // 20]

    counts, [finding] = found_in(changed(log, DEAD_LETTERS, 0, letters), tmp_path)

    assert (counts, finding["offset"]) == ({"missing_dead_letter": 1}, AT)


@pytest.mark.parametrize("why", REFUSED)
def test_a_decision_in_a_dead_letters_place_is_different(why: str, library: Library, tmp_path: Path) -> None:
    """A decision recorded where the request can only be refused is named, with its place and the refusal's reason."""
    spoiled = [*CLEAN[:AT], refused(why)[AT], *CLEAN[AT + 1 :]]
    answered = one_of(CLEAN, library)

    counts, [finding] = found_in(answers_of(one_of(spoiled, library), answered), tmp_path)

    assert counts == {"different": 1}
    assert finding["offset"] == AT
    assert finding["recorded"]["offset"] == decisions(answered)[AT].offset
    assert finding["why"] == f"decided again it is a dead letter: {REFUSED[why][2]}"


@pytest.mark.parametrize("why", [why for why in REFUSED if why != "at decoding"])
def test_what_a_decision_answered_is_answered_when_it_returns(why: str, library: Library, tmp_path: Path) -> None:
    """A request that has a decision, though it can only be refused, is a duplicate when it comes again unanswered."""
    spoiled = refused(why)[AT]
    asked = one_of([*CLEAN[:AT], spoiled, *CLEAN[AT + 1 : 100], spoiled, *CLEAN[100:]], library)
    answered = one_of([*CLEAN[:100], CLEAN[AT], *CLEAN[100:]], library)
    log = answers_of(asked, answered)

    came = report(log, tmp_path)

    assert came.identical == {"decision": len(CLEAN) - 1, "duplicate": 1}
    assert {kind: count for kind, count in came.found.items() if count} == {"different": 1}


@pytest.mark.parametrize("why", REFUSED)
def test_a_refused_request_may_be_sent_again_and_corrected(why: str, library: Library, tmp_path: Path) -> None:
    """A dead letter answers its record only: each repetition has its own, and the corrected request a decision."""
    spoiled = refused(why)[AT]
    log = one_of([*CLEAN[:AT], spoiled, *CLEAN[AT + 1 : 100], spoiled, CLEAN[AT], *CLEAN[100:]], library)

    came = report(log, tmp_path)

    assert (came.found.total(), came.differs) == (0, False)
    assert came.identical == {"decision": len(CLEAN), "dead_letter": 2}


# --- ranges that begin late ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "found"), [(20, 0), (AT, 0), (AT + 1, 1), (90, 1), (len(CLEAN), 1)])
def test_a_late_range_names_what_nobody_asked_from_its_first_on(
    place: int, found: int, library: Library, tmp_path: Path
) -> None:
    """Of a range that begins late, decisions before its first answer may be to earlier requests; none behind it may."""
    there = decisions(one_of(CLEAN, library))
    log = replace(one_of(CLEAN, library), first=AT)
    there.insert(place, there[0]._replace(key=b"PA-of-nobody"))
    there = [one._replace(offset=at) for at, one in enumerate(there)]

    counts, findings = found_in(changed(log, DECISIONS, 0, there), tmp_path)

    assert counts == ({"unasked_decision": 1} if found else {})
    assert [one["recorded"]["offset"] for one in findings] == [place] * found


def test_a_late_range_is_not_begun_by_a_dead_letter(library: Library, tmp_path: Path) -> None:
    """Where a range's first answer is a dead letter, its offset among the letters says nothing of the decisions."""
    lines = refused("at decoding")
    log = replace(one_of(lines, library), first=AT)
    log = changed(log, DEAD_LETTERS, 0, log.records[log.topic(DEAD_LETTERS), 0][AT // 20 :])
    there = decisions(log)
    first = next(at for at, one in enumerate(there) if one.key == log.records[log.topic(REQUESTS), 0][AT + 1].key)
    there.insert(first - 5, there[0]._replace(key=b"PA-of-nobody"))
    there = [one._replace(offset=at) for at, one in enumerate(there)]

    assert found_in(changed(log, DECISIONS, 0, there), tmp_path) == ({}, [])


SPOILT = b'{"certification":"un'
LETTERS_AT = (5, 35)
SOME = [SPOILT if at in LETTERS_AT else line for at, line in enumerate(CLEAN[:40])]


def test_a_letter_of_an_earlier_request_is_not_unexpected(library: Library, tmp_path: Path) -> None:
    """Answers are read by time, so a range that begins late has dead letters of requests before it."""
    assert found_in(replace(one_of(SOME, library), first=20), tmp_path) == ({}, [])


def test_a_letter_of_a_later_request_is_not_unexpected(library: Library, tmp_path: Path) -> None:
    """Answers are read for longer than requests, so a range has dead letters of requests behind it."""
    log, earlier = one_of(SOME, library), one_of(SOME[:30], library)
    letters = log.records[log.topic(DEAD_LETTERS), 0]

    assert found_in(changed(earlier, DEAD_LETTERS, 0, letters), tmp_path) == ({}, [])


def test_a_letter_inside_the_range_that_no_request_has_is_found(library: Library, tmp_path: Path) -> None:
    """Only what lies outside the range is passed over."""
    log, clean = one_of(SOME, library), one_of(CLEAN[:40], library)
    letters = log.records[log.topic(DEAD_LETTERS), 0]

    counts, _ = found_in(replace(changed(clean, DEAD_LETTERS, 0, letters), first=20), tmp_path)

    assert counts == {"unexpected_dead_letter": 1}


# --- a worker's own failures ---------------------------------------------------------------------------------------


def failed(library: Library, number: int = 0) -> tuple[MemorySource, str]:
    """A log whose worker failed on one request, and that request's id."""
    name = json.loads(CLEAN[number])["request_id"]
    return one_of(CLEAN, library, failing=[name]), name


def test_a_failure_is_found_and_its_letter_is_whole(library: Library, tmp_path: Path) -> None:
    """The letter of a failure is what the worker writes, but the request has its decision only when it is resent."""
    log, name = failed(library)

    found, [finding] = found_in(log, tmp_path)

    assert found == {"different": 1}
    assert finding["request_id"] == name
    assert finding["why"] == "the worker failed on it (internal_error), decided again it is a decision"


@pytest.mark.parametrize("part", ["value", "headers", "key"])
def test_a_failures_letter_with_other_bytes_is_told(part: str, library: Library, tmp_path: Path) -> None:
    log, _ = failed(library)
    [letter] = log.records[log.topic(DEAD_LETTERS), 0]
    spoiled = {
        "value": letter._replace(value=(letter.value or b"").replace(b"not decided;", b"not decided:")),
        "headers": letter._replace(headers=letter.headers[:-1]),
        "key": letter._replace(key=b"another"),
    }[part]

    _, [finding] = found_in(changed(log, DEAD_LETTERS, 0, [spoiled]), tmp_path)

    assert finding["why"].endswith("its dead letter has other bytes than the worker writes")


def test_a_failed_request_that_was_resent_has_its_decision(library: Library, tmp_path: Path) -> None:
    name = json.loads(CLEAN[3])["request_id"]

    came = report(one_of([*CLEAN, CLEAN[3]], library, failing=[name]), tmp_path)

    assert (came.found, came.identical) == ({"different": 1}, {"decision": len(CLEAN)})


def test_a_reason_that_nobody_knows_is_not_repeated(library: Library, tmp_path: Path) -> None:
    log, _ = failed(library)
    [letter] = log.records[log.topic(DEAD_LETTERS), 0]
    foreign = letter._replace(value=(letter.value or b"").replace(b'"internal_error"', b'"Mary Miller"'))

    _, [finding] = found_in(changed(log, DEAD_LETTERS, 0, [foreign]), tmp_path)

    assert finding["why"] == "recorded as a dead letter (of no known reason), decided again it is a decision"
