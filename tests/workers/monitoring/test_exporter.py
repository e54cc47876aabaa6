"""`dli exporter`: a stalled or absent worker never looks healthy, nor do brokers that do not answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events.topics import DECISIONS
from tests.support import generator
from tests.support.case_records import Written, case, line, publish_cases, written
from tests.support.commands import dli
from tests.support.running import eventually, everything_on, publish, samples, settings_for, worker
from tests.support.scrape import Scrape
from workers.accounts import account
from workers.configuration.settings import Settings, read
from workers.dev_brokers import Broker, free_ports
from workers.kafka.lag import Lag, Look
from workers.kafka.reader import Extent
from workers.monitoring.exporter import of_accounts, of_cases, of_consumers, serving
from workers.topics import apply_topics
from workers.work_list.open_cases import ACTORS, DUE
from workers.work_list.read_cases import FollowedCases, read_once


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path, exporter_port=free_ports().client)
    apply_topics.apply(made)
    return made


def test_without_brokers_it_says_so_and_tells_no_number(tmp_path: Path) -> None:
    nowhere = settings_for("127.0.0.1:1", "none.", tmp_path, exporter_port=free_ports().client)
    with serving(nowhere):
        told = samples(nowhere.exporter_port)

    assert told == {"dli_exporter_up": 0}


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    port = free_ports().client
    with serving(settings_for("127.0.0.1:1", "none.", tmp_path, exporter_port=port)):
        ran = dli("exporter", "--bootstrap", "127.0.0.1:1", "--port", str(port))

    assert (ran.code, "DLI_EXPORTER_PORT" in ran.err, "Traceback" in ran.err) == (1, True, False), ran.err


@pytest.mark.kafka
@pytest.mark.broker
def test_the_exporter_works_with_and_without_a_worker(found: Settings, tmp_path: Path) -> None:
    """Lag and accounts are reported with and without a worker."""
    lines = [generator.encode(one) for one in generator.requests(71, 200, malformed=0.1)]
    with serving(found):
        publish(found, lines)
        # On a slow broker the first look may end before it has found the oldest record; it has waited by the second.
        assert eventually(lambda: Scrape(found).seconds > 0)
        nobody = Scrape(found)
        with worker(found, tmp_path):
            assert eventually(lambda: (now := Scrape(found)).lag == 0 and now.outcome("consumed") == 200)
            decisions = len(everything_on(found, DECISIONS))
            working = Scrape(found)

    assert (nobody.up, nobody.lag, nobody.members) == (1, 200, 0)
    assert nobody.seconds > 0
    # The revisions of packaged documents wait too, and longer.
    assert nobody.all[f"kafka_consumergroup_group_max_lag_seconds group={found.app_id}"] >= nobody.seconds
    assert (working.lag, working.seconds, working.members, working.balanced) == (0, 0, 1, 1)
    assert [working.outcome(name) for name in ("decided", "duplicates", "dead_lettered")] == [decisions, 0, 20]


@pytest.mark.kafka
def test_open_cases_are_counted_as_the_work_list_counts_them(found: Settings) -> None:
    """The exporter's numbers are those of the work list at the same offsets, as cases open and close."""
    asks = case("R-2", lines=(line(1, "information_needed"),), clock_state="waiting_for_information", due_at=None)
    with serving(found):
        assert eventually(lambda: Scrape(found).all.get("dli_cases_known") == 1)
        none = Scrape(found)
        publish_cases(found, [written(case("R-1"), 0), written(asks, 1), written(case("R-3"), 0)])
        assert eventually(lambda: Scrape(found).pended == 3)
        some, board = Scrape(found), read_once(found)
        publish_cases(found, [written(case("R-1", state="final"), 0), Written(0, b"R-3", None)])
        assert eventually(lambda: Scrape(found).pended == 1)
        fewer = Scrape(found)

    assert (none.pended, none.overdue) == (0, 0)
    by_hand = {"physician_reviewer": {"overdue": 2}, "provider": {"not_due": 1}}
    for actor in ACTORS:
        for due in DUE:
            name = f"dli_work_list_requests acts_next={actor} due={due}"
            assert some.all[name] == by_hand.get(actor, {}).get(due, 0)
    assert (some.overdue, some.pended) == (2, 3)
    assert (board.counts(datetime.now(UTC)).overdue, len(board)) == (2, 3)
    for partition, offset in board.offsets.items():
        assert some.all[f"dli_cases_read_offset partition={partition}"] == offset
    assert fewer.overdue == 0


