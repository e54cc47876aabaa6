"""The benchmarks' arithmetic, and that what they compare with decides the same policy."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.benchmarks import million, replay, scale, work, zen_rules
from tests.benchmarks.__main__ import OURS, OURS_ALO
from tests.benchmarks.processes import Variant
from tests.benchmarks.tables import Target, microseconds, number, percentile, ratio, spread, table
from tests.support import naive


def test_a_percentile_is_a_value_that_so_many_do_not_exceed() -> None:
    values = [float(n) for n in range(1000, 0, -1)]

    assert [percentile(values, share) for share in (0.5, 0.99, 0.999, 1.0)] == [500, 990, 999, 1000]
    assert percentile([7.0], 0.99) == 7.0


def test_a_spread_has_the_middle_and_both_ends() -> None:
    assert spread([30.0, 10.0, 20.0]) == (20.0, 10.0, 30.0)


def test_a_ratio_needs_a_base() -> None:
    assert ratio(8.0, 10.0) == pytest.approx(0.8)
    assert ratio(8.0, None) is None
    assert ratio(8.0, 0.0) is None


@pytest.mark.parametrize(
    ("found", "at_least", "verdict"),
    [
        (0.8, True, "met"),
        (0.79, True, "missed"),
        (0.8, False, "met"),
        (0.81, False, "missed"),
        (float("inf"), False, "missed"),
        (None, True, "not measured"),
        (None, False, "not measured"),
    ],
)
def test_a_mark_is_met_missed_or_not_measured(found: float | None, at_least: bool, verdict: str) -> None:
    assert Target("one", found, 0.8, " ms", at_least=at_least).verdict == verdict


def test_a_table_is_aligned() -> None:
    assert table(("a", "long"), [("wide", "b")]) == "| a    | long |\n| ---- | ---- |\n| wide | b    |\n"


@pytest.mark.parametrize("variant", [OURS, OURS_ALO, million.WORKER, replay.WORKER, scale.OURS])
def test_our_worker_is_a_module_that_can_be_run(variant: Variant) -> None:
    assert find_spec(f"{variant.module}.__main__") is not None
    assert variant.attests


def test_a_number_that_was_not_measured_is_a_dash() -> None:
    assert [number(1234.56), number(1234.56, 1), number(None)] == ["1,235", "1,234.6", "-"]


def test_a_time_is_taken_for_each_argument() -> None:
    called: list[int] = []

    assert microseconds(called.append, [1, 2], repeats=3) >= 0
    assert called == [1, 2, 1, 2, 1, 2]


def test_requests_survive_the_file_between_processes(tmp_path: Path) -> None:
    made = list(work.requests(50))
    work.save(tmp_path / "requests", made)

    assert work.saved(tmp_path / "requests") == made
    assert len({key for key, _ in made}) == 50


def test_a_package_that_is_absent_is_named() -> None:
    assert Variant("one", "", needs="no_such_package_at_all").missing == "no_such_package_at_all"
    assert Variant("one", "", needs="json").missing is None
    assert Variant("one", "", needs="json", python=f"{sys.executable}-is-not-there").missing == "json"


def test_a_case_is_put_to_the_rules_as_plain_objects() -> None:
    [asked] = zen_rules.sample(1)
    made = zen_rules.as_input(asked)

    assert made["edition"] == asked[0]
    assert made["clinical"]["transplant"]["type"] == asked[1][naive.TRANSPLANT]
    assert frozenset(made["clinical"]["purposes"]) == asked[1][naive.PURPOSES]


def test_the_rules_of_zen_decide_as_the_second_evaluation_does() -> None:
    pytest.importorskip("zen")

    assert zen_rules.disagreements(zen_rules.sample(5_000)) == []
