"""Work shared among processes, one for each core: tasks in, messages out, and an orderly end on Ctrl-C.

Ctrl-C asks everyone to stop at the next good moment; a second one ends the command as usual. The processes are started
afresh (not forked), so that no thread or connection of ours is theirs.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.synchronize import Event as ProcessEvent
from queue import Empty
from types import FrameType
from typing import Any, Generic, Protocol, TypeVar

from workers import logs
from workers.event_log.source import ReplayError

Task = TypeVar("Task")
Message = TypeVar("Message")

LOOK_S = 0.5


class _Stop(Protocol):
    def set(self) -> None: ...
    def is_set(self) -> bool: ...


class WorkerHandle(Generic[Message]):
    """What whoever works on a task has of the others."""

    def __init__(self, tell: Callable[[Message], None], stop: _Stop) -> None:
        self.tell = tell
        self._stop = stop

    @property
    def stopping(self) -> bool:
        """Whether to leave the rest undone."""
        return self._stop.is_set()


class Failed:
    """A process's last words."""

    def __init__(self, sentence: str, *, expected: bool) -> None:
        self.sentence = sentence
        self.expected = expected


class Gone:
    """A process has no more tasks."""


def cores() -> int:
    """How many processes can run at once."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def run(
    tasks: Sequence[Task],
    work: Callable[[Task, WorkerHandle[Message]], None],
    heard: Callable[[Message], None],
    processes: int,
) -> bool:
    """Do all tasks, hearing every message in this process; whether they were done to their end.

    Args:
        tasks: What there is to do; with several processes each is sent to one of them.
        work: Does one task. It returns early when its desk says so.
        heard: Called here with every message.
        processes: How many at most; with one it is this process.

    Raises:
        ReplayError: A task cannot be done, or a process ended without a word.
    """
    wanted = min(processes, len(tasks))
    if wanted <= 1:
        stop = threading.Event()
        with _interruptible(stop):
            for task in tasks:
                if not stop.is_set():
                    work(task, WorkerHandle(heard, stop))
        return not stop.is_set()
    return _share(tasks, work, heard, wanted)


def _share(
    tasks: Sequence[Task],
    work: Callable[[Task, WorkerHandle[Message]], None],
    heard: Callable[[Message], None],
    processes: int,
) -> bool:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    waiting: Any = context.Queue()
    inbox: Any = context.Queue(maxsize=10_000)
    for task in (*tasks, *(None for _ in range(processes))):
        waiting.put(task)
    crew = [
        context.Process(target=_serve, args=(work, waiting, inbox, stop), daemon=True, name=f"replay-{number}")
        for number in range(processes)
    ]
    with _interruptible(stop):
        for one in crew:
            one.start()
        try:
            for message in _messages(inbox, crew):
                heard(message)
            return not stop.is_set()
        finally:
            stop.set()
            for one in crew:
                one.join(timeout=10)
                if one.is_alive():
                    one.terminate()


def _messages(inbox: Any, crew: Sequence[Any]) -> Iterator[Any]:
    """What the processes say until all have left."""
    gone = 0
    while gone < len(crew):
        try:
            message = inbox.get(timeout=LOOK_S)
        except Empty:
            dead = [one for one in crew if one.exitcode not in {None, 0}]
            if dead:
                raise ReplayError(f"{dead[0].name} ended with exit code {dead[0].exitcode}; run it again") from None
            continue
        if isinstance(message, Gone):
            gone += 1
        elif isinstance(message, Failed):
            if message.expected:
                raise ReplayError(message.sentence)
            raise RuntimeError(message.sentence)  # noqa: TRY004 (no type is wrong: it failed over there)
        else:
            yield message


def _serve(work: Callable[[Any, WorkerHandle[Any]], None], waiting: Any, inbox: Any, stop: ProcessEvent) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who started us says when to stop
    logs.configure(level="WARNING", form="console")
    desk: WorkerHandle[Any] = WorkerHandle(inbox.put, stop)
    try:
        while (task := waiting.get()) is not None:
            if not desk.stopping:
                work(task, desk)
    except ReplayError as error:
        inbox.put(Failed(str(error), expected=True))
    except Exception as error:  # noqa: BLE001 (told to whoever started us, without a text that may repeat data)
        inbox.put(Failed(f"{type(error).__name__} {_place(error)}", expected=False))
    inbox.put(Gone())


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""


@contextmanager
def _interruptible(stop: _Stop) -> Iterator[None]:
    """While this holds, the first Ctrl-C sets `stop`, and the next one does what Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        stop.set()

    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
