"""`make bench`: everything in one run on Apache Kafka, so that what disturbs it disturbs all alike."""

import argparse
import json
import logging
import platform
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from math import ceil
from os import cpu_count, getloadavg
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks import adapters, large_policies, latency, policy, replay, streams, throughput
from tests.benchmarks.latency import Pace
from tests.benchmarks.peers import evaluations
from tests.benchmarks.processes import BenchmarkError, Variant, has
from tests.benchmarks.tables import Spread, Target, number, ratio, spread, table
from tests.benchmarks.throughput import Run
from tests.benchmarks.work import requests, save
from tests.support.places import ROOT
from workers.configuration.settings import Delivery
from workers.dev_brokers import KafkaBroker

LOOPS = "tests.benchmarks.loops"
OURS = Variant("our worker, exactly once", "workers.main", ("worker",))
OURS_ALO = Variant(
    "our worker, at least once", "workers.main", ("worker",), delivery=Delivery.AT_LEAST_ONCE, transactional=False
)
BARE = Variant("bare aiokafka, transactions", f"{LOOPS}.aiokafka_loop", ("transactional", "decide"))
STOCK = Variant("stock Faust", f"{LOOPS}.stock_faust", transactional=False, share=0.2)
PURE = Variant("the work alone, no broker", f"{LOOPS}.pure")
AS_DECIDED = (OURS.name, OURS_ALO.name, BARE.name, STOCK.name)
"""Whose latency is measured with the decision handler."""
QUIX = "Quix Streams, exactly once"

PARTS = ("throughput", "latency", "cold-start", "streams", "policy", "large-policies", "adapters", "replay")
"""In the order of the report. Latency at half of what a variant can do needs throughput."""
PACES = ((50.0, 1_000), (1_000.0, 10_000))
"""Events a second, and how many."""
HALF_MAXIMUM_S = 4.0
REST_S = {"throughput": 720.0, "streams": 240.0}
"""What comes after the rounds of a part takes about so long."""
COLD_STARTS = 3
"""Runs, of which the median is told."""


