"""One partition's loop beside others: what it tells, when it waits, and for whom; without a broker."""

import asyncio
import sys
import time
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import pytest
from faust.types import TP

from tests.support import virtual_time
from tests.support.stream_owners import entered, owner
from tests.support.virtual_time import now
from workers.kafka.records import OutgoingRecord, Record
from workers.stream import EXIT_PROCESSOR_LOST, ProcessorLostError, StreamProcessor
from workers.stream.partition_loop import _SETTLE_S, PartitionLoop
from workers.stream.partition_output import UnevenTopicsError
from workers.stream.processor import BATCHES_AT_ONCE, Turns


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here waits for the machine's clock."""
    for name in ("partition_loop.monotonic", "partition_loop.perf_counter", "processor.perf_counter"):
        monkeypatch.setattr(f"workers.stream.{name}", now)


def test_losing_the_processor_ends_a_process_with_its_code() -> None:
    with pytest.raises(SystemExit) as ended:
        raise ProcessorLostError("another worker has the partition")
    assert ended.value.code == EXIT_PROCESSOR_LOST == 70


def test_behind_a_full_processor_one_batch_starts_at_a_time() -> None:
    """What is behind a processor starts one batch at a time while a whole batch waits there."""
    first = object.__new__(StreamProcessor)
    first.max_batch, first._turn = 10, asyncio.Lock()

    async def three_starts(waiting: int) -> float:
        first._loops = dict.fromkeys(range(2), SimpleNamespace(waiting=waiting))  # type: ignore[arg-type]
        begun = now()
        await asyncio.gather(*(first.let_go_first() for _ in range(3)))
        return now() - begun

    assert virtual_time.run(three_starts(waiting=4)) == 0
    assert 0.6 <= virtual_time.run(three_starts(waiting=5)) < 0.9


@pytest.mark.parametrize(("partitions", "room"), [(1, 2_000), (8, 2_000), (16, 1_000), (64, 250), (1_000, 250)])
def test_many_partitions_share_what_a_worker_may_buffer(partitions: int, room: int) -> None:
    """Among many partitions each buffers less, and none of them is left with tiny batches."""
    processor = object.__new__(StreamProcessor)
    processor.max_batch = 1_000
    processor._loops = dict.fromkeys(range(partitions))  # type: ignore[assignment]  # only their number matters

    assert processor.room == room


class _Stuck:
    """Delivers once it is let go."""

    unsettled = False

    def __init__(self) -> None:
        self.let_go = asyncio.Event()

    async def deliver(self, outputs: Sequence[OutgoingRecord], upto: int, note: str) -> dict[str, int]:  # noqa: ARG002
        await self.let_go.wait()
        return {}


def test_records_behind_a_stuck_delivery_show_as_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that wait behind a stuck delivery show as no progress."""

    async def through() -> list[tuple[bool, bool]]:
        output = _Stuck()
        loop = PartitionLoop(owner(), 0)
        monkeypatch.setattr("workers.stream.partition_loop.opened_output", lambda *_: entered(output))
        seen = []
        for _ in range(2):
            await asyncio.sleep(0.3)
            seen.append((loop.progress.started, 0.1 < loop.progress.waiting_seconds <= 0.3))
            output.let_go.set()
        loop._task.cancel()  # noqa: SLF001
        return seen

    assert virtual_time.run(through()) == [(True, True), (True, False)]


def test_a_broker_that_answers_nothing_new_shows_as_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def through() -> list[bool]:
        marks = iter([*range(10), *[10] * 1_000])
        loop = PartitionLoop(owner(marks), 0)
        monkeypatch.setattr("workers.stream.partition_loop.opened_output", lambda *_: entered(_Stuck()))
        seen = []
        for pause in (0.1, 0.6):
            await asyncio.sleep(pause)
            seen.append(0.2 < loop.progress.silent_seconds <= 0.7)
        loop._task.cancel()  # noqa: SLF001
        return seen

    assert virtual_time.run(through()) == [False, True]


class _Unsettled:
    """Has a transaction to confirm, and does so once it is let go."""

    unsettled = True

    def __init__(self) -> None:
        self.settling, self.let_go = asyncio.Event(), asyncio.Event()

    async def settle(self) -> None:
        self.settling.set()
        await self.let_go.wait()


def test_a_partition_closed_while_it_settles_ends_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet partition that is closed while it settles ends once it has settled."""

    async def through() -> tuple[bool, bool]:
        output = _Unsettled()
        monkeypatch.setattr("workers.stream.partition_loop.opened_output", lambda *_: entered(output))
        loop = PartitionLoop(owner(records=0), 0)
        await asyncio.wait_for(output.settling.wait(), 10)
        closing = asyncio.create_task(loop.close())
        await asyncio.sleep(0.1)
        early = closing.done()
        output.let_go.set()
        await asyncio.wait({closing}, timeout=5)
        return early, closing.done()

    assert virtual_time.run(through()) == (False, True)


