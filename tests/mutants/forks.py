"""Tests that are collected once, and run in a fork for each mutant: most of a short run is the collection.

    python tests/mutants/forks.py MODULE TEST_FILE [...]        in the project's folder

The first line of the output is `{"failed": …, "seconds": …}`, of a run without a fault. For each line of input,
`{"function": …, "source": …, "limits": […, …]}`, a line follows: `true` if a test fails where the module's function has
the code of this source, or all of them take more seconds of a processor, or more by the clock, than the limits. Only
the tests that call the function are run, and what they made of the module while they were imported stays as it was:
`false` means that a run from the beginning has yet to decide.
"""

import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FrameType, FunctionType
from typing import IO, Any

import pytest

NOTICED, UNNOTICED = 1, 0


class Forks:
    """A plugin of pytest: in place of the run it answers what it is asked."""

    def __init__(self, module: str, questions: IO[str], answers: IO[str]) -> None:
        """For a file of the project, whose path ends so."""
        self._module = module
        self._questions = questions
        self._answers = answers
        self._called: set[str] = set()
        self._called_by_shared_fixtures: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        """Note what a shared fixture calls: it concerns every test, not only the one that needs it first."""
        before, self._called = self._called, set()
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                self._called_by_shared_fixtures |= self._called
            self._called |= before

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Answer, until there are no more questions."""
        found = json.loads(forked(lambda: self._watched(session))[1] or '{"failed": true}')
        self._answer({"failed": found["failed"] or bool(session.testsfailed), "seconds": found.get("seconds")})
        for line in self._questions:
            asked = json.loads(line)
            items = [
                item
                for item, called in zip(session.items, found["calls"], strict=True)
                if asked["function"] in {*called, *found["shared"]}
            ]
            code, _ = forked(lambda: self._with_fault(session, items, asked))  # noqa: B023 (called at once)
            self._answer(code != UNNOTICED)
        return True

    def _answer(self, content: object) -> None:
        self._answers.write(f"{json.dumps(content)}\n")
        self._answers.flush()

    def _watched(self, session: pytest.Session) -> tuple[int, str]:
        """Which functions of the module each test calls."""

        def trace(frame: FrameType, _event: str, _argument: object) -> None:
            if frame.f_code.co_filename.endswith(self._module):
                self._called.add(frame.f_code.co_qualname)

        began = time.process_time()
        threading.settrace(trace)
        sys.settrace(trace)
        calls = []
        for one in run(session, session.items):
            calls.append(sorted(self._called))
            self._called.clear()
            if one:
                break
        found = {
            "failed": bool(session.testsfailed),
            "seconds": time.process_time() - began,
            "calls": calls,
            "shared": sorted(self._called_by_shared_fixtures),
        }
        return UNNOTICED, json.dumps(found)

    def _with_fault(
        self, session: pytest.Session, items: Sequence[pytest.Item], asked: dict[str, Any]
    ) -> tuple[int, str]:
        if not swapped(self._module, asked["function"], asked["source"]):
            return UNNOTICED, ""
        # A busy machine does not make a test slower by the first of them.
        for timer, seconds in zip((signal.ITIMER_PROF, signal.ITIMER_REAL), asked["limits"], strict=True):
            signal.setitimer(timer, seconds)
        return NOTICED if any(run(session, items)) else UNNOTICED, ""


def forked(work: Callable[[], tuple[int, str]]) -> tuple[int, str]:
    """The exit code and the text that work gives in a fork; of one that a signal ended, the negative number."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code, text = work()
        with os.fdopen(writing, "w") as stream:
            stream.write(text)
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


def run(session: pytest.Session, items: Sequence[pytest.Item]) -> Iterator[bool]:
    """Run the tests, and say after each whether one has failed."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        yield bool(session.testsfailed)


def swapped(module: str, name: str, source: str) -> bool:
    """Give the module's functions of this name the code that the source has for them; False if that cannot be done."""
    functions = [
        one
        for one in gc.get_objects()
        if type(one) is FunctionType and one.__code__.co_qualname == name and one.__code__.co_filename.endswith(module)
    ]
    lines = sorted({one.__code__.co_firstlineno for one in functions})
    codes = sorted(_codes(compile(source, module, "exec"), name), key=lambda code: code.co_firstlineno)
    # A property and its setter have the same name.
    if not lines or len(lines) != len(codes):
        return False
    new = dict(zip(lines, codes, strict=True))
    try:
        for one in functions:
            one.__code__ = new[one.__code__.co_firstlineno]
    except ValueError:  # it uses other variables of the function around it
        return False
    return True


def _codes(code: CodeType, name: str) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_qualname == name:
                yield constant
            yield from _codes(constant, name)


def main() -> None:
    """Collect the tests, and answer."""
    module, *arguments = sys.argv[1:]
    sys.path[0] = ""  # the project's folder, as with `python -m pytest`
    questions, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    pytest.main(arguments, plugins=[Forks(f"/{module}", questions, answers)])


if __name__ == "__main__":
    main()
