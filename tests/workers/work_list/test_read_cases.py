"""The topic of cases is followed in a thread: nothing is known before its end is read, and it may begin anew."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from threading import Event, Thread
from zoneinfo import ZoneInfo

import pytest

from events.topics import CASES
from tests.support.case_records import NOW, Written, case, publish_cases, written
from tests.support.running import eventually
from workers.configuration.settings import Settings, read
from workers.kafka import clients
from workers.topics import apply_topics
from workers.work_list.read_cases import FollowedCases, Reading, read_once, time_zone


@contextmanager
def following(found: Settings) -> Iterator[FollowedCases]:
    followed, over = FollowedCases(found), Event()
    thread = Thread(target=followed.run, args=(over,), daemon=True)
    thread.start()
    try:
        yield followed
    finally:
        over.set()
        thread.join()


def test_nothing_is_known_before_it_is_read() -> None:
    followed = FollowedCases(read())

    assert (followed.reading.error is None, followed.counts(NOW, UTC)) == (False, None)


def test_numbers_for_pages_are_counted_again_after_a_while() -> None:
    followed = FollowedCases(read())
    followed.reading = Reading(None)
    first = followed.counts(NOW, UTC)
    followed.cases.take(0, 0, b"R-1", case("R-1").packed())

    assert first is not None
    assert first.total == 0
    seconds = timedelta(seconds=1)
    later = [followed.counts(NOW + passed * seconds, UTC) for passed in (1, 2)]
    assert [one and one.total for one in later] == [0, 1]
    elsewhere = followed.counts(NOW + 2 * seconds, timezone(timedelta(hours=-6)))
    assert elsewhere == later[1]


def test_today_is_that_of_the_default_policy() -> None:
    assert time_zone(read()) == ZoneInfo("America/Chicago")
    assert time_zone(read(default_policy="X.1")) == UTC


@pytest.mark.broker
def test_what_is_followed_is_what_is_read_at_once(bootstrap: str, prefix: str) -> None:
    """What is followed is what is read at once, at the same offsets; foreign records are counted and passed."""
    found = read(bootstrap=bootstrap, topic_prefix=prefix)
    apply_topics.apply(found)
    with following(found) as followed:
        assert eventually(lambda: followed.reading.error is None)
        publish_cases(found, [written(case(f"R-{number}"), number % 4) for number in range(20)])
        publish_cases(found, [Written(0, b"R-0", None), Written(1, b"R-1", b"junk")])
        assert eventually(lambda: sum(followed.cases.offsets.values()) == 22)
        at_once = read_once(found)

    assert sorted(followed.cases) == sorted(at_once)
    assert followed.cases.offsets == at_once.offsets
    assert (len(at_once), followed.reading.unreadable) == (19, 1)


@pytest.mark.kafka
@pytest.mark.broker
def test_a_topic_that_was_made_anew_is_read_anew(bootstrap: str, prefix: str) -> None:
    """A topic with fewer records than were read is another one: no case of the old one is left."""
    found = read(bootstrap=bootstrap, topic_prefix=prefix)
    apply_topics.apply(found)
    with following(found) as followed:
        publish_cases(found, [written(case(f"R-{number}")) for number in range(5)])
        assert eventually(lambda: len(followed.cases) == 5)
        with clients.admin(found, "tests") as admin:
            admin.delete_topics([found.topic(CASES)])
        assert eventually(lambda: followed.reading.error is not None)
        apply_topics.apply(found)
        publish_cases(found, [written(case("R-new"))])
        assert eventually(lambda: [one.request_id for one in list(followed.cases)] == ["R-new"])
        assert eventually(lambda: followed.counts(datetime.now(UTC), UTC) is not None)
