"""Platforms' messages are read and answered again: what is as it was is identical, and all else is found and named."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pytest

from events.envelope import header, written
from events.topics import (
    DECISIONS,
    INTEGRATION_EVENTS,
    PAS_REQUESTS,
    PAS_RESPONSES,
    REQUESTS,
    SUBMISSIONS,
    X12_REQUESTS,
    X12_RESPONSES,
)
from tests.support import pas_bundles, x12_messages
from tests.support.event_logs import MemorySource
from tests.support.integrated import Integrated
from workers.configuration.settings import Settings
from workers.event_log.source import Chunk, Damage, Piece, ReplayError
from workers.integration.partners import Partners
from workers.kafka.records import Record
from workers.replay.platform_messages import MADE, TOPICS, Report, verify

Log = Mapping[str, Sequence[Record]]
PARTNER = x12_messages.PARTNER.model_copy(update={"questionnaire": pas_bundles.QUESTIONNAIRE})


@lru_cache(maxsize=1)
def recorded() -> Log:
    """Messages of both formats, refused ones and repeats, sent in three parts: later ones follow earlier ones."""
    house = Integrated(PARTNER)
    for part in range(3):
        for seed in range(part * 12, part * 12 + 16):  # the last four come again with the next part
            house.send("pas", pas_bundles.message(seed))
            house.send("x12-278", x12_messages.message(seed))
        house.send("pas", b"no bundle")
        house.send("x12-278", x12_messages.message(part)[:-40])
        house.settle()
    return {name: tuple(house.log[name]) for name in TOPICS}


def source(log: Log, **flags: Any) -> MemorySource:
    return MemorySource({(name, 0): list(records) for name, records in log.items()}, prefix="", **flags)


def found_in(log: Log, partners: Partners | None = None, **flags: Any) -> Report:
    return verify(source(log, **flags), Settings(), partners or Partners([PARTNER]))


def changed(log: Log, topic: str, number: int, *instead: Record) -> Log:
    """The log with other records in a record's place."""
    records = list(log[topic])
    records[number : number + 1] = instead
    return {**log, topic: tuple(records)}


def other(record: Record) -> Record:
    return record._replace(value=(record.value or b"") + b" ")


def kinds(report: Report) -> list[tuple[str, str]]:
    return [(one["kind"], one.get("of", one["topic"])) for one in report.findings]


def test_every_record_is_made_again_with_the_same_bytes() -> None:
    log = recorded()

    report = found_in(log)

    assert report.findings == []
    assert not report.differs
    assert report.messages == len(log[PAS_REQUESTS]) + len(log[X12_REQUESTS])
    assert report.identical == {name: len(log[name]) for name in MADE}
    assert min(report.identical.values()) > 20
    assert report.before == 0


@pytest.mark.parametrize("topic", MADE)
def test_a_record_with_other_bytes_is_found(topic: str) -> None:
    """The stage that made it is named, with what it was made from; what other stages made of it is not a finding."""
    log = recorded()
    number = len(log[topic]) // 2

    report = found_in(changed(log, topic, number, other(log[topic][number])))

    assert ("different", topic) in kinds(report)
    [finding] = [one for one in report.findings if one.get("of") == topic]
    assert finding["recorded"] == {"topic": topic, "partition": 0, "offset": number}
    assert finding["topic"] in TOPICS


@pytest.mark.parametrize("topic", [PAS_RESPONSES, X12_RESPONSES, REQUESTS])
def test_a_record_that_is_lost_is_found(topic: str) -> None:
    report = found_in(changed(recorded(), topic, 5))

    assert kinds(report) == [("missing", topic)]


@pytest.mark.parametrize("topic", [PAS_RESPONSES, SUBMISSIONS, INTEGRATION_EVENTS])
def test_a_record_that_nothing_makes_is_found(topic: str) -> None:
    """As one that somebody else wrote: it names a cause in this log, or none."""
    log = recorded()
    last = log[topic][-1]
    forged = other(last)._replace(offset=last.offset + 1)

    report = found_in({**log, topic: (*log[topic], forged)})

    assert ("unexplained", topic) in kinds(report)


def test_each_of_several_same_events_needs_a_record() -> None:
    """A message sent three times is asked about twice, with the same bytes."""
    house = Integrated(PARTNER)
    for _ in range(3):
        house.send("x12-278", x12_messages.message(0))
        house.settle()
    log = {name: tuple(house.log[name]) for name in TOPICS}
    asked = [number for number, one in enumerate(log[INTEGRATION_EVENTS]) if b'"asked"' in (one.value or b"")]

    assert len({log[INTEGRATION_EVENTS][number].value for number in asked}) == 1
    assert found_in(log).findings == []
    report = found_in(changed(log, INTEGRATION_EVENTS, asked[-1]))
    assert ("missing", INTEGRATION_EVENTS) in kinds(report)


