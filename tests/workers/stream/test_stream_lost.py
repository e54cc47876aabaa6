"""A committed offset that its log no longer has: what was lost is told once, and nothing is passed over in silence."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition
from structlog.testing import capture_logs

from workers.kafka import offset_metadata
from workers.kafka.offset_metadata import Note
from workers.kafka.records import BatchReport, Lost, OutgoingRecord, PartitionListener, Record
from workers.stream.faust_internals import Chunk, Kept, record_out_of_range
from workers.stream.partition_loop import PartitionLoop
from workers.stream.processor import Turns

PATIENCE_SECONDS = 20.0


def record(offset: int, value: bytes = b"") -> Record:
    return Record("requests", 0, offset, 1_000, None, value or b"%d" % offset)


class Log:
    """A partition as its broker keeps it, the group's offset with it, and a stream processor with one loop on it."""

    def __init__(self, end: int, committed: int, note: str = "", beginning: int = 0) -> None:
        self.records = {offset: record(offset) for offset in range(beginning, end)}
        self.first, self.end = beginning, end
        self.held_at: int | None = None
        self.offset = committed, note
        self.commits: list[tuple[int, str]] = []
        self.handled: list[int] = []
        self.failing = 0
        self.unsettled = False
        self.listener = _Telling()

    def write(self, count: int, value: bytes = b"") -> None:
        for offset in range(self.end, self.end + count):
            self.records[offset] = record(offset, value)
        self.end += count

    def markers(self, count: int) -> None:
        self.end += count

    def remove(self, before: int) -> None:
        self.records = {offset: one for offset, one in self.records.items() if offset >= before}
        self.first = before

    def cut(self, to: int) -> None:
        self.records = {offset: one for offset, one in self.records.items() if offset < to}
        self.end = to

    # The consumer's thread.

    async def committed(self, _: TopicPartition) -> tuple[int, str]:
        return self.offset

    async def beginning(self, _: TopicPartition) -> int:
        return self.first

    async def kept(self, _: TopicPartition) -> Kept:
        return Kept(self.first, self.end)

    async def record_at(self, _: TopicPartition, offset: int) -> Record | None:
        return self.records.get(offset)

    async def read_from(self, tp: TopicPartition, wanted: int, limit: int) -> Chunk:
        await asyncio.sleep(0.01)
        if not self.first <= wanted <= self.end:
            raise OffsetOutOfRangeError({tp: wanted})
        stable = self.end if self.held_at is None else self.held_at
        found = [self.records[offset] for offset in range(wanted, stable) if offset in self.records][:limit]
        reached = found[-1].offset + 1 if found else max(wanted, stable)
        return Chunk(found, reached, None, self.held_at if reached == self.held_at else None)

    # The output.

    async def deliver(self, outputs: Sequence[OutgoingRecord], upto: int, note: str) -> dict[str, int]:  # noqa: ARG002
        if self.failing:
            self.failing -= 1
            raise ConnectionError
        self.offset = upto, note
        self.commits.append(self.offset)
        self.unsettled = True
        return {}

    async def settle(self) -> None:
        self.unsettled = False

    # The stream processor.

    def handle(self, records: Sequence[Record]) -> list[OutgoingRecord]:
        self.handled += [one.offset for one in records]
        return []

    def owner(self) -> Any:
        async def acquire() -> None:
            pass

        return SimpleNamespace(
            topic="requests",
            handler=self.handle,
            max_batch=100,
            room=200,
            behind=None,
            turns=Turns(4, 5.0),
            instead=None,
            listener=self.listener,
            app=SimpleNamespace(flow_control=SimpleNamespace(acquire=acquire), consumer=SimpleNamespace(thread=self)),
        )


class _Telling(PartitionListener):
    """Keeps the offsets of what was lost as its note."""

    def __init__(self) -> None:
        self.told: list[Lost] = []
        self.resumptions: list[tuple[int, str]] = []
        self.reports: list[BatchReport] = []
        self._text = ""

    def on_batch(self, report: BatchReport) -> None:
        self.reports.append(report)

    def resumed(self, partition: int, offset: int, note: str) -> None:  # noqa: ARG002
        self.resumptions.append((offset, note))
        self._text = note

    def passing_over(self, partition: int, lost: Lost) -> str:  # noqa: ARG002
        return f"{self._text}{lost.first}-{lost.last} "

    def passed_over(self, partition: int, lost: Lost) -> None:  # noqa: ARG002
        self.told.append(lost)
        self._text = f"{self._text}{lost.first}-{lost.last} "

    def note(self, partition: int, records: Sequence[Record], outputs: Sequence[OutgoingRecord]) -> str:  # noqa: ARG002
        return self._text


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 (several things are waited for, and none says so)
            await asyncio.sleep(0.005)


