"""Replays one partition's requests, each with its recorded answer.

Duplicates are detected as in the decision agent, by id and content within the partition. A judge handles each request:
`verify` compares it with the record, `what_if` decides it under another document.
"""

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from events.decode import RejectedError, shown_request_id
from events.envelope import loads
from events.topics import DEAD_LETTERS, DECISIONS, REQUESTS
from events.typed_reader import Event, read
from workers.configuration.settings import Settings
from workers.decide.duplicates import Entry
from workers.decide.writers import WRITERS, Writers
from workers.event_log.process_pool import WorkerHandle
from workers.event_log.source import Damage, ReplayError, Source
from workers.kafka.records import Record
from workers.replay.documents import Draft
from workers.replay.recorded_answers import Answers
from workers.replay.repeated_request_ids import repeated
from workers.replay.reviewed_decisions import cause_prefix, is_reviewed
from workers.state.request_digests import digest

DAY_MS = 24 * 60 * 60 * 1000
CHECKPOINT_S = 5.0


@dataclass(frozen=True)
class Plan:
    """The parameters shared by all partitions."""

    source: Source
    settings: Settings
    earlier: tuple[Path, ...]
    """Folders of other documents that decisions may name."""
    folder: Path
    """The folder of findings and of the run's state."""
    request_ids: bool
    """Whether findings may contain request ids."""
    draft: Draft | None = None
    """The document of a what-if."""
    publish: str | None = None
    """The name of the replay topic for decisions, if any."""
    writers: Writers = WRITERS
    """All versions of a decision's bytes that a recorded decision may name."""


class Task(NamedTuple):
    """One partition to replay."""

    plan: Plan
    partition: int
    state: Mapping[str, Any] | None
    """The saved state of an interrupted replay."""


class News(NamedTuple):
    """The progress of a partition's replay."""

    partition: int
    requests: int
    """Requests since the last report."""
    state: dict[str, Any] | None = None
    peak: int = 0
    """The process's peak memory in bytes."""


class Judge(Protocol):
    """Judges a partition's requests."""

    def request(self, record: Record, received: Event, key: bytes) -> bool:
        """A request not answered before; returns whether it now gets a decision."""

    def comes_again(self, record: Record, received: Event, known: Entry, *, same: bool) -> None:
        """A request whose id was answered before, with the same or other content."""

    def rejected(self, record: Record, rejected: RejectedError) -> None:
        """A record that is not a valid request."""

    def defect(self, record: Record, received: Event | None, error: Exception) -> None:
        """A record that our software fails on; `received` if it could be read."""

    def damaged(self, damage: Damage) -> None:
        """An unreadable range; may be reported repeatedly."""

    def unclaimed(self, record: Record) -> None:
        """A recorded answer without a request."""

    def end(self) -> None:
        """The partition is done."""

    def state(self) -> dict[str, Any]:
        """Its findings so far."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from saved findings."""