@dataclass(frozen=True)
class Damaged(MemorySource):
    """A log in which one record of submissions cannot be read."""

    def read(self, topic: str, partition: int, start: int) -> Iterator[Piece]:
        for piece in super().read(topic, partition, start):
            if topic == SUBMISSIONS and piece.chunk is not None:
                yield Piece(damage=Damage(topic, partition, 3, 3, "it is damaged"))
                kept = [one for one in piece.chunk.records if one.offset != 3]
                yield Piece(Chunk(kept, [0] * len(kept)))
            else:
                yield piece


def test_what_cannot_be_read_is_found_once() -> None:
    """Though both the stage that sends it and the one that takes it look there."""
    found = source(recorded())

    report = verify(Damaged(found.records, prefix=""), Settings(), Partners([PARTNER]))

    damaged = [one for one in report.findings if one["kind"] == "damaged"]
    assert damaged == [{"kind": "damaged", **Damage(SUBMISSIONS, 0, 3, 3, "it is damaged")._asdict()}]
    assert ("missing", SUBMISSIONS) in kinds(report)


def test_a_record_that_was_delivered_twice_is_no_finding() -> None:
    log = recorded()
    first = log[X12_RESPONSES][0]

    report = found_in({**log, X12_RESPONSES: (*log[X12_RESPONSES], first._replace(offset=10_000))})

    assert report.findings == []


def test_requests_of_other_platforms_do_not_matter() -> None:
    log = recorded()
    own = Record(REQUESTS, 0, 10_000, 1, b"PA-1", b'{"request_id": "PA-1"}')

    assert found_in({**log, REQUESTS: (*log[REQUESTS], own)}).findings == []


def test_requests_in_binary_mode_are_the_same_requests() -> None:
    """How events are written is a setting, which may have changed."""
    log = recorded()

    def in_binary(record: Record) -> Record:
        event = json.loads(record.value or b"")
        at = (record.value or b"").index(b'"data":') + len(b'"data":')
        present = {name: value for name, value in event.items() if name != "data"}
        value, headers = written(present, (record.value or b"")[at:-1], "binary")
        return record._replace(value=value, headers=(*headers, *record.headers[1:]))

    report = found_in({**log, REQUESTS: tuple(map(in_binary, log[REQUESTS]))})

    assert report.findings == []


def test_another_partners_configuration_shows_in_what_is_read() -> None:
    """As it was at the time: otherwise messages of members are read as of another line of business."""
    rules = tuple(one.model_copy(update={"is_": "fep"}) for one in PARTNER.lines_of_business)

    report = found_in(recorded(), Partners([PARTNER.model_copy(update={"lines_of_business": rules})]))

    assert report.differs
    assert {one["of"] for one in report.findings if one["kind"] == "different"} <= {SUBMISSIONS, *MADE}
    assert {one["topic"] for one in report.findings} <= {PAS_REQUESTS, X12_REQUESTS}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_log_without_its_beginning_gives_no_false_finding(share: float) -> None:
    """What depends on what came before is counted apart."""
    log = recorded()
    begins = {name: int(len(records) * share) for name, records in log.items()}

    report = found_in(log, begins=begins, first=begins[REQUESTS])

    assert report.findings == []
    assert report.before > 0
    assert report.identical.total() > 0


def test_what_was_lost_is_found_in_a_log_without_its_beginning() -> None:
    """If it did begin in the log."""
    log = recorded()
    begins = {name: len(records) // 3 for name, records in log.items()}
    at = next(
        number
        for number in reversed(range(len(log[X12_RESPONSES])))
        if (header(log[X12_RESPONSES][number].headers, "dli-cause") or "").startswith(DECISIONS)
    )

    report = found_in(changed(log, X12_RESPONSES, at), begins=begins, first=begins[REQUESTS])

    assert ("missing", X12_RESPONSES) in kinds(report)


def test_a_log_that_lacks_the_messages_says_so() -> None:
    log = {name: records for name, records in recorded().items() if name != X12_REQUESTS}

    with pytest.raises(ReplayError, match=r"no topic x12\.278\.requests; .*--messages"):
        found_in(log)


def test_no_finding_shows_a_message() -> None:
    log = recorded()

    report = found_in(changed(log, PAS_RESPONSES, 3, other(log[PAS_RESPONSES][3])))

    allowed = {"kind", "topic", "partition", "offset", "of", "recorded"}
    assert {name for one in report.findings for name in one} <= allowed