class Bench:
    """One run and what it found."""

    def __init__(self, options: argparse.Namespace, broker: KafkaBroker, folder: Path) -> None:
        self._options = options
        self._deadline = time.monotonic() + 60 * options.minutes
        self.rounds = 0
        self._broker = broker
        self._bootstrap = broker.bootstrap
        self._folder = folder
        self._file = folder / "requests"
        self._names = (f"bench-{n}" for n in range(10_000))
        self._requests = list(requests(options.records))
        save(self._file, self._requests)
        self.variants = _variants(options)
        self.runs: dict[str, list[Run]] = defaultdict(list)
        self.paces: dict[str, list[Pace]] = {}
        self.cold: dict[str, float] = {}
        self.policy: dict[str, float] = {}
        self.large_policies: dict[str, float] = {}
        self.adapters: dict[str, dict[str, float]] = {}
        self.evaluations: list[evaluations.Row] = []
        self.replay: list[replay.Row] = []
        self.failed: dict[str, str] = {}

    def throughput(self) -> None:
        """Rounds, in each of which every variant has its turn."""
        self._rounds("throughput", self.variants)

    def _rounds(self, part: str, variants: Sequence[Variant]) -> None:
        for turn in range(self._options.rounds):
            begun = time.monotonic()
            # There and back: what the machine does meanwhile shall not favour whoever comes first.
            for variant in variants[:: -1 if turn % 2 else 1]:
                if variant.missing:
                    self.failed[variant.name] = f"not installed: {variant.missing}"
                elif variant.name not in self.failed:
                    _tell(f"{part}, round {turn + 1}: {variant.name}")
                    try:
                        self.runs[variant.name].append(self._run(variant))
                    except BenchmarkError as error:
                        self.failed[variant.name] = str(error)
            self.rounds = max(self.rounds, turn + 1)
            now = time.monotonic()
            if now + (now - begun) + REST_S[part] > self._deadline and turn + 1 < self._options.rounds:
                self.failed[f"further rounds of {part}"] = f"no time within {self._options.minutes:g} minutes"
                return

    def _run(self, variant: Variant) -> Run:
        if variant is PURE:
            return throughput.without_broker(variant, self._file, self._folder / next(self._names))
        mine = (self._requests * ceil(variant.share))[: int(len(self._requests) * variant.share)]
        return throughput.measure(variant, mine, self._bootstrap, self._folder, next(self._names))

    def latency(self) -> None:
        """At the given paces and at half of what each variant can do."""
        for variant in (OURS, OURS_ALO, BARE, STOCK):
            if not self.runs[variant.name]:
                continue
            half = median(run.rate for run in self.runs[variant.name]) / 2
            left = len(self._requests) - latency.WARM_UP[1] - sum(count for _, count in PACES)
            self._paced(variant, [*PACES, (half, max(1, min(int(half * HALF_MAXIMUM_S), left)))])

    def _paced(self, variant: Variant, paces: Sequence[tuple[float, int]]) -> None:
        if not has(sys.executable, latency.LOAD):
            self.failed["latency"] = f"not installed: {latency.LOAD}"
            return
        _tell(f"latency: {variant.name}")
        try:
            self.paces[variant.name] = latency.measure(
                variant, paces, self._file, self._broker, self._folder, next(self._names)
            )
        except BenchmarkError as error:
            self.failed[f"latency, {variant.name}"] = str(error)

    def cold_starts(self) -> None:
        """From the start of a process to its first decision."""
        for variant in (OURS, BARE, STOCK):
            self._cold_start(variant)

    def _cold_start(self, variant: Variant) -> None:
        _tell(f"cold start: {variant.name}")
        try:
            self.cold[variant.name] = median(
                latency.cold_start(variant, self._requests[0], self._bootstrap, self._folder, next(self._names))
                for _ in range(COLD_STARTS)
            )
        except BenchmarkError as error:
            self.failed[f"cold start, {variant.name}"] = str(error)

    def streams(self) -> None:
        """Stream processors with a trivial handler."""
        self._rounds("streams", streams.THROUGHPUT)
        for variant in streams.LATENCY:
            if not variant.missing:
                self._paced(variant, PACES)
        for variant in (streams.BARE, *streams.LATENCY):
            if not variant.missing:
                self._cold_start(variant)

    def formats(self) -> None:
        """Platforms' own formats without a wire."""
        _tell("platforms' own formats")
        self.adapters = adapters.measure()

    def policies(self) -> None:
        """The policy without a wire."""
        _tell("the policy alone")
        self.policy = policy.measure()
        usual = evaluations.usual(self._options.zen_python)
        self.evaluations, absent = evaluations.measure(usual, self._folder, _tell)
        self.failed |= absent

    def documents(self) -> None:
        """Documents as large as policies become, checked and compared."""
        _tell("large policies")
        self.large_policies = large_policies.measure()

    def replays(self) -> None:
        """A log verified and asked what if."""
        _tell("replay")
        try:
            self.replay = replay.measure(self._options.records, self._bootstrap, self._folder, next(self._names))
        except BenchmarkError as error:
            self.failed["replay"] = str(error)

    def over(self, name: str, base: str) -> float | None:
        """What a variant's rate is of another's, in the median of the rounds; None where one of them did not run."""
        ratios = [ratio(one.rate, other.rate) for one, other in zip(self.runs[name], self.runs[base], strict=False)]
        found = [one for one in ratios if one is not None]
        return median(found) if found else None

    def targets(self) -> list[Target]:
        """What was aimed at, and what came of it."""
        aims = [
            Target(
                "exactly once, to bare aiokafka with transactions",
                self.over(OURS.name, BARE.name),
                0.8,
                "",
                at_least=True,
            ),
            Target("exactly once, to Quix Streams", self.over(OURS.name, QUIX), 1.0, "", at_least=True),
        ]
        for variant in (OURS, OURS_ALO):
            slow, quick = [pace.p99 for pace in self.paces.get(variant.name, ())][:2] or (None, None)
            aims += [
                Target(f"p99 at 50/s, {variant.name}", slow, 20, " ms"),
                Target(f"p99 at 1,000/s, {variant.name}", quick, 50, " ms"),
            ]
        return [
            *aims,
            Target("a pattern of facts seen before", self.policy.get("seen pattern"), 2, " µs"),
            Target("a new pattern", self.policy.get("new pattern, facts missing"), 100, " µs"),
            *large_policies.targets(self.large_policies),
        ]

    def report(self, seconds: float, load: Sequence[float]) -> str:
        """All of it, to be read."""
        about = (
            f"{self._options.records:,} requests, {self.rounds} rounds, {cpu_count()} cores shared by broker, "
            f"variant and load, Python {platform.python_version()}, {seconds:.0f} s in all; "
            f"the machine's load before and after: {load[0]:.1f}, {load[1]:.1f}."
        )
        parts = {
            "Targets": table(("target", "limit", "measured", "verdict"), [target.cells() for target in self.targets()]),
            "Throughput": self._throughput_table(),
            "Latency, request produced to decision consumed": self._latency_table(AS_DECIDED),
            "Cold start": table(
                ("variant", "s to the first decision"),
                [(name, number(self.cold[name], 2)) for name in AS_DECIDED if name in self.cold],
            ),
            "Stream processors with a trivial handler": self._streams_tables(),
            "The policy alone": self._policy_tables(),
            "Large policies": large_policies.report(self.large_policies),
            "Platforms' own formats": adapters.report(self.adapters),
            "Replay": replay.report(self.replay),
        }
        of_parts = dict(zip(PARTS, list(parts)[1:], strict=True))
        left_out = {title for part, title in of_parts.items() if part not in self._options.only}
        parts = {title: rows for title, rows in parts.items() if title not in left_out}
        if set(self._options.only) != set(PARTS):
            del parts["Targets"]
        text = f"# Benchmarks\n\n{about}\n" + "".join(f"\n## {title}\n\n{rows}" for title, rows in parts.items())
        absent = "".join(f"- {name}: {reason}\n" for name, reason in self.failed.items())
        return text + (f"\n## Not measured\n\n{absent}" if absent else "")

    def _throughput_table(self) -> str:
        head = ("variant", "events", "events/s", "spread", "of bare aiokafka", "CPU µs/event", "peak MB")
        rows = []
        for variant in self.variants:
            runs = self.runs[variant.name]
            if not runs:
                reason = self.failed.get(variant.name, "not run").splitlines()[0]
                rows.append((variant.name, reason, "-", "-", "-", "-", "-"))
                continue
            rates = spread([run.rate for run in runs])
            rows.append(
                (
                    variant.name,
                    number(int(self._options.records * variant.share)),
                    number(rates.median),
                    _spread_of(rates),
                    number(self.over(variant.name, BARE.name), 2),
                    number(median(run.cpu for run in runs), 1),
                    number(median(run.peak for run in runs) / 1e6),
                )
            )
        return table(head, rows)

    def _streams_tables(self) -> str:
        waited = self._latency_table([variant.name for variant in streams.LATENCY])
        return f"{streams.report(self.runs, self.cold, self._options.records)}\n{waited}"

    def _policy_tables(self) -> str:
        what = table(("what", "CPU µs"), [(name, number(found, 2)) for name, found in self.policy.items()])
        return f"{what}\n{evaluations.report(self.evaluations)}"

    def _latency_table(self, names: Sequence[str]) -> str:
        head = (
            "variant",
            "events/s asked",
            "sent",
            "events",
            "unanswered",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "cores: variant",
            "Kafka",
            "load",
        )
        rows = [
            (
                name,
                number(pace.asked),
                number(pace.sent),
                number(pace.count),
                number(pace.unanswered),
                number(pace.p50, 1),
                number(pace.p99, 1),
                number(pace.p999, 1),
                number(pace.variant, 2),
                number(pace.broker, 2),
                number(pace.load, 2),
            )
            for name in names
            for pace in self.paces.get(name, ())
        ]
        return table(head, rows)

    def found(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "records": self._options.records,
            "throughput": {name: [asdict(run) for run in runs] for name, runs in self.runs.items()},
            "latency_ms": {name: [asdict(pace) for pace in paces] for name, paces in self.paces.items()},
            "cold_start_s": self.cold,
            "policy_us": self.policy,
            "large_policies_s": self.large_policies,
            "adapters_us": self.adapters,
            "evaluations": [row._asdict() for row in self.evaluations],
            "replay": replay.found(self.replay),
            "targets": [{**target._asdict(), "verdict": target.verdict} for target in self.targets()],
            "not_measured": self.failed,
        }


