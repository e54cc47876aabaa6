"""Cases from the brokers: the newest record of each counts, whatever its partition, and a tombstone removes one."""

from pathlib import Path

import pytest
from kafka import KafkaProducer

from events.topics import CASES
from tests.support.generated_cases import as_case, generated_cases
from tests.support.running import settings_for
from workers.configuration.settings import Settings
from workers.figures.read_cases import UnreadableCaseError, of_brokers
from workers.topics import apply_topics

pytestmark = pytest.mark.broker

FIRST, SECOND, THIRD = (as_case(case) for case in generated_cases(7, 3))


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    return made


def write(found: Settings, *records: tuple[str, bytes | None, int]) -> None:
    with KafkaProducer(bootstrap_servers=found.bootstrap) as producer:
        for key, value, partition in records:
            producer.send(found.topic(CASES), value, key=key.encode(), partition=partition).get(timeout=30)


def test_the_last_record_of_a_key_counts(found: Settings) -> None:
    """The last record of a key counts and a tombstone removes it."""
    stale = as_case({**next(generated_cases(7, 1)), "state": "recommended"})
    write(
        found,
        (FIRST.request_id, stale.packed(), 0),
        (SECOND.request_id, SECOND.packed(), 0),
        (THIRD.request_id, THIRD.packed(), 1),
        (FIRST.request_id, FIRST.packed(), 0),
        (SECOND.request_id, None, 0),
    )
    read = of_brokers(found)

    assert set(read.cases) == {FIRST.request_id, THIRD.request_id}
    assert read.cases[FIRST.request_id].state == FIRST.state
    assert (read.extent.offsets["0"], read.extent.offsets["1"]) == (4, 1)
    assert read.extent.newest is not None


def test_a_record_that_is_no_case_is_named_by_its_place(found: Settings) -> None:
    write(found, ("R1", b"{}", 0))

    with pytest.raises(UnreadableCaseError, match=r"partition 0, offset 0 is no case"):
        of_brokers(found)