Steps = Callable[[Log, PartitionLoop], Awaitable[None]]


@pytest.fixture
def through(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Have a loop on a log while some steps are taken; what it told at error level."""
    monkeypatch.setattr("workers.stream.partition_loop._SETTLE_S", 0.05)
    monkeypatch.setattr("workers.stream.partition_loop._LOOK_AGAIN_S", 0.02)

    async def run(log: Log, steps: Steps, *, new_log: bool) -> None:
        @asynccontextmanager
        async def output(*_: object) -> AsyncIterator[Log]:
            yield log

        monkeypatch.setattr("workers.stream.partition_loop.opened_output", output)
        loop = PartitionLoop(log.owner(), 0, new_log=new_log)
        try:
            await steps(log, loop)
        finally:
            await loop.close()

    def done(log: Log, steps: Steps, *, new_log: bool = False) -> list[Any]:
        with capture_logs() as said:
            asyncio.run(run(log, steps, new_log=new_log))
        return [one for one in said if one["log_level"] == "error"]

    return done


def handled(*upto: int) -> Steps:
    async def steps(log: Log, _loop: PartitionLoop) -> None:
        await until(lambda: log.handled[-1:] == [upto[-1] - 1])

    return steps


def read_to(offset: int) -> str:
    """The note that stands at an offset when the record before it was read."""
    return str(Note("", offset_metadata.mark(record(offset - 1))))


async def a_moment() -> None:
    """Long enough for a loop to do what it must not do."""
    await asyncio.sleep(0.2)


def test_a_batchs_report_has_its_records_and_its_own_seconds(through: Any) -> None:
    """Handling and delivery share the time that passed: no other clock reading is in them."""
    log = Log(end=10, committed=3)
    begun = perf_counter()
    through(log, handled(10))
    passed = perf_counter() - begun

    assert [(one.first_offset, one.last_offset, one.records) for one in log.listener.reports] == [(3, 9, 7)]
    assert all(one.handler_seconds >= 0 and one.delivery_seconds >= 0 for one in log.listener.reports)
    assert sum(one.handler_seconds + one.delivery_seconds for one in log.listener.reports) <= passed


# --- behind the beginning ------------------------------------------------------------------------------------------


def test_a_removed_record_is_reported_once_with_its_offset(through: Any) -> None:
    """What was removed before it was read is reported once, with its offsets."""
    log = Log(end=10, committed=3, note=read_to(3), beginning=6)
    told = through(log, handled(10))
    assert log.listener.told == [Lost(3, 5)]
    assert log.listener.resumptions == [(3, "")]
    assert log.handled == [6, 7, 8, 9]
    assert [(one["event"], one["topic"], one["partition"]) for one in told] == [("records_lost", "requests", 0)]
    assert [(one["first"], one["last"], one["count"]) for one in told] == [(3, 5, 3)]


def test_a_loss_is_committed_at_once_and_reported_only_once(through: Any) -> None:
    """What was lost is committed at once and is not reported again by anybody."""
    log = Log(end=6, committed=3, note=read_to(3), beginning=6)

    async def steps(_log: Log, loop: PartitionLoop) -> None:
        await until(lambda: loop.open)

    async def steps_of_first(log: Log, loop: PartitionLoop) -> None:
        await steps(log, loop)
        await until(lambda: not log.unsettled)

    assert len(through(log, steps_of_first)) == 1
    assert log.commits == [(6, f"3-5 {read_to(3)}")]
    again = through(log, steps)
    assert (again, log.listener.told) == ([], [Lost(3, 5)])


def test_what_could_not_be_committed_is_not_told_yet(through: Any) -> None:
    log = Log(end=10, committed=3, beginning=6)
    log.failing = 2
    told = through(log, handled(10))
    assert (log.listener.told, len(told)) == ([Lost(3, 5)], 1)


def test_what_is_removed_while_a_lane_reads_is_told_too(through: Any) -> None:
    log = Log(end=3, committed=0)

    async def steps(log: Log, _loop: PartitionLoop) -> None:
        await until(lambda: log.handled == [0, 1, 2])
        log.write(7)
        log.remove(before=8)
        await until(lambda: log.handled == [0, 1, 2, 8, 9])

    told = through(log, steps)
    assert (log.listener.told, len(told)) == ([Lost(3, 7)], 1)


def test_markers_that_were_read_and_then_removed_are_no_loss(through: Any) -> None:
    log = Log(end=3, committed=0)
    log.markers(2)

    async def steps(log: Log, _loop: PartitionLoop) -> None:
        await until(lambda: log.offset[0] == 5)
        log.remove(before=5)

    assert through(log, steps) == []
    assert through(log, lambda _, loop: until(lambda: loop.open)) == []
    assert log.listener.told == []
    assert log.offset == (5, read_to(3))


def test_a_last_transaction_is_confirmed_under_a_busy_broker(through: Any) -> None:
    """A last transaction is confirmed although the broker answers all the time."""
    log = Log(end=3, committed=0)

    async def steps(log: Log, _loop: PartitionLoop) -> None:
        await until(lambda: bool(log.handled))
        await until(lambda: not log.unsettled)

    through(log, steps)
    assert (log.handled, log.unsettled) == ([0, 1, 2], False)


def test_a_group_that_committed_nothing_has_lost_nothing(through: Any) -> None:
    log = Log(end=9, committed=6, beginning=6)
    assert through(log, handled(9)) == []


# --- nowhere in the log --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("note", ["", read_to(20)])
def test_an_offset_beyond_the_end_stays_refused(through: Any, note: str) -> None:
    """An offset beyond the end is refused, and what is written afterwards stays unread."""
    log = Log(end=8, committed=20, note=note)

    async def steps(log: Log, loop: PartitionLoop) -> None:
        await until(lambda: loop.progress.refused)
        log.write(30)
        await a_moment()
        assert loop.progress.refused
        assert not loop.progress.started

    [said] = through(log, steps)
    assert (said["event"], said["committed"], said["end_when_found"]) == ("offset_not_in_log", 20, 8)
    assert "dli reset-offset requests 0 --to earliest --execute" in said["do"]
    assert log.handled == []
    # Whoever takes it over finds it refused, however far the log has grown.
    assert len(through(log, lambda _, loop: until(lambda: loop.progress.refused))) == 1
    assert log.handled == []
    assert log.commits == [(20, f"{note}; refused=8")]


@pytest.mark.parametrize("reset", [0, 5, 20, 38])
def test_a_lane_goes_on_without_a_restart_once_its_offset_is_set(through: Any, reset: int) -> None:
    """A lane goes on without a restart where somebody sets its offset."""
    log = Log(end=8, committed=20)

    async def steps(log: Log, loop: PartitionLoop) -> None:
        await until(lambda: loop.progress.refused)
        log.write(32)
        log.offset = reset, ""
        await until(lambda: log.handled == list(range(reset, 40)))
        assert not loop.progress.refused

    through(log, steps)


class _GoneAfterReset(Log):
    """Its broker goes away when it has said that the offset was reset."""

    gone = False

    async def committed(self, tp: TopicPartition) -> tuple[int, str]:
        if self.gone:
            raise ConnectionError
        found = await super().committed(tp)
        self.gone = found == (0, "")
        return found


def test_a_reset_offset_is_not_refused_while_brokers_are_gone(through: Any) -> None:
    log = _GoneAfterReset(end=8, committed=20)

    async def steps(log: Log, loop: PartitionLoop) -> None:
        await until(lambda: loop.progress.refused)
        log.offset = 0, ""
        await until(lambda: not loop.progress.refused)
        assert log.handled == []

    through(log, steps)


def test_a_cut_log_that_has_grown_past_the_offset_is_refused(through: Any) -> None:
    """A log that was cut and has grown past the offset is refused."""
    log = Log(end=20, committed=10, note=read_to(10))
    log.cut(to=4)
    log.write(30, b"another")
    [said] = through(log, lambda _, loop: until(lambda: loop.progress.refused))
    assert (said["committed"], said["end_when_found"], log.handled) == (10, 34, [])


def test_a_log_whose_last_record_read_is_a_marker_now_is_refused(through: Any) -> None:
    log = Log(end=20, committed=10, note=read_to(10))
    log.cut(to=9)
    log.markers(1)
    log.write(5)
    through(log, lambda _, loop: until(lambda: loop.progress.refused))
    assert log.handled == []


def test_a_log_cut_below_its_reader_stops_only_that_partition(through: Any) -> None:
    """A log that is cut below its reader stops only that partition."""
    log = Log(end=10, committed=0)

    async def steps(log: Log, loop: PartitionLoop) -> None:
        await until(lambda: log.offset[0] == 10)
        log.cut(to=4)
        await until(lambda: loop.progress.refused)
        log.write(30)
        await a_moment()

    [said] = through(log, steps)
    assert (said["committed"], said["end_when_found"]) == (10, 4)
    assert log.handled == list(range(10))


def test_a_log_that_is_cut_and_grows_at_once_is_refused(through: Any) -> None:
    """A log that is cut and grows at once is refused all the same."""
    log = Log(end=10, committed=10)  # without a mark: the offset was set by hand
    log.markers(5)

    async def steps(log: Log, loop: PartitionLoop) -> None:
        await until(lambda: log.offset[0] == 15)
        broken, read_from = OffsetOutOfRangeError({}), log.read_from

        async def once(*_: object) -> Chunk:
            log.read_from = read_from  # type: ignore[method-assign]
            log.cut(to=4)
            log.write(30)
            raise broken

        log.read_from = once  # type: ignore[assignment, method-assign]
        await until(lambda: loop.progress.refused)

    through(log, steps)
    assert log.handled == []


# --- an open transaction -------------------------------------------------------------------------------------------


def test_an_open_transaction_shows_how_long_it_blocks(through: Any) -> None:
    """An open transaction shows for how long it holds up what is behind it."""
    log = Log(end=10, committed=0)
    log.held_at = 4

    async def steps(log: Log, loop: PartitionLoop) -> None:
        await until(lambda: loop.progress.held_seconds > 0.1)
        assert log.handled == [0, 1, 2, 3]
        log.held_at = 7  # another one, behind it
        await until(lambda: log.handled == list(range(7)))
        await until(lambda: 0 < loop.progress.held_seconds < 0.1)
        log.held_at = None
        await until(lambda: log.handled == list(range(10)))
        await until(lambda: loop.progress.held_seconds == 0)

    assert through(log, steps) == []


# --- what the consumer is told -------------------------------------------------------------------------------------


def test_a_missing_offset_is_noted_before_the_client_moves_on() -> None:
    """An offset that a broker does not have is noted before the client begins elsewhere."""
    from aiokafka.protocol.fetch import FetchRequest  # noqa: PLC0415

    answers = {"requests": [(0, 0, 9, b""), (1, OffsetOutOfRangeError.errno, -1, b"")]}

    async def send(_node: int, _request: object) -> Any:
        return SimpleNamespace(topics=list(answers.items()))

    client: Any = SimpleNamespace(send=send)
    noted: dict[TopicPartition, int] = {}
    record_out_of_range(client, noted)
    asyncio.run(client.send(1, FetchRequest(1, 1, 1, 1, [("requests", [(0, 5, 1), (1, 70, 1)])])))
    with suppress(AttributeError):
        asyncio.run(client.send(1, SimpleNamespace()))
    assert noted == {TopicPartition("requests", 1): 70}


# --- a topic that was created again --------------------------------------------------------------------------------


@pytest.mark.parametrize("refused", [None, 4], ids=["not looked at yet", "refused before it was known"])
@pytest.mark.parametrize("committed", [3, 20], ids=["within the new log", "beyond it"])
def test_in_a_new_log_an_offset_of_the_old_one_is_no_cut(through: Any, committed: int, refused: int | None) -> None:
    """The group may give a partition out between its topic's second creation and the moment when that is noticed."""
    log = Log(end=committed, committed=committed)
    note = Note("", offset_metadata.mark(record(committed - 1, b"of the old log")), refused)
    log.offset = committed, str(note)
    log.cut(to=0)
    log.write(10)

    told = through(log, handled(10), new_log=True)

    assert (told, log.handled, log.commits[0]) == ([], list(range(10)), (0, ""))


def test_reading_a_new_log_goes_on_from_an_offset_that_it_has(through: Any) -> None:
    """Somebody has begun with it already."""
    log = Log(end=10, committed=6, note=read_to(6))

    assert through(log, handled(10), new_log=True) == []
    assert log.handled == [6, 7, 8, 9]


def test_what_is_cut_later_is_refused_in_a_new_log_too(through: Any) -> None:
    """It begins anew once: nothing is swallowed twice."""
    log = Log(end=10, committed=6, note=str(Note("", offset_metadata.mark(record(5, b"of the old log")))))

    async def steps(log: Log, loop: PartitionLoop) -> None:
        await until(lambda: log.handled[-1:] == [9])
        log.cut(to=4)
        await until(lambda: loop.progress.refused)

    told = through(log, steps, new_log=True)

    assert [one["event"] for one in told] == ["offset_not_in_log"]
