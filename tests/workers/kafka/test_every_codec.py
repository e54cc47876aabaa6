"""Topics and producers choose their codecs, and each of our readers reads what they chose."""

import asyncio
import json
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from threading import Event, Thread

import pytest
from aiokafka import AIOKafkaProducer
from kafka import KafkaProducer

from events.topics import DEAD_LETTERS, DECISIONS, REQUESTS, TOPICS
from tests.support import generator
from tests.support.commands import dli
from tests.support.kafka_tools import run
from tests.support.running import eventually, everything_on, settings_for, worker
from tests.support.scrape import Scrape
from workers.configuration.settings import Settings
from workers.dashboard.data.consumer import Reader
from workers.dev_brokers import free_ports
from workers.kafka.records import OutgoingRecord
from workers.monitoring.exporter import serving
from workers.topics import apply_topics
from workers.traffic.commands import as_record

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("broker")]

ITEMS = list(generator.requests(90, 60, malformed=0.2))
GOOD = sum(generator.kind_of(one) is None for one in ITEMS)
BAD = len(ITEMS) - GOOD


CODECS = (None, "gzip", "snappy", "lz4", "zstd")


@pytest.fixture(
    params=[
        pytest.param((None,), id="producers choose"),
        pytest.param(CODECS[1:], id="each topic another"),
        *[pytest.param((codec,), id=f"all topics {codec}", marks=pytest.mark.kafka) for codec in CODECS[1:]],
    ]
)
def found(request: pytest.FixtureRequest, bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    """Topics with what each producer chose, each with a codec of its own, or all with the same."""
    made = settings_for(bootstrap, prefix, tmp_path, exporter_port=free_ports().client)
    apply_topics.apply(made)
    with apply_topics.admin(made) as client:
        for topic, codec in zip(TOPICS, cycle(request.param)):
            if codec is not None:
                apply_topics.set_on_topic(client, made.topic(topic.name), {"compression.type": codec})
    return made


async def _by_aiokafka(found: Settings, codec: str | None, records: Sequence[OutgoingRecord]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=found.bootstrap, compression_type=codec, linger_ms=20) as producer:
        sent = [await producer.send(one.topic, one.value, key=one.key, headers=list(one.headers)) for one in records]
        await asyncio.gather(*sent)


def _by_kafka_python(found: Settings, codec: str | None, records: Sequence[OutgoingRecord]) -> None:
    producer = KafkaProducer(bootstrap_servers=found.bootstrap.split(","), compression_type=codec, linger_ms=20)
    sent = [producer.send(one.topic, one.value, key=one.key, headers=list(one.headers)) for one in records]
    for one in sent:
        one.get(30)
    producer.close()


def publish(found: Settings) -> None:
    """Requests by producers that are none of ours, with every codec."""
    records = [as_record(generator.encode(one), found.topic(REQUESTS)) for one in ITEMS]
    records = [one if one.key else one._replace(key=b"none") for one in records]
    for number, codec in enumerate(CODECS):
        share = records[number :: len(CODECS)]
        asyncio.run(_by_aiokafka(found, codec, share[::2]))
        _by_kafka_python(found, codec, share[1::2])


def counted_by_the_dashboard(found: Settings) -> tuple[int, int, int]:
    """Decisions, dead letters and unreadable records, once it has read all."""
    reader, over = Reader(found), Event()
    thread = Thread(target=reader.run, args=(over,), daemon=True)
    thread.start()
    try:
        assert eventually(lambda: reader.progress.begun and reader.progress.behind == 0)
        return reader.counters.decisions, sum(reader.counters.letters.values()), reader.progress.unreadable
    finally:
        over.set()
        thread.join()


def test_each_reader_reads_every_codec_of_topics_and_producers(found: Settings, tmp_path: Path) -> None:
    with serving(found), worker(found, tmp_path):
        publish(found)
        assert eventually(lambda: (now := Scrape(found)).lag == 0 and now.outcome("consumed") == len(ITEMS))
        scraped = Scrape(found)
        decisions, letters = everything_on(found, DECISIONS), everything_on(found, DEAD_LETTERS)
        web = ("--url", f"http://{found.web_host}:{found.web_port}")
        name = decisions[0].key.decode()
        assert eventually(lambda: run(found, "trace", name, *web).code == 0)
        traced = run(found, "trace", name, *web, "-o", "json")
    # Another worker, that has lost its disk, reads back what it remembers; so nothing is answered again.
    lost = settings_for(found.bootstrap, found.topic_prefix, tmp_path / "lost", exporter_port=found.exporter_port)
    (tmp_path / "lost").mkdir()
    with serving(lost), worker(lost, tmp_path, "lost"):
        publish(found)
        assert eventually(lambda: (now := Scrape(lost)).lag == 0 and now.outcome("consumed") == 2 * len(ITEMS))
        repeated = Scrape(lost)

    assert (len(decisions), len(letters)) == (GOOD, BAD)
    assert (scraped.up, scraped.balanced, repeated.balanced) == (1, 1, 1)
    assert (scraped.pended > 0, repeated.outcome("duplicates")) == (True, GOOD)
    [chained] = json.loads(traced.out)["chain"]
    assert chained["answers"][0]["data"]["request_id"] == name
    assert counted_by_the_dashboard(found) == (GOOD, 2 * BAD, 0)
    recounted = run(found, "accounts", "--app-id", found.app_id, "--recount")
    assert (recounted.code, "the recount agrees" in recounted.out) == (0, True), recounted.out + recounted.err
    listed = run(found, "dead-letters", "list", "-o", "jsonl")
    assert (listed.code, len(listed.out.splitlines())) == (0, 2 * BAD), listed.err
    kept = run(found, "archive", str(tmp_path / "kept"))
    assert (kept.code, dli("replay", "check", str(tmp_path / "kept")).code) == (0, 0), kept.err
    for place in (("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix), (str(tmp_path / "kept"),)):
        verified = dli("replay", "verify", *place, "--work", str(tmp_path / "work"))
        assert verified.code == 0, verified.out + verified.err
