"""Writers of decisions: the newest writes, and what was written before is written so again."""

import json

import pytest

from events.origin_headers import WRITER, writer_of
from events.topics import ANSWERED, DECISIONS
from policy_core.history.library import PACKAGED, Library, load_library
from tests.support.requests import Remembering, record, request
from tests.support.second_writer import BOTH, SECOND, SecondEncoder
from workers.configuration.settings import Delivery, Settings, read
from workers.decide.duplicates import unpacked
from workers.decide.handler import BehindError, DecisionHandler
from workers.decide.writers import WRITERS, Writer, Writers
from workers.kafka.records import OutgoingRecord


@pytest.fixture(scope="module")
def library() -> Library:
    return load_library([PACKAGED], "L.2.03.402")


def settings(delivery: Delivery = Delivery.EXACTLY_ONCE) -> Settings:
    return read(topic_prefix="t.", delivery=delivery)


def decision(answers: list[OutgoingRecord]) -> OutgoingRecord:
    [found] = [answer for answer in answers if answer.topic == f"t.{DECISIONS}"]
    return found


def test_a_program_writes_with_its_newest_writer(library: Library) -> None:
    by = {
        name: decision(DecisionHandler(library, settings(), writers=writers)([record(request())]))
        for name, writers in {"old": WRITERS, "new": BOTH}.items()
    }

    assert {name: writer_of(answer.headers) for name, answer in by.items()} == {"old": 1, "new": 2}
    assert "line_count" not in json.loads(by["old"].value)["data"]
    assert json.loads(by["new"].value)["data"]["line_count"] > 0


def test_the_memory_of_an_answer_names_a_later_writer(library: Library) -> None:
    """The first writer's answers are kept as before: in a group of both, each program reads what either keeps."""
    kept = {
        writers.newest.version: answer.value
        for writers in (WRITERS, BOTH)
        for answer in DecisionHandler(library, settings(), writers=writers)([record(request())])
        if answer.topic == f"t.{ANSWERED}"
    }

    assert {version: unpacked(value).writer for version, value in kept.items()} == {1: 1, 2: 2}
    assert {version: len(value) for version, value in kept.items()} == {1: 48, 2: 50}


@pytest.mark.parametrize("first", [WRITERS, BOTH])
def test_a_record_that_returns_is_answered_by_its_first_writer(first: Writers, library: Library) -> None:
    """At least once, an answer may be sent twice: after an upgrade between, it is the same bytes."""
    memory, at_least_once = Remembering(), settings(Delivery.AT_LEAST_ONCE)
    [before] = memory.take(list(DecisionHandler(library, at_least_once, memory, writers=first)([record(request())])))

    [again] = memory.take(list(DecisionHandler(library, at_least_once, memory, writers=BOTH)([record(request())])))

    assert again == before


def test_a_later_writers_answer_waits_for_a_worker_that_has_it(library: Library) -> None:
    """After a way back, only an answer that may not have arrived waits; a repeated request is a duplicate at once."""
    memory, at_least_once = Remembering(), settings(Delivery.AT_LEAST_ONCE)
    memory.take(list(DecisionHandler(library, at_least_once, memory, writers=BOTH)([record(request())])))
    earlier = DecisionHandler(library, at_least_once, memory)

    assert earlier([record(request(), offset=9)]).counters.duplicates == 1
    with pytest.raises(BehindError, match="version 2, which this worker does not have"):
        earlier([record(request())])


@pytest.mark.parametrize("versions", [(), (2, 1), (1, 1)])
def test_versions_rise(versions: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="should rise"):
        Writers(tuple(Writer(version, SecondEncoder) for version in versions))


def test_a_version_is_found_by_its_number() -> None:
    assert (BOTH.of(2), BOTH.of(3), BOTH.newest) == (SECOND, None, SECOND)


@pytest.mark.parametrize("value", [b"", b"0", b"01", b"-1", b"65536", b"1.0", b"\xc2\xb2", b"\xff", None, b"9" * 30])
def test_a_header_that_is_no_version_names_none(value: bytes | None) -> None:
    assert writer_of(((WRITER, value),)) is None
    assert writer_of(((WRITER, b"65535"),)) == 65_535
