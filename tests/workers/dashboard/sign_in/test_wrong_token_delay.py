"""What a wrong token costs: its own address more and more, others nothing, and never without bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.dashboard.sign_in import wrong_token_delay
from workers.dashboard.sign_in.wrong_token_delay import FORGOTTEN_SECONDS, LONGEST_SECONDS, Toll, payer


class Clock:
    """Goes as it is told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_each_wrong_token_costs_twice_as_much_up_to_a_bound() -> None:
    clock = Clock()
    found = Toll(clock=clock)
    costs = []
    for _ in range(2_000):
        costs.append(found.wrong("10.0.0.7").seconds)
        clock.now += costs[-1]
        assert found.owes("10.0.0.7") == 0

    assert costs[:7] == [1, 2, 4, 8, 16, 32, LONGEST_SECONDS]
    assert set(costs[7:]) == {LONGEST_SECONDS}


def test_who_owes_is_not_looked_at_and_others_are() -> None:
    clock = Clock()
    found = Toll(clock=clock)
    found.wrong("10.0.0.7")

    assert [found.owes("10.0.0.7") for _ in range(3)] == [1.0] * 3
    assert (found.owes("10.0.0.8"), found.owes("fd00::7")) == (0, 0)
    clock.now += 1
    assert found.owes("10.0.0.7") == 0
    assert found.wrong("10.0.0.7")[:2] == (2, 3)


def test_an_address_is_forgotten_after_a_while() -> None:
    clock = Clock()
    found = Toll(clock=clock)
    for _ in range(9):
        found.wrong("10.0.0.7")
    clock.now += FORGOTTEN_SECONDS + 1

    assert found.wrong("10.0.0.8").wrong == 1
    assert len(found) == 1
    assert found.wrong("10.0.0.7") == (1, 0, 1.0)


@given(
    st.lists(st.tuples(st.one_of(st.ip_addresses().map(str), st.text(max_size=8)), st.floats(0, 2_000)), max_size=60)
)
def test_what_is_owed_and_kept_has_bounds(shown: list[tuple[str, float]]) -> None:
    clock = Clock()
    found = Toll(clock=clock)
    for address, later in shown:
        clock.now += later
        paid = found.wrong(address)
        assert 1 <= paid.seconds <= LONGEST_SECONDS
        assert found.owes(address) == pytest.approx(paid.seconds)  # a difference of two moments
    assert len(found) <= len({payer(address) for address, _ in shown})


def test_no_number_of_addresses_fills_the_memory() -> None:
    found = Toll(clock=Clock())
    for number in range(wrong_token_delay.MOST_ADDRESSES + 500):
        found.wrong(f"10.{number // 65_536}.{number // 256 % 256}.{number % 256}")

    assert len(found) == wrong_token_delay.MOST_ADDRESSES
    assert found.owes("10.0.0.0") == 0
    assert found.owes("10.0.17.0") > 0


def test_who_has_a_network_pays_for_all_of_it() -> None:
    assert payer("2001:db8::1") == payer("2001:db8::ffff:1") != payer("2001:db8:0:1::1")
    assert payer("::ffff:10.0.0.7") == payer("10.0.0.7") != payer("10.0.0.8")
    assert payer("fe80::1%eth0") == payer("fe80::2")
    assert payer("") == payer("a proxy's word") == payer("x" * 10_000)