class PartitionReplay:
    """The replay of one partition."""

    def __init__(self, plan: Plan, partition: int) -> None:
        self.plan = plan
        self.partition = partition
        source = plan.source
        self.topic = source.topic(REQUESTS)
        self.extent = source.extent(self.topic, partition)
        self.judge: Judge
        self.reviewed = False
        """Whether decisions made from verdicts were passed over."""
        self._verdicts = cause_prefix(source)
        self.decisions = Answers(source, source.topic(DECISIONS), partition, self._decided_key, self)
        self.letters = Answers(source, source.topic(DEAD_LETTERS), partition, self._answered_offset, self)
        self._memory: dict[bytes, Entry] = {}
        self._kept = plan.settings.duplicates_kept_days * DAY_MS
        self._repeated: frozenset[int] = frozenset()
        self._requests = 0

    def unclaimed(self, record: Record) -> None:
        """An answer without a request.

        Answers are read by time: a dead letter of a request before this range, or behind it, is of no concern here.
        """
        if record.topic == self.letters.topic:
            offset = self._answered_offset(record)
            if offset is not None and not self.extent.first <= offset < self.extent.end:
                return
        self.judge.unclaimed(record)

    def damaged(self, damage: Damage) -> None:
        """An unreadable range of answers."""
        self.judge.damaged(damage)

    def _decided_key(self, record: Record) -> bytes | None:
        """The key of a decision on a request; what was made from a verdict is no answer to a request's record."""
        if is_reviewed(record, self._verdicts):
            self.reviewed = True
            return None
        return record.key

    def _answered_offset(self, record: Record) -> int | None:
        """The offset of a dead letter's request; None if it is about something else."""
        original = original_of(record)
        if original.get("topic") != self.topic or original.get("partition") != self.partition:
            return None
        offset = original.get("offset")
        return offset if isinstance(offset, int) else None

    def run(self, handle: WorkerHandle[News], state: Mapping[str, Any] | None) -> None:
        """Replay to the end, or until asked to stop."""
        with _rarely_collected():
            self._run(handle, state)

    def _run(self, handle: WorkerHandle[News], state: Mapping[str, Any] | None) -> None:
        start = self._restore(state) if state else self.extent.first
        self._repeated = repeated(self.plan.source, self.topic, self.partition)
        reported = time.monotonic()
        for piece in self.plan.source.read(self.topic, self.partition, start):
            if piece.damage is not None:
                self.judge.damaged(piece.damage)
            if piece.chunk is None:
                continue
            for record in piece.chunk.records:
                self._take(record)
            self._requests += len(piece.chunk.records)
            start = piece.chunk.records[-1].offset + 1
            now, stopping = time.monotonic(), handle.stopping
            due = stopping or now - reported > CHECKPOINT_S
            reported = now if due else reported
            handle.send(
                News(self.partition, len(piece.chunk.records), self._state(start) if due else None, peak_bytes())
            )
            if stopping:
                return
        self.letters.end()
        self.decisions.end()
        self.judge.end()
        handle.send(News(self.partition, 0, self._state(start) | {"done": True}, peak_bytes()))

    def _take(self, record: Record) -> None:
        judge = self.judge
        received: Event | None = None
        try:
            received = read(record.value, record.headers)
            key = received.request.request_id.encode()
            if key == record.key and hash(key) not in self._repeated:
                judge.request(record, received, key)
                return
            self._remembered(record, received, key)
        except RejectedError as rejected:
            judge.rejected(record, rejected)
        except ReplayError:
            raise  # not the event's fault: the log cannot be read further
        except Exception as error:  # noqa: BLE001 (like the live agent, replay continues with the next request)
            judge.defect(record, received, error)

    def _remembered(self, record: Record, received: Event, key: bytes) -> None:
        """A request whose id is repeated, or whose key is not its id."""
        entry = Entry(digest(received.request.content), record.offset, record.timestamp, b"")
        name = digest(key)
        known = self._memory.get(name)
        if known is not None and entry.timestamp - known.timestamp <= self._kept:
            self.judge.comes_again(record, received, known, same=known.content == entry.content)
        elif self.judge.request(record, received, key):
            self._memory[name] = entry

    def _state(self, start: int) -> dict[str, Any]:
        return {
            "next": start,
            "requests": self._requests,
            "memory": [
                [name.hex(), entry.content.hex(), entry.offset, entry.timestamp] for name, entry in self._memory.items()
            ],
            "decisions": self.decisions.state(),
            "letters": self.letters.state(),
            "reviewed": self.reviewed,
            "judge": self.judge.state(),
            "done": False,
        }

    def _restore(self, state: Mapping[str, Any]) -> int:
        self._memory = {
            bytes.fromhex(name): Entry(bytes.fromhex(content), offset, timestamp, b"")
            for name, content, offset, timestamp in state["memory"]
        }
        self.decisions.restore(state["decisions"])
        self.letters.restore(state["letters"])
        self.judge.restore(state["judge"])
        self._requests = state["requests"]
        self.reviewed = state.get("reviewed", False)
        return int(state["next"])


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """Spare the garbage collector what lives as long as the process, such as the compiled documents.

    Hardly anything that a replay makes is in cycles.
    """
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def original_of(letter: Record) -> Mapping[str, Any]:
    """The origin of a dead letter; empty if unreadable."""
    try:
        tree = loads(letter.value or b"")
    except ValueError:
        return {}
    data = tree.get("data", tree) if isinstance(tree, dict) else {}
    original = data.get("original") if isinstance(data, dict) else None
    return original if isinstance(original, dict) else {}


def request_id_of(record: Record) -> str | None:
    """A record's request id, if any."""
    try:
        tree = loads(record.value or b"")
    except ValueError:
        return None
    return shown_request_id(tree.get("data", tree)) if isinstance(tree, dict) else None


def peak_bytes() -> int:
    """This process's peak memory."""
    import resource  # noqa: PLC0415 (Unix only)

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
