"""What a replay decides goes to a topic of its own, marked; no name that somebody gives it reaches a live topic."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from events.topics import ANSWERED, AUDIT, DEAD_LETTERS, DECISIONS, REQUESTS, SHADOW
from policy_core.evaluate.determine import Policy
from policy_core.history.library import Library
from policy_core.loading.load import load
from tests.support.commands import dli
from tests.support.edits import EDITS, edited
from tests.support.running import eventually, everything_on, offsets, publish, settings_for, worker
from tests.support.running_workers import all_committed
from workers.configuration.settings import read
from workers.decide.handler import DecisionHandler
from workers.event_log.source import ReplayError
from workers.kafka.records import Record
from workers.replay.publish_decisions import own_topic
from workers.topics import apply_topics
from workers.traffic.generate import Generator


@pytest.mark.parametrize("prefix", ["", "north."])
def test_a_name_that_would_make_a_live_topic_is_refused(prefix: str) -> None:
    assert own_topic(read(topic_prefix=prefix), "draft-7") == f"{prefix}replay.draft-7.decisions"
    # Of a deployment whose prefix is "replay.", this is the topic of decisions.
    with pytest.raises(ReplayError, match=r"another deployment's authorization\.decisions"):
        own_topic(read(topic_prefix=prefix), "authorization")


@pytest.mark.parametrize("name", ["", "A", "a.b", "../x", "x" * 61, "authorization.decisions", "-x", "ä", "x\n"])
def test_a_name_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(ReplayError, match="should be letters"):
        own_topic(read(), name)


PROGRAM = """
import sys, kafka, aiokafka, workers.main.cli
made, sent = [], set()
begin, send = kafka.KafkaProducer.__init__, kafka.KafkaProducer.send
def construct(self, *a, **k): made.append(1); begin(self, *a, **k)
def note(self, topic, *a, **k): sent.add(topic); return send(self, topic, *a, **k)
def refuse(*_, **__): raise AssertionError('the producer of the live topics is constructed')
kafka.KafkaProducer.__init__, kafka.KafkaProducer.send, aiokafka.AIOKafkaProducer.__init__ = construct, note, refuse
sys.argv = ['dli', 'replay', 'what-if', *sys.argv[1:], '--processes', '1']
try: workers.main.cli.main()
except SystemExit as ended: print('ended', ended.code)
print(sorted(sent), [name for name in ('faust', 'workers.stream', 'workers.main.app') if name in sys.modules])
"""


@pytest.mark.kafka
@pytest.mark.xdist_group("broker")
def test_draft_decisions_go_to_a_marked_topic_of_their_own(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """Decisions under a draft go to a marked topic of their own, and no live topic grows."""
    found = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(found)
    with worker(found, tmp_path):
        publish(found, list(Generator(5, duplicates=0.03, malformed=0.03).lines(600)))
        assert eventually(lambda: all_committed(found))
    live = {name: offsets(found, name)[1] for name in (REQUESTS, DECISIONS, DEAD_LETTERS, ANSWERED, SHADOW)}
    draft = edited(tmp_path, *EDITS["a code delisted"])
    place = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix, "--work", str(tmp_path / "work"))
    asked = ("--policy", str(draft), "--publish", "draft-7", *place)

    ran = subprocess.run([sys.executable, "-c", PROGRAM, *asked], capture_output=True, text=True, check=False)  # noqa: S603 (our own)

    own = f"{prefix}replay.draft-7.decisions"
    written = sorted([own, found.topic(AUDIT)])
    assert ran.stdout.splitlines()[-2:] == ["ended 3", f"{written} []"], ran.stdout + ran.stderr
    assert {name: offsets(found, name)[1] for name in live} == live
    policy = Policy(load(draft))
    handler = DecisionHandler(Library([policy], policy.number), read(topic_prefix=prefix))
    expected: dict[bytes, tuple[int, Any, dict[str, bytes]]] = {}
    for one in everything_on(found, REQUESTS):
        record = Record(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value, tuple(one.headers))
        first, *_ = handler([record])
        if first.topic == found.topic(DECISIONS):
            expected.setdefault(first.key, (one.partition, json.loads(first.value), dict(first.headers)))
    there = everything_on(found, "replay.draft-7.decisions")
    assert len(there) == len(expected) == len(everything_on(found, DECISIONS))
    for one in there:
        partition, event, headers = expected[one.key]
        said = json.loads(one.value)
        assert said.pop("dlireplay") == "draft-7"
        assert (one.partition, said) == (partition, event)
        assert dict(one.headers) == {**headers, "dli-replay": b"draft-7"}

    again = dli("replay", "what-if", *asked)
    assert (again.code, f"{own}: is there already" in again.err) == (1, True)
