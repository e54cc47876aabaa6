"""Platforms' messages while the processes that read and answer them are killed: each is answered once.

A message that is sent again is answered again, with the same bytes; the test sends each only once.
"""

import json
import signal
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from random import Random
from subprocess import Popen

import pytest

from events.envelope import header
from events.topics import DEAD_LETTERS, PAS_REQUESTS, PAS_RESPONSES, REQUESTS, X12_REQUESTS, X12_RESPONSES
from tests.faults.flow import PARTITIONS, SESSION_SECONDS, eventually
from tests.support import pas_bundles, x12_messages
from tests.support.running import everything_on, settings_for, worker
from workers.configuration.settings import Settings
from workers.demo.run import running_worker
from workers.dev_brokers import Broker, free_ports
from workers.kafka.records import OutgoingRecord
from workers.topics import apply_topics
from workers.traffic.commands import sent

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

MESSAGES = 400
"""Of each format."""
KILLS = 6
INTEGRATION = ("workers.main", "integration")


def test_each_message_is_answered_once_whoever_dies(broker: Broker, tmp_path: Path, chance: Random, seed: int) -> None:
    partner = x12_messages.PARTNER.model_dump(mode="json", by_alias=True, exclude_none=True)
    (tmp_path / "delta.json").write_text(json.dumps(partner))
    found = settings_for(
        broker.bootstrap,
        "integration.",
        tmp_path,
        partners=tmp_path / "delta.json",
        session_timeout_seconds=SESSION_SECONDS,
    ).model_copy(update={"partitions": PARTITIONS})
    apply_topics.apply(found)
    pas = [pas_bundles.message(number) for number in range(MESSAGES)]
    x12 = [x12_messages.message(seed, number) for number in range(MESSAGES)]
    with ExitStack() as stack, worker(found, tmp_path):
        running = [_start(stack, found, tmp_path, number) for number in range(2)]
        for round_ in range(KILLS):
            own = slice(round_ * MESSAGES // KILLS, (round_ + 1) * MESSAGES // KILLS)
            _send(found, PAS_REQUESTS, pas[own])
            _send(found, X12_REQUESTS, x12[own])
            time.sleep(chance.uniform(0.0, 1.0))
            running.pop(chance.randrange(len(running))).send_signal(signal.SIGKILL)
            running.append(_start(stack, found, tmp_path, 2 + round_))
        assert eventually(lambda: _answered(found) >= 2 * MESSAGES)
        time.sleep(3 * SESSION_SECONDS)  # what would come twice has the time to come

        answers = [*everything_on(found, PAS_RESPONSES), *everything_on(found, X12_RESPONSES)]
        of_messages = Counter(header(tuple(one.headers), "dli-message") for one in answers)
        assert sum(of_messages.values()) == 2 * MESSAGES
        assert max(of_messages.values()) == 1
        requests = Counter(one.key for one in everything_on(found, REQUESTS))
        assert max(requests.values()) == 1
        refused = [one for one in everything_on(found, DEAD_LETTERS) if "conflicting" in one.value.decode()]
        assert refused == []


def _start(stack: ExitStack, found: Settings, folder: Path, number: int) -> "Popen[bytes]":
    port, data = free_ports().client, folder / f"integration-{number}"
    own = found.model_copy(update={"web_port": port, "integration_port": port, "data_dir": data})
    return stack.enter_context(running_worker(own, folder / f"integration-{number}.log", INTEGRATION))


def _send(found: Settings, topic: str, messages: list[bytes]) -> None:
    list(sent([OutgoingRecord(found.topic(topic), one[-24:], one) for one in messages], found))


def _answered(found: Settings) -> int:
    return len(everything_on(found, PAS_RESPONSES)) + len(everything_on(found, X12_RESPONSES))
