"""The composition root: builds the Faust app from the settings and the policies.

What runs in a worker:

    authorization.requests  ─► DecisionHandler ─► authorization.decisions, authorization.dead-letters
                                        ▲    └──► authorization.answered ─► its local store
                                        └───────────────────────────────────┘
                                        └──► authorization.shadow, if a draft is evaluated
                                        └──► authorization.case-events
    authorization.decisions ─► PointerHandler ─► authorization.ledger ─► Pointers ─► /requests/…
      and dead-letters                     └───► authorization.links  ─► Links ────► authorization.dead-letters
    authorization.verdicts  ─► ReviewRouter ───► authorization.ledger ─► Pointers ─► authorization.case-events
    authorization.case-events ─► CaseHandler ──► authorization.cases, its local store
                                        └──────► authorization.decisions, dead-letters, deadlines
    policy.revisions        ─► Follower ─► the handler's policies
                            ─► policy-history  ─► policy.attestations, its table ─► /policies/…
                                                  /live, /ready, /metrics
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from socket import gethostname
from typing import cast

import faust
from faust.assignor.partition_assignor import PartitionAssignor

from events.topics import (
    ANSWERED,
    CASE_EVENTS,
    CASES,
    DEAD_LETTERS,
    DEADLINES,
    DECISIONS,
    DECISIONS_KEPT,
    LEDGER,
    LINKS,
    REQUESTS,
    SHADOW,
    VERDICTS,
)
from workers.accounts.listener import AccountingListener
from workers.accounts.tally import TallyListener, tallied
from workers.cases.case_counters import case_counts, cases_changed, reviews_routed
from workers.cases.case_states import CaseStates
from workers.cases.handler import CaseHandler, States
from workers.cases.passing_of_time import PassingOfTime
from workers.configuration.settings import Delivery, Settings
from workers.decide.duplicates import AnsweredRequests
from workers.decide.handler import DecisionHandler
from workers.decide.shadow import Shadow
from workers.decide.writers import WRITERS, Writers
from workers.kafka.connect import client, faust_arguments
from workers.kafka.records import PartitionListener
from workers.ledger import http
from workers.ledger.barriers import Barriers
from workers.ledger.pointers import PointerHandler, Pointers
from workers.ledger.review_router import ReviewRouter
from workers.ledger.supersedes_links import Links
from workers.monitoring import faust_sensor, health, worker_port
from workers.policies import history_agent as history
from workers.policies.revision_follower import Follower
from workers.process import private_files
from workers.state.kafka_changelog import KafkaChangelog
from workers.state.request_digests import partition_of
from workers.stream import StreamProcessor, app_settings, stream_processor
from workers.topics.layout import alike_topics
from workers.topics.watch import TopicWatch

DAY_MS = 24 * 60 * 60 * 1000
KEPT_MS = DECISIONS_KEPT // timedelta(milliseconds=1)
"""How long pointers and cases are kept: as long as decisions."""


def make_app(
    settings: Settings,
    follower: Follower,
    topic_watch: TopicWatch,
    shadow: Shadow | None = None,
    writers: Writers = WRITERS,
) -> faust.App:
    """A worker's app, not yet started; it decides under the follower's policies, with an optional shadow.

    The topic watch notifies its request stream processor. The newest writer writes its decisions.
    """
    private_files.folder(settings.data_dir)
    app = new_app(settings)
    memory = AnsweredRequests(
        settings.data_dir / "answered",
        KafkaChangelog(client(settings), settings.topic(ANSWERED)),
        settings.duplicates_kept_days * DAY_MS,
    )
    accounting = AccountingListener(memory, settings.topic(DECISIONS), settings.topic(DEAD_LETTERS))
    handler = DecisionHandler(follower, settings, memory, shadow, writers)
    requests = stream_processor(
        app,
        raw_topic(app, settings, REQUESTS),
        handler,
        # Include the shadow's topic even without a shadow: another worker may have left a pending transaction there.
        outputs=[settings.topic(name) for name in (DECISIONS, DEAD_LETTERS, ANSWERED, SHADOW, CASE_EVENTS)],
        alike=alike_topics(settings),
        delivery=settings.delivery,
        listener=accounting,
    )
    topic_watch.notify(requests)
    ledger = [*_keep_ledger(app, settings, behind=requests), _keep_cases(app, settings, follower, behind=requests)]
    history.add_agent(app, settings, follower)
    faust_sensor.add_sensor(app)
    needed = health.checks(
        app,
        follower,
        lambda: requests.progress,
        lambda: topic_watch.spare(cast("PartitionAssignor", app.assignor).external_topics_metadata()),
        settings.stalled_seconds,
    )
    needed["topics"] = topic_watch.topics_there
    needed["revisions"] = lambda: follower.behind_seconds < settings.stalled_seconds
    # Every processor counts: a refused ledger partition would otherwise go unnoticed.
    needed["in_range"] = lambda: (
        not any(state.refused for part in (requests, *ledger) for state in part.progress.values())
    )
    needed["ledger"] = lambda: all(part.started for processor in ledger for part in processor.progress.values())
    health.add_pages(app, follower, needed, lambda: requests.progress, settings.stalled_seconds)
    return app


def new_app(settings: Settings) -> faust.App:
    """An app with nothing in it yet but its web server."""
    app = faust.App(
        settings.app_id,
        **faust_arguments(settings),
        store="memory://",
        datadir=str(settings.data_dir),
        web_host=settings.web_host,
        web_bind=settings.web_host,
        web_port=settings.web_port,
        canonical_url=f"http://{_reached_by(settings)}:{settings.web_port}",
        consumer_group_instance_id=settings.instance,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 4,
        broker_rebalance_timeout=3 * settings.session_timeout_seconds,
        topic_replication_factor=settings.replication_factor,
        topic_allow_declare=True,
        **app_settings(),
    )
    worker_port.set_web_server(app, settings)
    return app


def _reached_by(settings: Settings) -> str:
    """The host by which others reach this worker; the host name if it listens on all addresses."""
    if settings.web_name is not None:
        return settings.web_name
    return gethostname() if settings.web_host in {"0.0.0.0", "::"} else settings.web_host  # noqa: S104 (compared, not bound)


def raw_topic(app: faust.App, settings: Settings, name: str) -> faust.TopicT:
    """A declared topic, its records as bytes."""
    return app.topic(settings.topic(name), key_serializer="raw", value_serializer="raw")


def _keep_ledger(app: faust.App, settings: Settings, behind: StreamProcessor) -> list[StreamProcessor]:
    """The ledger agent: requests have priority; its pointers may repeat harmlessly, its dead letters do not."""
    folder, log = settings.data_dir, partial(KafkaChangelog, client(settings))
    pointers = Pointers(settings, folder / "ledger", log(settings.topic(LEDGER)), KEPT_MS)
    links = Links(settings, folder / "links", log(settings.topic(LINKS)))
    http.add_pages(app, settings, http.Ledger(pointers, links))
    source = partial(raw_topic, app, settings)
    processor = partial(stream_processor, app, behind=behind)
    letters, events = settings.topic(DEAD_LETTERS), settings.topic(CASE_EVENTS)
    placed = partial(processor, place=partition_of, alike=alike_topics(settings))
    pointing = partial(
        placed,
        handler=PointerHandler(settings),
        outputs=[settings.topic(LEDGER), settings.topic(LINKS), letters],
        delivery=Delivery.AT_LEAST_ONCE,
    )
    barriers = Barriers(settings, lambda: pointers.ready, pointers.last_waiting, _sender(source(LEDGER)))
    app.task(barriers.run)
    return [
        pointing(source(DECISIONS)),
        pointing(source(DEAD_LETTERS)),
        pointing(source(DEADLINES)),
        placed(
            source(VERDICTS),
            ReviewRouter(settings),
            outputs=[settings.topic(LEDGER), letters],
            delivery=settings.delivery,
            listener=TallyListener(PartitionListener(), tallied, reviews_routed),
        ),
        processor(
            source(LEDGER),
            pointers,
            outputs=[letters, events],
            delivery=settings.delivery,
            listener=TallyListener(pointers, tallied),
        ),
        processor(source(LINKS), links, outputs=[letters, events], delivery=settings.delivery, listener=links),
    ]


def _keep_cases(app: faust.App, settings: Settings, follower: Follower, behind: StreamProcessor) -> StreamProcessor:
    """The case agent: requests have priority over it."""
    changelog = KafkaChangelog(client(settings), settings.topic(CASES))
    outputs = [settings.topic(name) for name in (DECISIONS, DEAD_LETTERS, DEADLINES, LEDGER)]
    states = CaseStates(settings.data_dir / "cases", changelog, KEPT_MS, first=frozenset(outputs))
    time_passes = PassingOfTime(
        settings, lambda: states.ready, states.next_due, _sender(raw_topic(app, settings, CASE_EVENTS))
    )
    app.task(time_passes.run)
    return stream_processor(
        app,
        raw_topic(app, settings, CASE_EVENTS),
        CaseHandler(follower, settings, States(states.find, states.due)),
        outputs=[*outputs, settings.topic(CASES)],
        # Into the ledger by the request that it concerns, not beside its source.
        alike=alike_topics(settings) - {settings.topic(LEDGER)},
        delivery=settings.delivery,
        listener=TallyListener(states, case_counts, cases_changed),
        behind=behind,
    )


def _sender(topic: faust.TopicT) -> Callable[[int, bytes], Awaitable[None]]:
    """Writes a value into a partition of a topic, acknowledged."""

    async def send(partition: int, value: bytes) -> None:
        await (await topic.send(key=b"", value=value, partition=partition))

    return send
