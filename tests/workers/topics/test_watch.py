"""What a worker does when its topics or its group change under it; the cluster is played."""

import asyncio
from collections.abc import Callable, Sequence
from queue import Queue

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    InconsistentGroupProtocolError,
    InvalidSessionTimeoutError,
    KafkaError,
)
from structlog.testing import capture_logs

from events.topics import POLICY_REVISIONS, REQUESTS
from tests.support.layouts import FOUND, lying
from workers.topics import watch as topic_watch
from workers.topics.layout import TopicLayout, Topology
from workers.topics.watch import Seen, TopicWatch

NAME = FOUND.topic(REQUESTS)


class _Fed:
    """Notes what it is told."""

    stopping = False

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.told: list[str] = []
        self.before: list[float] = []

    async def give_up(self, sentence: str) -> None:
        self.told.append(sentence)

    async def restart_on_new_log(self, before: float) -> None:
        self.before.append(before)

    async def check_group(self) -> None:
        if self.errors:
            raise self.errors.pop(0)


def judged(*looks: Topology) -> tuple[_Fed, TopicWatch, list[bool]]:
    """What came of looks at times 1, 2 and so on, after a start with everything in order."""
    fed, found = _Fed(), TopicWatch(FOUND, lying())

    async def judge() -> list[bool]:
        return [await found.judge(Seen(float(at), one), fed) for at, one in enumerate(looks, 1)]

    return fed, found, asyncio.run(judge())


def without(name: str) -> Topology:
    return {one: where for one, where in lying().items() if one != name}


def again(name: str) -> Topology:
    return lying() | {name: TopicLayout("another", lying()[name].partitions)}


def test_nothing_follows_while_nothing_changes() -> None:
    fed, found, going_on = judged(lying(), lying())
    assert (fed.told, fed.before, going_on) == ([], [], [True, True])
    assert found.topics_there()


def test_a_topic_that_grew_ends_the_worker() -> None:
    fed, _, going_on = judged(lying(), lying(authorization_requests=8))
    assert going_on == [True, False]
    assert len(fed.told) == 1
    assert f"8 in {NAME}" in fed.told[0]


def test_recreated_requests_are_begun_anew_once() -> None:
    """Recreated requests are begun anew once, with the time when the old ones were last seen."""
    fed, _, going_on = judged(lying(), lying(), again(NAME), again(NAME))
    assert (fed.told, fed.before, going_on) == ([], [2.0], [True] * 4)


def test_requests_that_were_absent_in_between_are_begun_anew_too() -> None:
    fed, found, _ = judged(lying(), without(NAME), again(NAME))
    assert fed.before == [1.0]
    assert found.topics_there()


def test_an_absent_topic_is_logged_and_no_worker_is_ready() -> None:
    """An absent topic is logged as an error once in a while, and no worker is ready."""
    with capture_logs() as said:
        fed, found, going_on = judged(without(NAME), without(NAME))
    assert (fed.told, fed.before, going_on) == ([], [], [True, True])
    assert not found.topics_there()
    assert [(one["event"], one["topics"]) for one in said if one["log_level"] == "error"] == [("topics_absent", [NAME])]


def test_any_other_topic_that_was_created_again_ends_the_worker() -> None:
    for name in sorted(set(lying()) - {NAME}):
        fed, _, going_on = judged(again(name))
        assert going_on == [False]
        assert f"created again while this worker ran: {name};" in fed.told[0]
    fed, _, _ = judged({**again(NAME), FOUND.topic(POLICY_REVISIONS): TopicLayout("another", 1)})
    assert (len(fed.told), fed.before) == (1, [])


def watched(*errors: Exception, seconds: float = 5.0) -> list[str]:
    """Why the stream processor was ended, within some time, where the group says these errors."""
    fed, found = _Fed(*errors), TopicWatch(FOUND, lying())
    found.notify(fed)

    async def watch() -> None:
        watching = asyncio.create_task(found.watch())
        await asyncio.wait({watching}, timeout=seconds)
        watching.cancel()

    asyncio.run(watch())
    return fed.told


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InconsistentGroupProtocolError(), "another application uses this group; stop it, or give one of the two"),
        (InvalidSessionTimeoutError(), "see DLI_SESSION_TIMEOUT_SECONDS"),
        (GroupAuthorizationFailedError(FOUND.app_id), "is lost to this worker"),
        (KafkaError("Unexpected error during coordination"), "is lost to this worker"),
    ],
)
def test_a_group_that_cannot_be_joined_ends_the_worker(error: KafkaError, words: str) -> None:
    """A group that cannot be joined ends the worker with a sentence."""
    [sentence] = watched(error)
    assert words in sentence


def test_a_group_that_is_only_unsettled_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_watch, "LOOK_SECONDS", 0.05)
    assert watched(*[GroupCoordinatorNotAvailableError()] * 3, seconds=0.5) == []


def test_a_consumer_that_is_ending_is_nothing_to_give_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_watch, "LOOK_SECONDS", 0.05)
    assert watched(*[ConnectionAbortedError()] * 3, seconds=0.5) == []


def test_a_stopping_worker_is_no_longer_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that stops is no longer watched and ends as it was asked to."""
    monkeypatch.setattr(_Fed, "stopping", True)
    assert watched(InconsistentGroupProtocolError()) == []


def test_a_defect_in_watching_ends_the_worker_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_watch, "LOOK_SECONDS", 0.05)

    async def broken(*_: object) -> bool:
        raise ValueError

    monkeypatch.setattr(TopicWatch, "_check_group", broken)
    assert watched(seconds=2) == ["the topics and the group cannot be watched any more"]


@pytest.mark.parametrize("turns", range(5))
def test_a_watch_cancelled_as_a_look_arrives_still_ends(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch that is cancelled just as a look arrives ends all the same."""
    tells: Queue[Callable[[Seen], None]] = Queue()
    monkeypatch.setattr(topic_watch, "_look", lambda _settings, tell, _over: tells.put(tell))
    fed, found = _Fed(), TopicWatch(FOUND, lying())
    found.notify(fed)

    async def watch() -> bool:
        watching = asyncio.create_task(found.watch())
        tell = await asyncio.to_thread(tells.get, timeout=10)
        tell(Seen(1.0, lying()))
        for _ in range(turns):  # of the loop: the look is in the queue, is taken out of it, is judged
            await asyncio.sleep(0)
        watching.cancel()
        await asyncio.wait({watching}, timeout=1)
        return watching.cancelled()

    assert asyncio.run(watch())


def test_a_spare_is_who_has_nothing_while_others_have_all() -> None:
    _, found, _ = judged(lying())
    shares: Sequence[dict[str, list[int]]] = [{NAME: [0, 1]}, {NAME: [2, 3]}, {}]
    assert found.spare({str(number): share for number, share in enumerate(shares)})
    assert not found.spare({"one": {NAME: [0, 1, 2]}, "other": {}})
