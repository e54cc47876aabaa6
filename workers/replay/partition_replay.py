"""A walk along one partition's requests, each with what was recorded in answer to it.

Duplicates are known as the decision agent knows them, by id and content within the partition. What is made of a request
is its judge's to say: `verify` holds it against the record, `what_if` decides it otherwise.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from events.decode import Received, RejectedError, decode, shown_request_id
from events.envelope import loads
from events.topics import DEAD_LETTERS, DECISIONS, REQUESTS
from workers.decide.duplicates import Entry
from workers.event_log.process_pool import WorkerHandle
from workers.event_log.source import Damage, ReplayError, Source
from workers.records import Record
from workers.replay.documents import Draft
from workers.replay.recorded_answers import Answers
from workers.replay.repeated_keys import repeated
from workers.settings import Settings
from workers.state.digests import digest

DAY_MS = 24 * 60 * 60 * 1000
CHECKPOINT_S = 5.0


@dataclass(frozen=True)
class Plan:
    """What every partition's walk has in common."""

    source: Source
    settings: Settings
    earlier: tuple[Path, ...]
    """Folders of other documents that decisions may name."""
    folder: Path
    """Where findings go, and the state of an interrupted run."""
    request_ids: bool
    """Whether findings may name requests by their ids."""
    draft: Draft | None = None
    """What a what-if decides under."""
    publish: str | None = None
    """The name of a replay whose decisions go to a topic of its own."""


class Task(NamedTuple):
    """One partition to walk along."""

    plan: Plan
    partition: int
    state: Mapping[str, Any] | None
    """Where an interrupted walk stands."""


class News(NamedTuple):
    """How far a walk has come."""

    partition: int
    requests: int
    """Since the last news."""
    state: dict[str, Any] | None = None
    peak: int = 0
    """Bytes of memory that the process has had at most."""


class Judge(Protocol):
    """Says what is to be said of a partition's requests."""

    def request(self, record: Record, received: Received, key: bytes) -> bool:
        """A request that was not answered before; whether it is answered by a decision now."""

    def comes_again(self, record: Record, received: Received, known: Entry, *, same: bool) -> None:
        """A request whose id was answered before, with the same content or other."""

    def rejected(self, record: Record, rejected: RejectedError) -> None:
        """A record that is no request."""

    def defect(self, record: Record, error: Exception) -> None:
        """A record that our software fails on."""

    def damaged(self, damage: Damage) -> None:
        """What cannot be read; told again where it is read again."""

    def unclaimed(self, record: Record) -> None:
        """A recorded answer that no request has."""

    def end(self) -> None:
        """The partition is done."""

    def state(self) -> dict[str, Any]:
        """What it has found so far."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what it had found."""


class PartitionReplay:
    """The walk along one partition."""

    def __init__(self, plan: Plan, partition: int) -> None:
        self.plan = plan
        self.partition = partition
        source = plan.source
        self.topic = source.topic(REQUESTS)
        self.extent = source.extent(self.topic, partition)
        self.judge: Judge
        self.decisions = Answers(source, source.topic(DECISIONS), partition, lambda record: record.key, self)
        self.letters = Answers(source, source.topic(DEAD_LETTERS), partition, self._answered_offset, self)
        self._memory: dict[bytes, Entry] = {}
        self._kept = plan.settings.duplicates_kept_days * DAY_MS
        self._repeated: frozenset[int] = frozenset()
        self._requests = 0

    def unclaimed(self, record: Record) -> None:
        """An answer that nobody took."""
        self.judge.unclaimed(record)

    def damaged(self, damage: Damage) -> None:
        """Answers that cannot be read."""
        self.judge.damaged(damage)

    def _answered_offset(self, record: Record) -> int | None:
        """The offset of the request that a dead letter is about; None where it is about something else."""
        original = original_of(record)
        if original.get("topic") != self.topic or original.get("partition") != self.partition:
            return None
        offset = original.get("offset")
        return offset if isinstance(offset, int) else None

    def run(self, handle: WorkerHandle[News], state: Mapping[str, Any] | None) -> None:
        """Walk to the end, or until told to stop."""
        start = self._restore(state) if state else self.extent.first
        self._repeated = repeated(self.plan.source, self.topic, self.partition)
        told = time.monotonic()
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
            due = stopping or now - told > CHECKPOINT_S
            told = now if due else told
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
        try:
            received = decode(record.value, record.headers)
            key = received.request.request_id.encode()
            if key == record.key and hash(key) not in self._repeated:
                judge.request(record, received, key)
                return
            self._remembered(record, received, key)
        except RejectedError as rejected:
            judge.rejected(record, rejected)
        except ReplayError:
            raise  # no event's fault: the log cannot be read on
        except Exception as error:  # noqa: BLE001 (the live agent goes on with the next request, and so does replay)
            judge.defect(record, error)

    def _remembered(self, record: Record, received: Received, key: bytes) -> None:
        """A request whose id comes more than once, or that is keyed otherwise."""
        entry = Entry(digest(received.request.content()), record.offset, record.timestamp, b"")
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
                [name.hex(), one.content.hex(), one.offset, one.timestamp] for name, one in self._memory.items()
            ],
            "decisions": self.decisions.state(),
            "letters": self.letters.state(),
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
        return int(state["next"])


def original_of(letter: Record) -> Mapping[str, Any]:
    """Where a dead letter's record came from; empty where that cannot be read."""
    try:
        tree = loads(letter.value or b"")
    except ValueError:
        return {}
    data = tree.get("data", tree) if isinstance(tree, dict) else {}
    original = data.get("original") if isinstance(data, dict) else None
    return original if isinstance(original, dict) else {}


def request_id_of(record: Record) -> str | None:
    """The id that a record shows, if any."""
    try:
        tree = loads(record.value or b"")
    except ValueError:
        return None
    return shown_request_id(tree.get("data", tree)) if isinstance(tree, dict) else None


def peak_bytes() -> int:
    """The most memory that this process has had."""
    import resource  # noqa: PLC0415 (Unix has it)

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
