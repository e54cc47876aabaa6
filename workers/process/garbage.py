"""How often garbage is collected in processes that decide many requests."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = 50_000, 20, 100


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Collect garbage rarely inside the context, and never what exists at its start.

    Deciding makes hardly any reference cycles, so scanning for them only costs time: the compiled policies live as long
    as the process, and scanning all objects paused every partition for 0.16 s.
    """
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
