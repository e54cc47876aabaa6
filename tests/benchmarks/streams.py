"""Stream processors by themselves, with a handler that does next to nothing: ours beside Kafka Streams and a bare loop.

Each takes every request, and sends two records for it in transactions: the request's own bytes, and an entry.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

from tests.benchmarks.processes import Variant
from tests.benchmarks.tables import number, ratio, table
from tests.benchmarks.throughput import Run

LOOPS = "tests.benchmarks.loops"
STREAMS = Path(__file__).parent / "peers" / "streams" / "target"
SHARE = 16.0
"""Of the requests: next to nothing is done with one, and a virtual machine is slow at first. The same again will do."""

BARE = Variant("bare aiokafka, one transaction", f"{LOOPS}.aiokafka_loop", ("transactional", "trivial"), share=SHARE)
OURS = Variant("our processor", f"{LOOPS}.fed", share=SHARE)
DEFAULTS = Variant("Kafka Streams, defaults", "StreamsLoop", share=SHARE, target=STREAMS)
TUNED = "Kafka Streams, tuned"
FOR_THROUGHPUT = Variant(
    TUNED,
    "StreamsLoop",
    ("producer.batch.size=1000000", "main.consumer.max.poll.records=4000", "buffered.records.per.partition=4000"),
    share=SHARE,
    target=STREAMS,
)
FOR_LATENCY = Variant(TUNED, "StreamsLoop", ("commit.interval.ms=10",), target=STREAMS)

THROUGHPUT = (BARE, OURS, DEFAULTS, FOR_THROUGHPUT)
LATENCY = (OURS, DEFAULTS, FOR_LATENCY)


def report(runs: Mapping[str, Sequence[Run]], starts: Mapping[str, float], records: int) -> str:
    """The rows of throughput, to be read; what was not measured is a dash."""
    head = (
        "stream processor",
        "events",
        "events/s",
        "of bare aiokafka",
        "CPU µs/event",
        "second half",
        "peak MB",
        "start s",
    )
    return table(head, [_row(variant, runs, starts, records) for variant in THROUGHPUT])


def _row(
    variant: Variant, runs: Mapping[str, Sequence[Run]], starts: Mapping[str, float], records: int
) -> tuple[str, ...]:
    mine = runs.get(variant.name, ())
    pairs = zip(mine, runs.get(BARE.name, ()), strict=False)
    return (
        variant.name,
        number(int(records * variant.share)),
        number(_median(run.rate for run in mine)),
        number(_median(ratio(run.rate, base.rate) for run, base in pairs), 2),
        number(_median(run.cpu for run in mine), 1),
        number(_median(run.second_half for run in mine), 1),
        number(_median(run.peak / 1e6 for run in mine)),
        number(starts.get(variant.name), 2),
    )


def _median(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return median(found) if found else None
