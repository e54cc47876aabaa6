"""Requests kept in memory: only so many, the oldest dropped first."""

from workers.state.recent_requests import RecentRequests


def test_only_the_newest_requests_are_kept() -> None:
    kept = RecentRequests[int](2)
    for number in range(4):
        kept.keep(b"%d" % number, number)

    assert dict(kept) == {b"2": 2, b"3": 3}


def test_a_request_kept_again_keeps_its_age() -> None:
    kept = RecentRequests[int](2)
    for key, number in ((b"a", 1), (b"b", 2), (b"a", 3), (b"c", 4)):
        kept.keep(key, number)

    assert dict(kept) == {b"b": 2, b"c": 4}