def _variants(options: argparse.Namespace) -> list[Variant]:
    return [
        PURE,
        BARE,
        OURS,
        OURS_ALO,
        replace(OURS, name="our worker, exactly once, two", processes=2),
        replace(OURS_ALO, name="our worker, at least once, two", processes=2),
        Variant("bare aiokafka, no transactions", f"{LOOPS}.aiokafka_loop", ("plain", "decide"), transactional=False),
        Variant(
            "bare confluent-kafka, transactions",
            f"{LOOPS}.confluent_loop",
            python=options.confluent_python,
            needs="confluent_kafka",
        ),
        Variant(QUIX, f"{LOOPS}.quix", python=options.quix_python, needs="quixstreams"),
        STOCK,
    ]


def _spread_of(rates: Spread) -> str:
    return f"{rates.lowest:,.0f} to {rates.highest:,.0f}"


def _tell(sentence: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {sentence}\n")
    sys.stderr.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--records", type=int, default=40_000, help="requests for each variant")
    parser.add_argument("--rounds", type=int, default=2, help="turns of every variant in throughput")
    parser.add_argument("--minutes", type=float, default=25.0, help="no further round begins that would end later")
    parser.add_argument(
        "--only", choices=PARTS, nargs="+", default=list(PARTS), help="measure only these parts, without targets"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "var", help="the folder for bench.md and bench.json")
    for name in ("confluent", "quix", "zen"):
        parser.add_argument(f"--{name}-python", default=sys.executable, help=f"an interpreter that has {name}")
    return parser.parse_args()


def main() -> None:
    """Run all of it; print the tables and leave them in files."""
    options = _options()
    logging.basicConfig(level=logging.ERROR)  # a topic just made has no leader yet, and is tried again
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the broker and the variants end too
    begun, load = time.monotonic(), [getloadavg()[0]]
    with TemporaryDirectory(prefix="dli-bench-") as name, KafkaBroker() as broker:
        _tell(f"{options.records:,} requests are made")
        bench = Bench(options, broker, Path(name))
        if "policy" in options.only:
            bench.policies()
        if "large-policies" in options.only:
            bench.documents()
        if "adapters" in options.only:
            bench.formats()
        if "throughput" in options.only:
            bench.throughput()
        if "latency" in options.only:
            bench.latency()
        if "cold-start" in options.only:
            bench.cold_starts()
        if "streams" in options.only:
            bench.streams()
        if "replay" in options.only:
            bench.replays()
    load.append(getloadavg()[0])
    text = bench.report(time.monotonic() - begun, load)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench.md").write_text(text, encoding="utf-8")
    (options.out / "bench.json").write_text(json.dumps(bench.found(), indent=2), encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
