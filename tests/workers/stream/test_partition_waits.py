"""One partition's loop under a clock of its own: how much it takes at once, how long it waits, what it says failed."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest

from tests.support import virtual_time
from tests.support.stream_owners import entered, owner
from tests.support.virtual_time import now
from workers.kafka.records import OutgoingRecord, PartitionListener, Record
from workers.stream.partition_loop import RHYTHM_S, PartitionLoop

PATIENCE_S = 10_000.0
"""By a clock that waits for nobody."""


class Carrier:
    """Delivers at once."""

    unsettled = False

    async def deliver(self, outputs: Sequence[OutgoingRecord], upto: int, note: str) -> dict[str, int]:  # noqa: ARG002
        return {}

    async def settle(self) -> None:
        """Nothing is left open."""


class Listener(PartitionListener):
    """Hears what fails."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def failed(self, partition: int, stage: str, error: BaseException) -> None:  # noqa: ARG002
        self.failures.append(stage)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("monotonic", "perf_counter"):
        monkeypatch.setattr(f"workers.stream.partition_loop.{name}", now)


def carried_by(monkeypatch: pytest.MonkeyPatch, made: Callable[[], Any]) -> None:
    """Let each attempt at the partition have what `made` gives."""
    monkeypatch.setattr("workers.stream.partition_loop.opened_output", lambda *_: entered(made()))


def until(processor: Any, holds: Callable[[], bool]) -> None:
    """Let a partition's loop go on until that holds."""

    async def through() -> None:
        loop, begun = PartitionLoop(processor, 0), now()
        while not holds():
            assert now() - begun < PATIENCE_S
            await asyncio.sleep(0.001)
        await loop.close()

    virtual_time.run(through())


# --- how much it takes at once -------------------------------------------------------------------------------------


class Batches:
    """A handler that keeps what it was given, and when."""

    def __init__(self) -> None:
        self.of: list[list[int]] = []
        self.began: list[float] = []

    def __call__(self, records: Sequence[Record]) -> list[OutgoingRecord]:
        self.of.append([one.offset for one in records])
        self.began.append(now())
        return []

    @property
    def sizes(self) -> list[int]:
        return [len(one) for one in self.of]


def batches(records: int, at_once: int, max_batch: int) -> Batches:
    """What the handler is given of so many records that arrive so many at once."""
    processor = owner(records=records, at_once=at_once)
    processor.max_batch, processor.room, processor.handler = max_batch, 2 * max_batch, Batches()
    until(processor, lambda: sum(processor.handler.sizes) >= records)
    found: Batches = processor.handler
    return found