class _Committing:
    """Commits offsets, and lets a transaction's end be read meanwhile, once."""

    unsettled = False

    def __init__(self) -> None:
        self.committed: list[int] = []
        self.loop: PartitionLoop | None = None

    async def deliver(self, outputs: Sequence[OutgoingRecord], upto: int, note: str) -> dict[str, int]:  # noqa: ARG002
        self.committed.append(upto)
        if len(self.committed) == 1 and self.loop is not None:
            self.loop._read_to = upto + 2  # noqa: SLF001 (what the puller does meanwhile)
        await asyncio.sleep(0)
        return {}


def test_markers_that_come_during_a_commit_are_committed_too() -> None:
    """What is read while an offset is committed is not taken for committed."""

    async def through() -> list[int]:
        output, loop = _Committing(), PartitionLoop(owner(records=0), 0)
        loop._task.cancel()  # noqa: SLF001
        output.loop, loop._read_to = loop, 7  # noqa: SLF001
        for _ in range(3):
            await loop._settle(output)  # type: ignore[arg-type]  # noqa: SLF001 (as much of an output as it needs)
        return output.committed

    assert virtual_time.run(through()) == [7, 9]


def arrived(loop: PartitionLoop, offset: int) -> None:
    """What the puller does with a record."""
    loop._arrived.append(Record("requests", 0, offset, 0, b"key", b"value"))  # noqa: SLF001
    loop._read_to = offset + 1  # noqa: SLF001
    loop._news.set()  # noqa: SLF001


def test_a_record_that_arrives_as_it_settles_is_not_passed_over() -> None:
    """A process that stood still sees the end of its pause and new records in one moment."""

    async def through() -> list[int]:
        output, loop = _Committing(), PartitionLoop(owner(records=0), 0)
        loop._task.cancel()  # noqa: SLF001
        loop._read_to = 7  # noqa: SLF001
        puller = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(loop._for_a_batch(output, puller))  # type: ignore[arg-type]  # noqa: SLF001 (as above)
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(_SETTLE_S, arrived, loop, 9)
        await asyncio.wait({waiting}, timeout=2 * _SETTLE_S)
        puller.cancel()
        assert waiting.done()
        return output.committed

    assert max(virtual_time.run(through()), default=0) <= 9


@pytest.mark.parametrize(("offset", "committed"), [(9, [9]), (7, [7])])
def test_nothing_beyond_the_first_waiting_record_is_committed(offset: int, committed: list[int]) -> None:
    async def through() -> list[int]:
        output, loop = _Committing(), PartitionLoop(owner(records=0), 0)
        loop._task.cancel()  # noqa: SLF001
        arrived(loop, offset)
        arrived(loop, offset + 1)
        await loop._settle(output)  # type: ignore[arg-type]  # noqa: SLF001 (as above)
        return output.committed

    assert virtual_time.run(through()) == committed


class _Counting:
    """Takes a while to deliver, and notes how many do so at once."""

    unsettled = False

    def __init__(self) -> None:
        self.busy: list[int] = []
        self._now = 0

    async def deliver(self, outputs: Sequence[OutgoingRecord], upto: int, note: str) -> dict[str, int]:  # noqa: ARG002
        self._now += 1
        self.busy.append(self._now)
        await asyncio.sleep(0.02)
        self._now -= 1
        return {}


def test_only_a_few_of_many_partitions_have_a_batch_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of many partitions only a few have a batch in progress, so that none takes long."""

    async def through() -> list[int]:
        output = _Counting()
        monkeypatch.setattr("workers.stream.partition_loop.opened_output", lambda *_: entered(output))
        processor = owner(records=40)
        loops = [PartitionLoop(processor, partition) for partition in range(20)]
        while len(output.busy) < 20:  # noqa: ASYNC110 (twenty loops say so, each for itself)
            await asyncio.sleep(0.01)
        for loop in loops:
            await loop.close()
        return output.busy

    assert max(virtual_time.run(asyncio.wait_for(through(), 20))) == BATCHES_AT_ONCE


def test_a_processor_behind_another_gathers_before_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor behind another gathers records, even from a trickle, before it takes a batch."""

    async def through() -> list[float]:
        starts: list[float] = []

        def handler(_: object) -> list[OutgoingRecord]:
            starts.append(now())
            return []

        monkeypatch.setattr("workers.stream.partition_loop.opened_output", lambda *_: entered(_Counting()))
        processor = owner(records=1_000)
        processor.max_batch, processor.handler = 10_000, handler
        processor.behind = SimpleNamespace(let_go_first=partial(asyncio.sleep, 0))
        loop = PartitionLoop(processor, 0)
        while len(starts) < 3:  # noqa: ASYNC110 (the handler says so)
            await asyncio.sleep(0.01)
        await loop.close()
        return starts

    starts = virtual_time.run(asyncio.wait_for(through(), 20))
    assert min(later - earlier for earlier, later in pairwise(starts)) > 0.45


