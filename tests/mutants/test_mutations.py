"""The faults that are put in are faults, each of its kind, and the tester finds who does not notice one."""

import ast
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants.__main__ import BROKERLESS, MODULES, ON_A_BROKER, Stage, chosen, held_by, known
from tests.mutants.mutations import mutants
from tests.support.places import ROOT

KINDS = {
    "a < b": "a <= b",
    "a is b": "a is not b",
    "a and b": "a or b",
    "not a": "+a",
    "min(a)": "max(a)",
    "sorted(a)": "list(a)",
    "a - b": "a + b",
    "True": "False",
    "7": "8",
}


@pytest.mark.parametrize("text", KINDS)
def test_each_kind_of_fault_is_made(text: str) -> None:
    made = [mutant.source for mutant in mutants(f"x = {text}\n")]

    assert f"x = {KINDS[text]}" in made


def test_statements_have_faults_too() -> None:
    source = "def f(a):\n    for b in a:\n        if b:\n            continue\n    return a\n"

    made = {mutant.what for mutant in mutants(source)}
    assert {"return a → return None", "continue → break"} <= made
    assert any(what.startswith("if b:") for what in made)


def test_a_mutant_is_named_by_its_place_and_the_code_around_it() -> None:
    source = "class A:\n    def f(self):\n        b = 0\n        return b > 5\n"

    assert [mutant.name for mutant in mutants(source)] == [
        "A.f: b = 0 → b = 1",
        "A.f: return b > 5 → return None",
        "A.f: b > 5 → b >= 5",
        "A.f: b > 5 → b > 6",
    ]


def test_what_runs_at_the_import_is_of_no_function() -> None:
    source = "A = 1\n\ndef f(b=2):\n    def g():\n        return 3\n"

    found = {mutant.what: mutant.function for mutant in mutants(source)}
    assert (found["A = 1 → A = 2"], found["b=2 → b=3"], found["return 3 → return 4"]) == ("", "", "f")


def test_messages_annotations_and_imports_are_left_alone() -> None:
    source = 'from a import b\n\ndef f(a: "1") -> 2:\n    raise ValueError(3)\n'

    assert list(mutants(source)) == []


def test_a_seed_chooses_the_same_mutants_again() -> None:
    source = (ROOT / MODULES[0]).read_text("utf-8")

    assert chosen(source, 5, 1) == chosen(source, 5, 1) != chosen(source, 5, 2)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_held_by_its_room(module: str) -> None:
    held = [file for mark, tests in held_by(Path(module)) for file in tests if mark == BROKERLESS]
    room = sorted((ROOT / "tests" / module).parent.glob("test_*.py"))

    assert {file.relative_to(ROOT).as_posix() for file in room} <= set(held)
    assert len(held) == len(set(held))


def test_tests_named_after_a_module_are_tried_first() -> None:
    (_, named), (_, near), (_, elsewhere) = held_by(Path("policy_core/evaluate/determine.py"))

    assert {Path(file).name for file in named} == {"test_determine.py", "test_determine_editions.py"}
    assert "tests/policy_core/evaluate/test_facts.py" in near
    assert "tests/workers/decide/test_shadow.py" in elsewhere


def test_tests_elsewhere_may_be_left_out() -> None:
    every = held_by(Path("workers/accounts/account.py"))

    assert held_by(Path("workers/accounts/account.py"), only_near=True) == [*every[:2], every[3]]


LIMIT = """
LEAST = 2

class Limit:
    @property
    def least(self):
        return LEAST

def is_enough(a):
    return a >= Limit().least

def forever(a):
    while a > 0:
        a -= 1
    return a
"""


def project(folder: Path, test: str) -> Path:
    """A project of one module and one test."""
    (folder / "limit.py").write_text(LIMIT, "utf-8")
    (folder / "test_limit.py").write_text(f"from limit import *\n\ndef test_it():\n    {test}\n", "utf-8")
    (folder / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\npythonpath = ["."]\naddopts = "-p no:cloudcoil"\n', "utf-8"
    )
    return folder


def test_tests_on_a_broker_are_tried_last() -> None:
    mark, tests = held_by(Path("workers/accounts/account.py"))[-1]

    assert mark == ON_A_BROKER
    assert {"tests/workers/accounts/test_account.py", "tests/workers/accounts/test_recount.py"} <= set(tests)
    assert {Path(file).parent.as_posix() for file in tests} == {"tests/workers/accounts"}


@pytest.mark.parametrize(
    ("what", "test", "noticed"),
    [
        ("a >= Limit().least → a > Limit().least", "assert is_enough(2)", True),
        ("a >= Limit().least → a > Limit().least", "assert is_enough(3)", False),
        ("return LEAST → return None", "assert is_enough(2)", True),
        ("LEAST = 2 → LEAST = 3", "assert is_enough(2)", True),
        ("LEAST = 2 → LEAST = 3", "assert is_enough(3)", False),
        ("a > 0 → a >= 0", "assert forever(3) == 0", True),
    ],
)
def test_a_fault_that_no_test_notices_survives(tmp_path: Path, what: str, test: str, *, noticed: bool) -> None:
    """At the limit a fault shows; beside it, it does not."""
    [mutant] = [one for one in mutants(LIMIT) if one.what == what]

    with closing(Stage(project(tmp_path, test), Path("limit.py"), ["test_limit.py"])) as stage:
        assert stage.notices(mutant) is noticed
    assert (tmp_path / "limit.py").read_text("utf-8") == LIMIT


def test_what_does_not_end_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.mutants.__main__.LEAST_SECONDS", 1.0)
    [mutant] = [one for one in mutants(LIMIT) if one.what == "a -= 1 → a -= 2"]
    endless = replace(mutant, tree=ast.parse(mutant.source.replace("a -= 2", "a -= 0")))

    with closing(Stage(project(tmp_path, "assert forever(3) == 0"), Path("limit.py"), ["test_limit.py"])) as stage:
        assert stage.notices(endless)


def test_tests_that_fail_without_a_fault_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"without a fault, too, there are failures in test_limit\.py"):
        Stage(project(tmp_path, "assert is_enough(1)"), Path("limit.py"), ["test_limit.py"])


@pytest.mark.slow
def test_what_is_called_equivalent_is_a_mutant_that_there_is() -> None:
    modules = {line.partition(":")[0] for line in known()}
    made = {f"{name}: {mutant.name}" for name in modules for mutant in mutants((ROOT / name).read_text("utf-8"))}

    assert known() - made == set()