@pytest.mark.parametrize("at_once", [1, 7, 1_000])
@pytest.mark.parametrize("most", [1, 3, 50])
def test_a_batch_holds_no_more_than_the_most(monkeypatch: pytest.MonkeyPatch, most: int, at_once: int) -> None:
    """However many records have arrived, the handler is given at most `max_batch`, each record once and in order."""
    carried_by(monkeypatch, Carrier)

    found = batches(173, at_once, most)

    assert max(found.sizes) <= most
    assert [offset for batch in found.of for offset in batch] == list(range(7, 180))
    assert at_once < 1_000 or found.sizes == [most] * (173 // most) + [173 % most] * (173 % most > 0)


# --- how long it waits ---------------------------------------------------------------------------------------------


def test_each_record_of_a_trickle_is_taken_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that come one by one, faster than the rhythm of full batches, are not gathered into batches."""
    carried_by(monkeypatch, Carrier)

    found = batches(40, at_once=1, max_batch=100)

    assert found.sizes == [1] * 40
    assert max(later - earlier for earlier, later in pairwise(found.began)) < RHYTHM_S


@pytest.mark.parametrize("at_once", [8, 30])
def test_a_steady_stream_begins_its_batches_by_the_rhythm(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Records that come many at a time share batches that begin one rhythm apart, however large they are."""
    carried_by(monkeypatch, Carrier)

    found = batches(20 * at_once, at_once, max_batch=1_000)

    gaps = [later - earlier for earlier, later in pairwise(found.began)]
    assert gaps[:-1] == pytest.approx([RHYTHM_S] * len(gaps[:-1]))
    assert found.sizes[1] > at_once


def test_pauses_between_attempts_double_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition that cannot be taken over is tried again after twice as long each time, in the end every 15 s."""
    tried: list[float] = []

    def refusing() -> Carrier:
        tried.append(now())
        raise OSError("no broker")

    monkeypatch.setattr("workers.stream.partition_loop.opened_output", lambda *_: refusing())
    until(owner(), lambda: len(tried) > 14)

    gaps = [later - earlier for earlier, later in pairwise(tried)]
    assert gaps[:8] == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 15, 15])
    assert gaps[8:] == pytest.approx([15] * len(gaps[8:]))


def test_pauses_are_short_again_after_a_batch_went_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed before a batch was delivered does not make the next failure's pause longer."""
    tried: list[float] = []
    works = {3}

    class Once(Carrier):
        delivered = False

        async def deliver(self, outputs: Sequence[OutgoingRecord], upto: int, note: str) -> dict[str, int]:
            if self.delivered:
                tried.append(now())
                raise OSError("gone again")
            self.delivered = True
            return await super().deliver(outputs, upto, note)

    def carrier() -> Carrier:
        if len(tried) in works:
            return Once()
        tried.append(now())
        raise OSError("no broker")

    monkeypatch.setattr("workers.stream.partition_loop.opened_output", lambda *_: entered(carrier()))
    until(owner(records=5), lambda: len(tried) > 5)

    # Three attempts fail; the fourth delivers a batch and fails at its second; the next ones fail again.
    assert tried[1] - tried[0] == pytest.approx(0.25)
    assert tried[2] - tried[1] == pytest.approx(0.5)
    assert tried[4] - tried[3] == pytest.approx(0.25)
    assert tried[5] - tried[4] == pytest.approx(0.5)


# --- what it says failed -------------------------------------------------------------------------------------------


def fails(*_: object) -> Any:
    raise OSError("as it happens")


async def fails_later(*_: object) -> Any:
    raise OSError("as it happens")


class _CannotDeliver(Carrier):
    async def deliver(self, *_: object) -> dict[str, int]:
        raise OSError("as it happens")


class _CannotSettle(Carrier):
    unsettled = True

    async def settle(self) -> None:
        raise OSError("as it happens")


def in_taking_over(processor: Any) -> Any:
    processor.app.consumer.thread.committed = fails_later
    return Carrier()


def in_what_lives_beside(processor: Any) -> Any:
    processor.listener.assigned = fails_later
    return Carrier()


def in_reading(processor: Any) -> Any:
    processor.app.consumer.thread.read_from = fails_later
    return Carrier()


def in_the_handler(processor: Any) -> Any:
    processor.handler = fails
    return Carrier()


def in_delivering(_processor: Any) -> Any:
    return _CannotDeliver()


def in_taking_note_of_the_commit(processor: Any) -> Any:
    processor.listener.after_commit = fails
    return Carrier()


def in_settling(_processor: Any) -> Any:
    return _CannotSettle()


STAGES: Mapping[Callable[[Any], Any], str] = {
    in_taking_over: "take_over",
    in_what_lives_beside: "take_over",
    in_reading: "receive",
    in_the_handler: "remember",
    in_delivering: "deliver",
    in_taking_note_of_the_commit: "remember",
    in_settling: "settle",
}


@pytest.mark.parametrize(("what", "stage"), STAGES.items(), ids=[what.__name__ for what in STAGES])
def test_a_failure_says_what_was_about_to_be_done(
    monkeypatch: pytest.MonkeyPatch, what: Callable[[Any], Any], stage: str
) -> None:
    """An error is told with its stage, and one on the way back to work with that of taking over."""
    processor = owner()
    processor.listener = Listener()
    made: Iterator[Any] = iter([what(processor)])

    def carrier() -> Any:
        try:
            return next(made)
        except StopIteration:
            raise OSError("no broker") from None

    monkeypatch.setattr("workers.stream.partition_loop.opened_output", lambda *_: entered(carrier()))
    until(processor, lambda: len(processor.listener.failures) >= 3)

    assert processor.listener.failures[:3] == [stage, "take_over", "take_over"]
