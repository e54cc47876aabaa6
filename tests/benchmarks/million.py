"""A million requests: generated, decided by the real worker on Apache Kafka, kept, proved, asked what if, forged.

Every number is expected beforehand, from the generated requests alone: what is decided by the second evaluation that
the tests have (`naive.py`), never by the software under test. A step that gives another number is told, and the exit
code is 1. Each step runs as a person runs it, by `dli` in a process of its own.

    python -m tests.benchmarks.million --requests 20000
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from asyncio import Future, gather
from asyncio import run as run_async
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from events.decode import RejectedError, decode
from events.topics import DECISIONS, REQUESTS
from policy_core.compare.strictness import kind_of
from policy_core.history.library import PACKAGED
from tests.benchmarks.processes import (
    BenchmarkError,
    Progress,
    Variant,
    beside,
    check,
    peak_bytes,
    room,
    running,
)
from tests.benchmarks.tables import number, table
from tests.support import naive
from tests.support.places import ROOT
from workers.archive import archive_source as archive
from workers.archive import manifest
from workers.archive.archive_source import ArchiveSource, Kept
from workers.configuration.settings import Settings
from workers.dev_brokers import KafkaBroker
from workers.event_log.process_pool import cores
from workers.event_log.process_pool import run as run_tasks
from workers.event_log.source import Chunk, Piece
from workers.state.request_digests import digest
from workers.stream import EXIT_PROCESSOR_LOST
from workers.traffic.commands import as_record

WORKER = Variant("our worker, exactly once", "workers.main", ("worker",))
SEED = 402
SHARES = ("--duplicates", "0.005", "--conflicts", "0.001", "--malformed", "0.005")
DELISTED = "38242"
"""The edited policy no longer lists it. No guidance names it, so nothing else changes."""
UNLISTED = "38243"
"""A code as valid that no policy lists: what it gets is what the delisted one must get."""
MOST_STARTED_AGAIN = 3
PATIENCE_S = 120.0
"""Without progress of a worker."""
FORGED_BYTES = (b'"action":"A4"', b'"action":"A1"')


class Step(NamedTuple):
    """One step as it went."""

    name: str
    requests: int
    seconds: float
    peak: float
    """Bytes of memory of its largest process, at most."""


class Run(NamedTuple):
    """A command that ended."""

    code: int
    out: str
    err: str
    seconds: float
    peak: float


@dataclass
class Expected:
    """What a stretch of the generated requests must come to, by what was counted before anything was decided."""

    identical: Counter[str]
    pairs: Counter[tuple[str, str, str]]
    """Lines by kind of change and determinations, under the edited policy."""
    requests: Counter[str]
    """Requests by their weightiest change."""


# --- expected ------------------------------------------------------------------------------------------------------


def expected(file: Path) -> Expected:
    """What the requests of a file must come to."""
    found = Expected(Counter(), Counter(), Counter())
    first: dict[bytes, bytes] = {}
    with get_context("spawn").Pool(cores()) as pool, file.open("rb") as stream:
        for pairs in pool.imap(naively, _to_decide(stream, first, found.identical), chunksize=500):
            found.pairs.update(pairs)
            found.requests[max((kind for kind, _, _ in pairs), key=WEIGHTS.index)] += 1
    found.identical["all"] = found.identical.total()
    return found


WEIGHTS = ["unchanged", "evidence", "reclassified", "looser", "stricter"]


def _to_decide(stream: Iterator[bytes], first: dict[bytes, bytes], identical: Counter[str]) -> Iterator[bytes]:
    """The lines that are to be answered by a decision; the others are counted by what answers them."""
    for ended in stream:
        line = ended.rstrip(b"\n")
        try:
            received = decode(line, bare_allowed=True)
        except RejectedError:
            identical["dead_letter"] += 1
            continue
        key, content = digest(received.request.request_id.encode()), digest(received.request.content())
        known = first.setdefault(key, content)
        if known is not content:
            identical["duplicate" if known == content else "dead_letter"] += 1
            continue
        identical["decision"] += 1
        yield line


def naively(line: bytes) -> list[tuple[str, str, str]]:
    """Each line's change under the edited policy, by the second evaluation."""
    request = json.loads(line)
    changes = []
    for one in request["service_lines"]:
        before, _, _ = naive.decide_line(request, one)
        delisted = one["system"] == "cpt" and naive.comparable("cpt", one["code"]) == DELISTED
        after = naive.decide_line(request, {**one, "code": UNLISTED})[0] if delisted else before
        changes.append((str(kind_of(before, after)), before, after))
    return changes


