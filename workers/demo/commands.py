"""`dli demo`: a broker, a worker, some forty requests in, decisions out, one of them explained."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

from rich.live import Live
from rich.table import Table

from events.dead_letter import DeadLetter
from events.decision import Decision
from events.topics import DEAD_LETTERS, DECISIONS, PAS_REQUESTS, REQUESTS, VERDICTS, X12_REQUESTS
from policy_core.history.library import load_library
from workers.configuration.command_options import settings
from workers.configuration.settings import Settings
from workers.console.exit_codes import CommandError
from workers.console.printable import counted
from workers.console.printing import err, out
from workers.decide.commands import explained, rows, table
from workers.demo import platform, platform_text
from workers.demo.physician import answered, recommended
from workers.demo.run import PATIENCE_SECONDS, REQUESTS_FILE, interruptible, running_dashboard, running_worker
from workers.dev_brokers import broker_named, free_ports
from workers.event_log import json_files
from workers.topics import apply_topics
from workers.traffic.commands import as_record, read, sent

EXPLAINED = "PA-2025-00101"
PAUSE_SECONDS = 0.05
"""Pause between requests, so that they can be watched."""

Answer = Decision | DeadLetter


def run_demo(*, keep: bool, dashboard: int | None = None) -> None:
    """Show the main job, from the bytes of requests to a decision explained; with a dashboard at a port if asked.

    Raises:
        DemoError: The worker does not become ready.
        CommandError: A request is not answered.
    """
    with json_files.events(REQUESTS_FILE) as events:
        requests = [event.raw for event in events]
    with interruptible(), ExitStack() as stack:
        broker = stack.enter_context(broker_named("embedded"))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="dli-demo-")))
        port = free_ports().client
        found = settings(bootstrap=broker.bootstrap, web_port=port, data_dir=folder / "worker", partitions=4)
        apply_topics.apply(found)
        err.print(f"embedded broker at {broker.bootstrap}, topics made; starting a worker …")
        stack.enter_context(running_worker(found, folder / "worker.log"))
        err.print(f"worker ready; publishing {len(requests)} requests to {REQUESTS} …")
        answers = watch(found, requests)
        _close(answers, found)
        _review(answers, found)
        _exchange(found, folder)
        _go_on()
        if dashboard is not None:
            stack.enter_context(running_dashboard(found, dashboard))
        if keep or dashboard is not None:
            _keep(found)


def watch(found: Settings, requests: Sequence[bytes]) -> list[Answer]:
    """Publish the requests one by one; show each answer as it arrives.

    Raises:
        CommandError: Not every request is answered in time.
    """
    answers: list[Answer] = []
    done = Event()
    readers = [
        Thread(target=_collect, args=(found, name, model, answers, done), daemon=True)
        for name, model in ((DECISIONS, Decision), (DEAD_LETTERS, DeadLetter))
    ]
    for reader in readers:
        reader.start()
    publisher = Thread(target=_publish, args=(found, requests), daemon=True)
    publisher.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    printed = 0
    with Live(_empty(), console=out, refresh_per_second=10) as live:
        view = _empty()
        while printed < len(requests) and time.monotonic() < deadline:
            for answer in answers[printed:]:
                printed += 1
                for row in rows(answer):
                    view.add_row(*row)
            live.update(view)
            time.sleep(0.1)
    if not out.is_terminal:
        out.line()  # on a terminal Rich ends the last line itself
    done.set()
    for thread in (publisher, *readers):
        thread.join(PATIENCE_SECONDS)
    if printed < len(requests):
        raise CommandError(
            f"only {printed} of {len(requests)} requests were answered in {PATIENCE_SECONDS:.0f} seconds"
        )
    return answers


def _empty() -> Table:
    return table(iter(()))


def _publish(found: Settings, requests: Sequence[bytes]) -> None:
    def paced() -> Iterator[Any]:
        for line in requests:
            yield as_record(line, found.topic(REQUESTS))
            time.sleep(PAUSE_SECONDS)

    for _ in sent(paced(), found):
        pass


def _collect(found: Settings, topic: str, model: type[Decision | DeadLetter], into: list[Answer], done: Event) -> None:
    records = read(found.topic(topic), found, from_beginning=True, until_end=False, stopped=done.is_set)
    into.extend(model.model_validate_json(json.dumps(json.loads(record.value)["data"])) for record in records)


def _close(answers: Sequence[Answer], found: Settings) -> None:
    decided = [answer for answer in answers if isinstance(answer, Decision)]
    decisions, letters = counted(len(decided), "decision"), counted(len(answers) - len(decided), "dead letter")
    err.print(f"{decisions} and {letters} for {counted(len(answers), 'request')}\n")
    out.rule(f"one of them in full: {EXPLAINED}")
    library = load_library(found.policies, found.default_policy)
    out.print(next(explained(decision, library) for decision in decided if decision.request_id == EXPLAINED))


def _review(answers: Sequence[Answer], found: Settings) -> None:
    """End a recommendation with a physician's verdict, and show the final decision."""
    recommendation = recommended(answer for answer in answers if isinstance(answer, Decision))
    out.rule(f"a physician answers one: {recommendation.request_id}")
    err.print(
        f"publishing the verdict on {recommendation.request_id}, which the software may not give, to {VERDICTS} …"
    )
    final = answered(found, recommendation)
    out.print(table(iter([recommendation, final])))
    out.print(explained(final, load_library(found.policies, found.default_policy)))


def _exchange(found: Settings, folder: Path) -> None:
    """Show a claims platform that speaks FHIR PAS and X12 278."""
    out.rule("a claims platform speaks FHIR PAS and X12 278")
    err.print(f"starting the integration agents; publishing to {PAS_REQUESTS} and {X12_REQUESTS} …")
    with platform.running_integration(found, folder):
        messages = (platform.CLAIM, platform.ANSWERS, platform.REQUEST)
        told = [platform.exchanged(found, one, lambda record: list(sent([record], found)).clear()) for one in messages]
    out.print(platform_text.table(told))


def _go_on() -> None:
    out.rule("how to go on")
    out.print(
        "source .venv/bin/activate      and then:\n"
        f"dli decide {_relative(REQUESTS_FILE)} -o table      the same without a broker\n"
        f"dli explain {_relative(REQUESTS_FILE)} --request PA-2025-00123      a request that contradicts itself\n"
        f"dli adapt {_relative(platform.MESSAGES / 'claim.json')} --partner {_relative(platform.PARTNER)}      "
        "a PAS bundle without a broker\n"
        "make dashboard      the same with its dashboard, at http://127.0.0.1:8080\n"
        "dli demo --keep      leave the broker and the worker running, to publish, review and tail by hand\n"
        "make kafka-jars && dli kafka up      Apache Kafka on this machine\n"
        "policy_core/README.md      how the policy is written down, and how to write another",
        markup=False,
    )


def _relative(file: Path) -> str:
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


def _keep(found: Settings) -> None:
    err.print(f"\nrunning until Ctrl-C: --bootstrap {found.bootstrap}, http://{found.web_host}:{found.web_port}/ready")
    while True:
        time.sleep(1)
