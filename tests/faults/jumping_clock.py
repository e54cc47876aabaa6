"""A worker whose wall clock jumps: `python jumping_clock.py worker` for `python -m workers.main worker`."""

import itertools
import sys
import time

JUMPS = (0.0, 2_400.0, -86_400.0 * 30, 600.0, -3_600.0)
"""Seconds off. Kafka itself turns away records from more than an hour ahead of the broker."""
EVERY_S = 1.5

_true = time.time
_begun = time.monotonic()


def _jumping() -> float:
    turn = int((time.monotonic() - _begun) / EVERY_S) % len(JUMPS)
    return _true() + next(itertools.islice(JUMPS, turn, None))


def main() -> None:
    """Patch the clock before anything can take hold of it, then be the command line."""
    time.time = _jumping
    from workers.main.cli import main as cli  # noqa: PLC0415 (after the patch)

    sys.argv[0] = "dli"
    cli()


if __name__ == "__main__":
    main()