def test_nothing_is_counted_before_the_cases_are_read() -> None:
    """Before the cases are read, nothing is counted: not even that there is none."""
    told = list(of_cases(FollowedCases(read()), datetime.now(UTC)))

    assert [(one.name, [sample.value for sample in one.samples]) for one in told] == [("dli_cases_known", [0])]


def test_groups_that_do_not_consume_have_no_lag() -> None:
    """The archive's, the gateways', and those of subscribers, who may be away: nobody is to be woken for them."""
    settings = Settings()
    groups = [settings.app_id, settings.archive_group, settings.gateway_group, f"{settings.gateway_group}-1a", "theirs"]
    lags = [Lag(group, "pas.responses", 0, 1, "", Extent(0, 9, 9), 8, 90.0) for group in groups]

    shown = of_consumers(Look(lags, dict.fromkeys(groups, 0), {}, {}), settings)

    assert [lag.group for lag in shown.lags] == list(shown.members) == [settings.app_id, "theirs"]


def test_nothing_counts_as_balanced_without_requests() -> None:
    """Where there are no requests at all, nothing is said to balance."""
    [balanced] = [one for one in of_accounts([]) if one.name == "dli_accounts_balanced"]
    assert [one.value for one in balanced.samples] == [0]


@contextmanager
def flowing(found: Settings) -> Iterator[int]:
    """Requests published before and after what is done in here, in all so many."""
    lines = [generator.encode(one) for one in generator.requests(72, 600, malformed=0.02)]
    publish(found, lines[:300])
    yield len(lines)
    publish(found, lines[300:])


@pytest.mark.kafka
@pytest.mark.broker
def test_lag_rises_after_a_kill_until_another_worker_catches_up(found: Settings, tmp_path: Path) -> None:
    """When the only worker is killed, lag rises until another one brings all back to balance."""
    with serving(found):
        with worker(found, tmp_path, "first") as first:
            with flowing(found) as total:
                assert eventually(lambda: Scrape(found).outcome("consumed") == 300)
                before = Scrape(found)
                first.kill()
                first.wait()
            seen = [Scrape(found)]

            def waits_longer_after_the_session() -> bool:
                seen.append(Scrape(found))
                return seen[-1].members == 0 and seen[-1].seconds > seen[0].seconds

            assert eventually(waits_longer_after_the_session)
        with worker(found, tmp_path, "second"):
            assert eventually(lambda: (now := Scrape(found)).lag == 0 and now.outcome("consumed") == total)
            after = Scrape(found)

    assert (before.lag, before.seconds, before.members) == (0, 0, 1)
    assert [one.lag for one in seen] == [300] * len(seen)
    waited = [one.seconds for one in seen]
    assert waited == sorted(waited)
    assert seen[-1].up == 1
    assert (after.lag, after.seconds, after.members, after.balanced) == (0, 0, 1, 1)
    assert [one.problem for one in account.recount(found)] == [None] * 4


@pytest.mark.kafka
@pytest.mark.broker
def test_a_worker_without_its_broker_is_alive_and_not_ready(prefix: str, tmp_path: Path) -> None:
    """A worker whose broker is away is alive and not ready, and its numbers say so."""
    from tests.support.running import get  # noqa: PLC0415
    from workers.dev_brokers import KafkaBroker  # noqa: PLC0415

    broker: Broker
    with KafkaBroker() as broker:
        found = settings_for(broker.bootstrap, prefix, tmp_path, exporter_port=free_ports().client, stalled_seconds=4)
        apply_topics.apply(found)
        with serving(found), worker(found, tmp_path):
            publish(found, [generator.encode(one) for one in generator.requests(73, 50)])
            assert eventually(lambda: Scrape(found).outcome("consumed") == 50)
            assert isinstance(broker, KafkaBroker)
            broker.kill()
            assert eventually(lambda: not get(found, "/ready")[1]["broker"])
            away, alive, told = get(found, "/ready"), get(found, "/live"), samples(found.web_port)
            scraped = samples(found.exporter_port)
            broker.restart()
            assert eventually(lambda: get(found, "/ready")[0] == 200)
            publish(found, [generator.encode(one) for one in generator.requests(74, 50)])
            assert eventually(lambda: Scrape(found).outcome("consumed") == 100)

    assert (away[0], away[1]["ready"]) == (503, False)
    assert alive == (200, {"live": True})
    assert (told["dli_ready"], told["dli_ready_check check=broker"]) == (0, 0)
    assert scraped == {"dli_exporter_up": 0}
