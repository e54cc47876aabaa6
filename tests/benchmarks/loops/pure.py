"""The work without a broker: what no consumer can be faster than.

python -m tests.benchmarks.loops.pure FILE
"""

import json
import resource
import sys
import time
from pathlib import Path

from tests.benchmarks.work import BATCH, HEADERS, PARTITIONS, Work, saved
from workers.configuration.settings import read
from workers.kafka.records import Record


def main() -> None:
    """Print what it took."""
    work = Work(read())
    batches: list[list[Record]] = []
    requests = saved(Path(sys.argv[1]))
    now = time.time_ns() // 1_000_000
    for partition in range(PARTITIONS):
        mine = [
            Record("", partition, offset, now, key, value, HEADERS)
            for offset, (key, value) in enumerate(requests[partition::PARTITIONS])
        ]
        batches += [mine[at : at + BATCH] for at in range(0, len(mine), BATCH)]
    begun, spent = time.perf_counter(), time.process_time()
    for records in batches:
        work.committed(records[0].partition, records, work.decide(records))
    seconds, cpu = time.perf_counter() - begun, time.process_time() - spent
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(json.dumps({"events": len(requests), "seconds": seconds, "cpu": cpu, "peak": peak}))


if __name__ == "__main__":
    main()
