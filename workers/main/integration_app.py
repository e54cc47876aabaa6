"""The Faust app of the integration process.

    pas.requests, x12.278.requests ─► ReadMessages ─► integration.submissions
    integration.submissions ─► ResolveTraces ─► authorization.requests, integration.events
                                     └────────► integration.chains, its local store
    authorization.decisions, authorization.dead-letters ─► ForwardAnswers ─► integration.events
    integration.events ─► AnswerPlatforms ─► pas.responses, x12.278.responses
                                     └─────► integration.contexts, its local store

What any of them refuses goes to authorization.dead-letters. It is a process of its own, so that no decision waits for
it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal, cast

import faust
from faust.assignor.partition_assignor import PartitionAssignor

from events.adapters.formats import FORMATS
from events.adapters.submission import Format
from events.topics import (
    CHAINS,
    CONTEXTS,
    DEAD_LETTERS,
    DECISIONS,
    INTEGRATION_EVENTS,
    REQUESTS,
    SUBMISSIONS,
)
from workers.accounts.tally import TallyListener, tallied
from workers.configuration.settings import Settings
from workers.integration.answer_platforms import AnswerPlatforms
from workers.integration.forward_answers import ForwardAnswers
from workers.integration.message_counters import count_answers, count_messages, count_submissions
from workers.integration.partners import Partners
from workers.integration.read_messages import ReadMessages
from workers.integration.resolve_traces import ResolveTraces
from workers.integration.stores import StatesByKey
from workers.kafka.connect import client
from workers.kafka.records import PartitionListener
from workers.main.app import KEPT_MS, new_app, raw_topic
from workers.monitoring import faust_sensor, health
from workers.process import private_files
from workers.state.kafka_changelog import KafkaChangelog
from workers.stream import StreamProcessor, stream_processor
from workers.topics.layout import alike_topics
from workers.topics.watch import TopicWatch


def own_settings(settings: Settings) -> Settings:
    """Those of the integration process: a group, a folder and a port of its own."""
    own = {
        "app_id": f"{settings.app_id}-integration",
        "data_dir": settings.data_dir / "integration",
        "web_port": settings.integration_port,
    }
    return settings.model_copy(update=own)


def make_integration_app(settings: Settings, partners: Partners, topic_watch: TopicWatch) -> faust.App:
    """The process's app, not yet started; `settings` are its own.

    The topic watch notifies the processor that answers.
    """
    private_files.folder(settings.data_dir)
    app = new_app(settings)
    answering = _answer(app, settings)
    topic_watch.notify(answering)
    others = [*_read(app, settings, partners), _resolve(app, settings), *_forward(app, settings)]
    faust_sensor.add_sensor(app)
    needed = health.checks(
        app,
        None,
        lambda: answering.progress,
        lambda: topic_watch.spare(cast("PartitionAssignor", app.assignor).external_topics_metadata()),
        settings.stalled_seconds,
    )
    needed["topics"] = topic_watch.topics_there
    needed["in_range"] = lambda: (
        not any(state.refused for part in (answering, *others) for state in part.progress.values())
    )
    needed["agents"] = lambda: all(part.started for processor in others for part in processor.progress.values())
    health.add_pages(app, None, needed, lambda: answering.progress, settings.stalled_seconds)
    return app


def _read(app: faust.App, settings: Settings, partners: Partners) -> Sequence[StreamProcessor]:
    return [_reader(app, settings, partners, form) for form in FORMATS]


def _reader(app: faust.App, settings: Settings, partners: Partners, form: Format) -> StreamProcessor:
    outputs = (SUBMISSIONS, DEAD_LETTERS, FORMATS[form].responses)
    return stream_processor(
        app,
        raw_topic(app, settings, FORMATS[form].requests),
        ReadMessages(form, partners, settings),
        outputs=[settings.topic(name) for name in outputs],
        delivery=settings.delivery,
        listener=TallyListener(PartitionListener(), tallied, partial(count_messages, form)),
    )


def _resolve(app: faust.App, settings: Settings) -> StreamProcessor:
    chains = StatesByKey(
        settings.data_dir / "chains", KafkaChangelog(client(settings), settings.topic(CHAINS)), KEPT_MS
    )
    outputs = (REQUESTS, INTEGRATION_EVENTS, DEAD_LETTERS, CHAINS, *_responses())
    return stream_processor(
        app,
        raw_topic(app, settings, SUBMISSIONS),
        ResolveTraces(settings, chains.find),
        outputs=[settings.topic(name) for name in outputs],
        alike=[settings.topic(CHAINS)],
        delivery=settings.delivery,
        listener=TallyListener(chains, tallied, count_submissions),
    )


def _forward(app: faust.App, settings: Settings) -> Sequence[StreamProcessor]:
    processor = partial(
        stream_processor,
        app,
        outputs=[settings.topic(INTEGRATION_EVENTS), settings.topic(DEAD_LETTERS)],
        delivery=settings.delivery,
    )
    return [
        processor(
            raw_topic(app, settings, topic),
            ForwardAnswers(by, settings),
            listener=TallyListener(PartitionListener(), tallied),
        )
        for topic, by in _ANSWERS
    ]


def _answer(app: faust.App, settings: Settings) -> StreamProcessor:
    contexts = StatesByKey(
        settings.data_dir / "contexts", KafkaChangelog(client(settings), settings.topic(CONTEXTS)), KEPT_MS
    )
    outputs = (CONTEXTS, DEAD_LETTERS, *_responses())
    return stream_processor(
        app,
        raw_topic(app, settings, INTEGRATION_EVENTS),
        AnswerPlatforms(settings, contexts.find),
        outputs=[settings.topic(name) for name in outputs],
        alike=alike_topics(settings) & {settings.topic(CONTEXTS)},
        delivery=settings.delivery,
        listener=TallyListener(contexts, tallied, count_answers),
    )


_ANSWERS: tuple[tuple[str, Literal["decision", "dead_letter"]], ...] = (
    (DECISIONS, "decision"),
    (DEAD_LETTERS, "dead_letter"),
)


def _responses() -> list[str]:
    return [form.responses for form in FORMATS.values()]