def edited(folder: Path) -> Path:
    """The packaged document without the code."""
    text = (PACKAGED / "L.2.03.402.yaml").read_text("utf-8")
    if text.count(f'code: "{DELISTED}"') != 1:
        raise BenchmarkError(f"the packaged document does not list {DELISTED} once")
    file = folder / "draft.yaml"
    file.write_text(text.replace(f'code: "{DELISTED}"', f'code: "{UNLISTED}"'), "utf-8")
    return file


# --- tampering -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forged(ArchiveSource):
    """An archive of which one recorded decision is another: whoever keeps it gives it digests that are in order."""

    offset: int = -1

    def read(self, topic: str, partition: int, start: int) -> Iterator[Piece]:
        """The same records, and the forged one."""
        for piece in super().read(topic, partition, start):
            if topic != self.topic(DECISIONS) or piece.chunk is None:
                yield piece
                continue
            records = [
                one._replace(value=(one.value or b"").replace(*FORGED_BYTES, 1)) if one.offset == self.offset else one
                for one in piece.chunk.records
            ]
            yield Piece(Chunk(records, piece.chunk.types), piece.damage)


def forge(source: ArchiveSource, folder: Path) -> tuple[int, int, int]:
    """Keep one partition with a decision that was pended and reads as certified; the partition, offset and requests.

    Raises:
        BenchmarkError: There is none.
    """
    for partition in source.partitions(source.topic(DECISIONS)):
        for piece in source.read(source.topic(DECISIONS), partition, 0):
            records = piece.chunk.records if piece.chunk is not None else ()
            for one in records[len(records) // 2 :]:
                if FORGED_BYTES[0] in (one.value or b""):
                    forged = Forged(source.folder, (partition,), offset=one.offset)
                    _keep(forged, folder)
                    return partition, one.offset, forged.extent(forged.topic(REQUESTS), partition).records or 0
    raise BenchmarkError("no decision pends: none can be forged")


def _keep(source: ArchiveSource, folder: Path) -> None:
    topics = sorted({one.topic.removeprefix(source.topic("")) for one in source.manifest.partitions})
    made = archive.begin(folder, source.manifest.format, source, topics)
    segments = list(made.segments)

    def hear(news: Kept) -> None:
        if news.segment is not None:
            segments.append(news.segment)

    run_tasks(archive.tasks(made, folder, source), archive.keep, hear, 1)
    manifest.save(folder, made.model_copy(update={"segments": tuple(segments), "complete": True}))


# --- the way -------------------------------------------------------------------------------------------------------


class Way:
    """All steps, what each took, and what was otherwise than expected."""

    def __init__(self, options: argparse.Namespace, bootstrap: str, folder: Path) -> None:
        self._options = options
        self._bootstrap = bootstrap
        self._folder = folder
        self._count: int = options.requests
        self.steps: list[Step] = []
        self.wrong: list[str] = []
        self._whole: dict[str, Mapping[str, Any]] = {}
        self._again = 0
        """The reports of runs that nobody interrupted."""

    def go(self) -> None:
        """Take them all."""
        lines = self._generate()
        begun = time.perf_counter()
        wanted = expected(lines)
        self._step("expect, by the second evaluation", time.perf_counter() - begun, 0)
        kept = self._decided_and_kept(lines)
        self._verified(kept, wanted)
        self._interrupted("verify", kept)
        draft = edited(self._folder)
        self._asked(kept, draft, wanted)
        self._interrupted("what-if", kept, "--policy", str(draft))
        self._tampered(kept)

    def _generate(self) -> Path:
        file = self._folder / "requests.jsonl"
        ran = self._dli("generate", "--count", str(self._count), "--seed", str(SEED), "--out", str(file), *SHARES)
        self._is("generate ends with", ran.code, 0)
        self._step("generate", ran.seconds, ran.peak)
        return file

    def _decided_and_kept(self, lines: Path) -> Path:
        found = room(self._bootstrap, self._folder, "million", partitions=self._options.partitions)
        begun = time.perf_counter()
        run_async(_fill(found, lines))
        self._step("publish", time.perf_counter() - begun, 0)
        self._decide(found)
        folder = self._folder / "kept"
        ran = self._dli("archive", str(folder), "--bootstrap", self._bootstrap, "--topic-prefix", found.topic_prefix)
        self._is("archive ends with", (ran.code, ran.err if ran.code else ""), (0, ""))
        self._step("archive", ran.seconds, ran.peak)
        return folder

    def _decide(self, found: Settings) -> None:
        rooms = [found, *(beside(found, one) for one in range(1, self._options.workers))]
        begun = time.perf_counter()
        while not self._decided(rooms, begun):
            self._again += 1  # as a supervisor would
            if self._again > MOST_STARTED_AGAIN:
                raise BenchmarkError(f"workers gave up {self._again} times")
        if self._again:
            sys.stderr.write(f"workers were started again {self._again} times: exit code {EXIT_PROCESSOR_LOST}\n")

    def _decided(self, rooms: Sequence[Settings], begun: float) -> bool:
        """Whether the workers came to the end; one of them may have given up, which is for a supervisor to mend."""
        with running(WORKER, rooms) as started:
            progress = Progress(rooms[0], transactional=True, partitions=self._options.partitions)
            try:
                done, changed = 0, time.perf_counter()
                while (now := progress.count()) < self._count:
                    if any(one.poll() == EXIT_PROCESSOR_LOST for one in started):
                        return False
                    check(WORKER, rooms, started)
                    done, changed = (now, time.perf_counter()) if now != done else (done, changed)
                    if time.perf_counter() - changed > PATIENCE_S:
                        raise BenchmarkError(f"the worker stands at {now:,} requests")
                    time.sleep(0.1)
            finally:
                progress.close()
            seconds = time.perf_counter() - begun
            self._step("decide, start included", seconds, max(peak_bytes(one.pid) for one in started))
            time.sleep(5)  # what was committed last is confirmed
            return True

    def _verified(self, kept: Path, wanted: Expected) -> None:
        ran = self._replay("verify", kept, "work")
        self._is("verify ends with", (ran.code, ran.err if ran.code not in {0, 3} else ""), (0, ""))
        said = _summary(ran)
        self._is("verify finds identical", said.get("identical"), dict(wanted.identical))
        self._is("verify reads requests", said.get("requests"), self._count)
        self._step("verify", ran.seconds, ran.peak)
        self._whole["verify"] = said

    def _asked(self, kept: Path, draft: Path, wanted: Expected) -> None:
        page = self._folder / "report.html"
        ran = self._replay("what-if", kept, "work", "--policy", str(draft), "--html", str(page))
        self._is("what-if ends with", (ran.code, ran.err if ran.code not in {0, 3} else ""), (3, ""))
        said = _summary(ran)
        changed = {key: count for key, count in wanted.pairs.items() if key[0] != "unchanged"}
        found = {(one["kind"], one["before"], one["after"]): one["lines"] for one in said.get("pairs", ())}
        self._is("what-if finds pairs", found, changed)
        self._is("what-if finds requests", said.get("requests"), {kind: wanted.requests[kind] for kind in WEIGHTS})
        lines = Counter(dict.fromkeys(WEIGHTS, 0))
        for (kind, _, _), count in wanted.pairs.items():
            lines[kind] += count
        self._is("what-if finds lines", said.get("lines"), dict(lines))
        self._is("what-if names each changed line", len(ran.out.splitlines()) - 1, sum(changed.values()))
        self._is("what-if writes its page", page.is_file(), True)
        self._step("what-if", ran.seconds, ran.peak)
        self._whole["what-if"] = said

    def _interrupted(self, command: str, kept: Path, *flags: str) -> None:
        """Ctrl-C in the middle, then the same command again."""
        work = self._folder / f"work-{command}"
        begun = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 (our own)
            _command("replay", command, str(kept), "-o", "jsonl", "--work", str(work), *flags),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        while process.poll() is None and not list(work.glob("*/findings-*.jsonl")):
            time.sleep(0.002)
        time.sleep(self._count / 200_000)  # into the middle of it
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate()
        partial = json.loads(out.splitlines()[0])["summary"]
        self._is(f"{command}, interrupted, ends with", process.returncode, 130)
        self._is(f"{command}, interrupted, calls itself complete", partial["complete"], False)
        again = self._replay(command, kept, work.name, *flags)
        self._is(f"{command}, taken up again, gives the same report", _summary(again) == self._whole[command], True)
        self._step(f"{command}, interrupted and taken up again", time.perf_counter() - begun, again.peak)

    def _tampered(self, kept: Path) -> None:
        folder = self._folder / "forged"
        begun = time.perf_counter()
        partition, offset, requests = forge(ArchiveSource(kept), folder)
        ran = self._replay("verify", folder, "work-forged")
        said = _summary(ran)
        self._is("a forged decision ends with", ran.code, 3)
        self._is("a forged decision is found once", (said.get("different"), said.get("second_decision")), (1, 0))
        self._is("all others are identical", said.get("identical", {}).get("all"), requests - 1)
        [finding, *_] = [json.loads(line) for line in ran.out.splitlines()[1:]] or [{}]
        place = finding.get("recorded", {})
        self._is("the forged decision is named", (place.get("partition"), place.get("offset")), (partition, offset))
        self._is("with its field", "action" in str(finding.get("fields")), True)
        self.steps.append(Step("tamper, and verify its partition", requests, time.perf_counter() - begun, ran.peak))

    # --- how ---

    def _replay(self, command: str, kept: Path, work: str, *flags: str) -> Run:
        return self._dli("replay", command, str(kept), "-o", "jsonl", "--work", str(self._folder / work), *flags)

    def _dli(self, *arguments: str) -> Run:
        out, err = self._folder / "out", self._folder / "err"
        begun = time.perf_counter()
        with out.open("wb") as said, err.open("wb") as complained:
            process = subprocess.Popen(_command(*arguments), stdout=said, stderr=complained, cwd=ROOT)  # noqa: S603 (our own)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds, peak = time.perf_counter() - begun, usage.ru_maxrss * 1024
        return Run(process.returncode, out.read_text("utf-8"), err.read_text("utf-8"), seconds, peak)

    def _is(self, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            self.wrong.append(f"{what} {found}, and not {wanted}")
            sys.stderr.write(f"OTHERWISE: {self.wrong[-1]}\n")

    def _step(self, name: str, seconds: float, peak: float) -> None:
        self.steps.append(Step(name, self._count, seconds, peak))
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {name}: {self._count / seconds:,.0f}/s\n")

    def report(self) -> str:
        """What each step took, to be read."""
        head = ("step", "requests", "s", "requests/s", "peak MB of a process")
        rows = [
            (
                one.name,
                number(one.requests),
                number(one.seconds, 1),
                number(one.requests / one.seconds),
                number(one.peak / 1e6) if one.peak else "-",
            )
            for one in self.steps
        ]
        verdict = "".join(f"- {one}\n" for one in self.wrong) or "Every number is the one that was expected.\n"
        return f"{table(head, rows)}\n{verdict}"


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "workers.main", *arguments]


def _summary(ran: Run) -> Mapping[str, Any]:
    lines = ran.out.splitlines()
    found: Mapping[str, Any] = json.loads(lines[0])["summary"] if lines else {}
    return found


async def _fill(found: Settings, lines: Path) -> None:
    async with AIOKafkaProducer(bootstrap_servers=found.bootstrap, linger_ms=20, max_batch_size=500_000) as producer:
        waiting: list[Future[object]] = []
        with lines.open("rb") as stream:
            for line in stream:
                one = as_record(line.rstrip(b"\n"), found.topic(REQUESTS))
                sent = await producer.send(one.topic, one.value, key=one.key or None, headers=list(one.headers))
                waiting.append(sent)
                if len(waiting) >= 20_000:
                    await gather(*waiting)
                    waiting.clear()
        await gather(*waiting)


def main() -> None:
    """Take all steps; print what each took, and end with 1 where a number is another than expected."""
    parser = argparse.ArgumentParser(prog="make replay-million", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--workers", type=int, default=1, help="processes that decide")
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "million.md")
    parser.add_argument("--folder", type=Path, help="for the log; somewhere with room")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the broker and the worker end too
    with TemporaryDirectory(prefix="dli-million-", dir=options.folder) as name, KafkaBroker() as broker:
        way = Way(options, broker.bootstrap, Path(name))
        way.go()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(way.report(), encoding="utf-8")
    sys.stdout.write(way.report())
    sys.exit(1 if way.wrong else 0)


if __name__ == "__main__":
    main()
