"""Runs tasks in processes, one per core, with messages back and an orderly stop on Ctrl-C.

The first Ctrl-C asks all processes to stop at the next opportunity; the second ends the command as usual. Processes are
forked from a new process that has imported what they need, once for all, and has neither threads nor connections: never
from this one, which may have both.
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

from workers.event_log.source import ReplayError
from workers.process import logs

Task = TypeVar("Task")
Message = TypeVar("Message")

LOOK_S = 0.5


class _Stop(Protocol):
    def set(self) -> None: ...
    def is_set(self) -> bool: ...


class WorkerHandle(Generic[Message]):
    """A task's connection to the main process."""

    def __init__(self, send: Callable[[Message], None], stop: _Stop) -> None:
        self.send = send
        self._stop = stop

    @property
    def stopping(self) -> bool:
        """Whether to stop early."""
        return self._stop.is_set()


class Failed:
    """A process's fatal error."""

    def __init__(self, sentence: str, *, expected: bool) -> None:
        self.sentence = sentence
        self.expected = expected


class Gone:
    """A process has no more tasks."""


def cores() -> int:
    """The number of processes that can run in parallel."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def run(
    tasks: Sequence[Task],
    work: Callable[[Task, WorkerHandle[Message]], None],
    on_message: Callable[[Message], None],
    processes: int,
) -> bool:
    """Run all tasks, handling their messages in this process; return whether they completed.

    Args:
        tasks: The tasks; with several processes, each goes to one of them.
        work: Runs one task. It returns early when its handle is `stopping`.
        on_message: Called in this process with every message.
        processes: The maximum number; with one, tasks run in this process.

    Raises:
        ReplayError: A task failed, or a process died.
    """
    wanted = min(processes, len(tasks))
    if wanted <= 1:
        stop = threading.Event()
        with _interruptible(stop):
            for task in tasks:
                if not stop.is_set():
                    work(task, WorkerHandle(on_message, stop))
        return not stop.is_set()
    return _share(tasks, work, on_message, wanted)


def _share(
    tasks: Sequence[Task],
    work: Callable[[Task, WorkerHandle[Message]], None],
    on_message: Callable[[Message], None],
    processes: int,
) -> bool:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", work.__module__])
    stop = context.Event()
    waiting: Any = context.Queue()
    inbox: Any = context.Queue(maxsize=10_000)
    for task in (*tasks, *(None for _ in range(processes))):
        waiting.put(task)
    workers = [
        context.Process(target=_serve, args=(work, waiting, inbox, stop), daemon=True, name=f"replay-{number}")
        for number in range(processes)
    ]
    # Only a flag is set by the signal: the processes' event has a lock, which this thread may hold at that moment.
    asked = threading.Event()
    with _interruptible(asked):
        for worker in workers:
            worker.start()
        try:
            for message in _messages(inbox, workers):
                if asked.is_set():
                    stop.set()
                if message is not None:
                    on_message(message)
            return not asked.is_set()
        finally:
            stop.set()
            for worker in workers:
                worker.join(timeout=10)
                if worker.is_alive():
                    worker.terminate()


def _messages(inbox: Any, workers: Sequence[Any]) -> Iterator[Any]:
    """The messages of the processes until all have finished; None where there was none for a moment."""
    gone = 0
    while gone < len(workers):
        try:
            message = inbox.get(timeout=LOOK_S)
        except Empty:
            dead = [worker for worker in workers if worker.exitcode not in {None, 0}]
            if dead:
                raise ReplayError(f"{dead[0].name} ended with exit code {dead[0].exitcode}; run it again") from None
            yield None
            continue
        if isinstance(message, Gone):
            gone += 1
        elif isinstance(message, Failed):
            if message.expected:
                raise ReplayError(message.sentence)
            raise RuntimeError(message.sentence)  # noqa: TRY004 (not a type error: it failed in the other process)
        else:
            yield message


def _serve(work: Callable[[Any, WorkerHandle[Any]], None], waiting: Any, inbox: Any, stop: ProcessEvent) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides when to stop
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    logs.configure(level="WARNING", form="console")
    handle: WorkerHandle[Any] = WorkerHandle(inbox.put, stop)
    try:
        while (task := waiting.get()) is not None:
            if not handle.stopping:
                work(task, handle)
    except ReplayError as error:
        inbox.put(Failed(str(error), expected=True))
    except Exception as error:  # noqa: BLE001 (reported to the main process, without a message that may contain data)
        inbox.put(Failed(f"{type(error).__name__} {_place(error)}", expected=False))
    inbox.put(Gone())


def _end_with_parent() -> None:
    """End this process when the main one has ended without a word, such as by SIGTERM or SIGKILL."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""


@contextmanager
def _interruptible(stop: _Stop) -> Iterator[None]:
    """Make the first Ctrl-C set `stop`, and the next one act as usual."""
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