def test_a_slow_batch_delays_no_other_and_frees_its_turn_once() -> None:
    """A batch that takes too long holds up no other and gives its turn back once."""

    async def through() -> list[str]:
        turns, said = Turns(1, longest=0.1), []

        async def batch(name: str, seconds: float) -> None:
            async with turns.turn():
                said.append(name)
                await asyncio.sleep(seconds)
                said.append(f"{name} ends")

        await asyncio.gather(batch("stuck", 0.3), batch("other", 0.05))
        await asyncio.gather(batch("first", 0.02), batch("second", 0.02))
        return said

    assert virtual_time.run(through()) == [
        *("stuck", "other", "other ends", "stuck ends"),
        *("first", "first ends", "second", "second ends"),
    ]


def test_uneven_topics_end_the_process_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uneven topics end the process with the sentence that says so."""

    class Uneven(_Counting):
        async def deliver(self, *_: object) -> dict[str, int]:
            raise UnevenTopicsError("requests has 4 partitions and decisions has 2")

    async def through() -> list[str]:
        said: list[str] = []

        async def give_up(sentence: str) -> None:
            said.append(sentence)

        monkeypatch.setattr("workers.stream.partition_loop.opened_output", lambda *_: entered(Uneven()))
        processor = owner()
        processor.give_up = give_up
        await asyncio.wait_for(PartitionLoop(processor, 0)._task, 20)  # noqa: SLF001
        return said

    assert virtual_time.run(through()) == ["requests-0: requests has 4 partitions and decisions has 2"]


class _Noting(_Counting):
    """Notes what offsets it commits."""

    def __init__(self) -> None:
        super().__init__()
        self.committed: list[tuple[int, str]] = []

    async def deliver(self, outputs: Sequence[OutgoingRecord], upto: int, note: str) -> dict[str, int]:
        self.committed.append((upto, note))
        return await super().deliver(outputs, upto, note)


def test_a_partition_of_a_new_log_first_commits_its_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A partition of another log commits its beginning before it asks where to start."""

    async def through(*, from_beginning: bool) -> list[tuple[int, str]]:
        output = _Noting()
        monkeypatch.setattr("workers.stream.partition_loop.opened_output", lambda *_: entered(output))
        loop = PartitionLoop(owner(), 0, from_beginning=from_beginning)
        while not output.busy or loop.waiting:  # noqa: ASYNC110 (the output says so)
            await asyncio.sleep(0.01)
        await loop.close()
        return output.committed

    assert virtual_time.run(asyncio.wait_for(through(from_beginning=True), 20))[0] == (3, "")
    assert [upto for upto, _ in virtual_time.run(asyncio.wait_for(through(from_beginning=False), 20))] == [8]


class _Lane:
    """As much of a loop as a processor that begins anew needs."""

    def __init__(
        self,
        _owner: object,
        partition: int,
        *,
        from_beginning: bool = False,
        new_log: bool = False,
        began: float = 9.0,
    ) -> None:
        self.partition, self.from_beginning, self.new_log, self.began = partition, from_beginning, new_log, began
        self.closing = asyncio.Event()

    async def close(self) -> None:
        await self.closing.wait()


def test_only_lanes_that_saw_the_old_topic_begin_a_new_one_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only those that saw the old topic begin a recreated topic at its beginning."""
    monkeypatch.setattr(sys.modules[StreamProcessor.__module__], "PartitionLoop", _Lane)
    processor = object.__new__(StreamProcessor)
    processor.topic = "requests"

    async def anew() -> dict[int, tuple[bool, bool]]:
        old, young, leaving = (_Lane(processor, number, began=began) for number, began in enumerate((1.0, 3.0, 1.0)))
        processor._loops = {one.partition: one for one in (old, young, leaving)}  # type: ignore[misc]
        processor._assigned = {0, 1, 2}
        beginning = asyncio.create_task(processor.restart_on_new_log(before=2.0))
        await asyncio.sleep(0)
        # The group takes one away while the loops end.
        await processor._on_revoked(processor, [TP("requests", 2)])
        for loop in (old, young, leaving):
            loop.closing.set()
        await beginning
        return {number: (loop.from_beginning, loop.new_log) for number, loop in processor._loops.items()}  # type: ignore[attr-defined]

    assert asyncio.run(anew()) == {0: (True, True), 1: (False, True)}


@pytest.mark.parametrize(("ago", "new_log"), [(1.0, True), (59.0, True), (61.0, False), (None, False)])
def test_partitions_assigned_soon_after_may_have_old_offsets(
    monkeypatch: pytest.MonkeyPatch, ago: float | None, new_log: bool
) -> None:
    """Until somebody has committed to the new one; later an offset that is not in the log is a cut log's."""
    monkeypatch.setattr(sys.modules[StreamProcessor.__module__], "PartitionLoop", _Lane)
    processor = object.__new__(StreamProcessor)
    processor.topic, processor._loops, processor._assigned = "requests", {}, set()
    processor._created_again = time.monotonic() - ago if ago is not None else None

    asyncio.run(processor._on_assigned(processor, [TP("requests", 0)]))

    assert {number: loop.new_log for number, loop in processor._loops.items()} == {0: new_log}  # type: ignore[attr-defined]
