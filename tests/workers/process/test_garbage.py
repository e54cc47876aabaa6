"""Garbage is collected rarely while requests are decided, and as before afterwards."""

import gc

import pytest

from workers.process.garbage import rarely_collected


def test_objects_from_before_are_not_scanned_inside() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()

    with rarely_collected():
        inside = gc.get_threshold(), gc.get_freeze_count()

    assert inside[0][0] > before[0]
    assert inside[1] > 10_000
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, frozen)


def test_a_failure_leaves_nothing_changed() -> None:
    before = gc.get_threshold()

    with pytest.raises(OSError, match="brokers"), rarely_collected():
        raise OSError("no brokers")

    assert gc.get_threshold() == before


def test_cycles_inside_are_still_collected() -> None:
    with rarely_collected():
        collected = gc.get_stats()[0]["collections"]
        for _ in range(60_000):
            loop: list[object] = []
            loop.append(loop)

        assert gc.get_stats()[0]["collections"] > collected
