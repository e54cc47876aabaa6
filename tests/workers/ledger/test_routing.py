"""Routing: every event of a case goes to the case's partition once, in whatever order it and the decision are read."""

from collections.abc import Mapping, Sequence
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.case_event import LinkJudged, TimePassed, packed
from workers.cases.route import Routed, barrier, routed, routed_of
from workers.ledger.pointers import Pointer
from workers.ledger.routing import Forwarded, last_waiting, route
from workers.state.changelog import Change
from workers.state.request_digests import digest

EVENT = packed(TimePassed())


class Stored(dict[bytes, bytes]):
    """Entries in memory."""

    def beginning_with(self, prefix: bytes) -> Mapping[bytes, bytes]:
        return {key: self[key] for key in sorted(self) if key.startswith(prefix)}

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        for key, value in changes.items():
            if value is None:
                self.pop(key, None)
            else:
                self[key] = value


def pointer(name: str, partition: int = 5, kind: str = "decision", timestamp: int = 7) -> tuple[str, bytes]:
    return name, Pointer(kind, partition, 11, timestamp, (partition, 3)).packed()  # type: ignore[arg-type]  # a word of its kinds


def event(name: str) -> tuple[str, bytes]:
    return name, routed(name, TimePassed())


def ended(upto: int) -> tuple[str, bytes]:
    return "", barrier(upto)


def changes(items: Sequence[tuple[str, bytes]], start: int = 0) -> list[Change]:
    return [
        Change(offset, digest(name.encode()) if name else b"", value, 1_000 + offset)
        for offset, (name, value) in enumerate(items, start)
    ]


def run(items: Sequence[tuple[str, bytes]], batch: int = 1) -> tuple[list[Forwarded], list[Routed], Stored]:
    """Everything that comes of these records, in batches."""
    stored = Stored()
    forwarded: list[Forwarded] = []
    unknown: list[Routed] = []
    records = changes(items)
    for begin in range(0, len(records), batch):
        routing = route(stored, records[begin : begin + batch])
        stored.apply(routing.changes)
        forwarded += routing.forwarded
        unknown += routing.unknown
    return forwarded, unknown, stored


@pytest.mark.parametrize("order", list(permutations(range(2))))
@pytest.mark.parametrize("batch", [1, 2])
def test_an_event_goes_to_the_partition_of_its_request(order: tuple[int, ...], batch: int) -> None:
    items = [pointer("PA-1"), event("PA-1")]
    forwarded, unknown, stored = run([items[n] for n in order], batch)
    assert forwarded == [Forwarded(5, Routed(b"PA-1", EVENT))]
    assert (unknown, last_waiting(stored)) == ([], None)


def test_an_event_waits_until_a_barrier_after_it() -> None:
    forwarded, unknown, stored = run([event("PA-1"), event("PA-2"), ended(0)])
    assert (forwarded, unknown) == ([], [Routed(b"PA-1", EVENT)])
    assert last_waiting(stored) == 1


def test_a_barrier_ends_no_waiting_that_began_after_it_was_made() -> None:
    forwarded, unknown, _ = run([event("PA-1"), ended(1), event("PA-2"), pointer("PA-2")])
    assert [one.routed.request for one in forwarded] == [b"PA-2"]
    assert [one.request for one in unknown] == [b"PA-1"]


def test_a_dead_letters_pointer_makes_no_case_known() -> None:
    forwarded, _, stored = run([event("PA-1"), pointer("PA-1", kind="dead_letter")])
    assert (forwarded, last_waiting(stored)) == ([], 0)


def test_of_two_decisions_on_one_id_the_first_has_the_case() -> None:
    items = [pointer("PA-1", 4, timestamp=9), pointer("PA-1", 2, timestamp=8), event("PA-1")]
    assert [one.partition for one in run(items)[0]] == [2]


def test_what_waits_goes_on_in_its_order() -> None:
    names = ["PA-1", "PA-1", "PA-1"]
    items = [(name, routed(name, LinkJudged(f"PA-{n}", stands=True))) for n, name in enumerate(names)]
    forwarded, _, stored = run([*items, pointer("PA-1")])
    assert [one.routed for one in forwarded] == [routed_of(value) for _, value in items]
    assert [key for key in stored if b"\xff" in key[:17]] == []


@pytest.mark.parametrize("value", [b"", b"\x03", b"\x03\x00\x01", b"\x03\x00\x01a{}", b"\x04", b"\x09" * 33])
def test_what_is_nothing_of_these_changes_nothing(value: bytes) -> None:
    forwarded, unknown, stored = run([("PA-1", value)])
    assert (forwarded, unknown, dict(stored)) == ([], [], {})


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["a", "b", "c"]).map(event),
            st.sampled_from(["a", "b", "c"]).map(pointer),
            st.integers(0, 30).map(ended),
        ),
        max_size=30,
    ),
    st.integers(1, 9),
)
def test_each_event_goes_on_or_is_unknown_or_waits_once(items: list[tuple[str, bytes]], batch: int) -> None:
    forwarded, unknown, stored = run(items, batch)
    waiting = sum(len(key) == 25 and not key.startswith(bytes(16)) for key in stored)
    assert len(forwarded) + len(unknown) + waiting == sum(value.startswith(b"\x03") for _, value in items)
    # The size of batches, which depends on the load, makes no difference.
    assert (forwarded, unknown, stored) == run(items, len(items) or 1)
