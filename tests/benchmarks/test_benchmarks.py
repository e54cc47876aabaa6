"""The benchmarks' arithmetic, and what their variants do."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from events.topics import ANSWERED, DECISIONS
from tests.benchmarks import large_policies, million, replay, scale, throughput, work
from tests.benchmarks.__main__ import OURS, OURS_ALO
from tests.benchmarks.processes import Variant
from tests.benchmarks.tables import Target, microseconds, number, percentile, ratio, spread, table
from tests.benchmarks.throughput import Mark
from workers.configuration.settings import Settings
from workers.kafka.records import Record


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


def test_each_mark_of_large_policies_is_measured_and_has_a_limit() -> None:
    """Marks that were not measured are told so; the documents are those that tests draw and compare."""
    targets = large_policies.targets({"10 facts of 8 intervals, 6 rules, compared": 0.4})

    assert [target.verdict for target in targets] == [*["not measured"] * 5, "met", "not measured"]
    assert [target.limit for target in targets] == [1, 1, 1, 1, 1, 1, 5]


def test_a_run_is_told_whole_and_by_its_second_half() -> None:
    marks = [Mark(100, 1.0, 1.0), Mark(500, 2.0, 2.0), Mark(1_000, 3.0, 2.1), Mark(1_100, 3.5, 2.2)]

    run = throughput.summary(marks, peak=7)

    assert run.rate == pytest.approx(1_000 / 2.5)
    assert run.cpu == pytest.approx(1_200)
    assert run.second_half == pytest.approx(1_000)


def test_a_half_in_which_nobody_looked_is_not_told() -> None:
    assert throughput.summary([Mark(10, 1.0, 1.0), Mark(1_000, 2.0, 2.0)], peak=7).second_half is None


def test_the_trivial_handler_sends_what_its_peers_do(tmp_path: Path) -> None:
    """The request's own bytes and an entry, as the programs in `peers/` do."""
    made = work.Work(Settings(data_dir=tmp_path), "trivial")

    outputs = made.decide([Record("", 0, 0, 0, b"key", b"value", ())])

    assert [(one.key, one.value) for one in outputs] == [(b"key", b"value"), (b"key", work.ENTRY)]
    assert [one.topic for one in outputs] == [DECISIONS, ANSWERED]
