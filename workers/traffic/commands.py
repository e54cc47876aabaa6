"""`dli generate`, `dli publish` and `dli tail`, the latter two on kafka-python."""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from events.decode import shown_request_id
from events.envelope import JSON, SPECVERSION, STRUCTURED, Attributes, Headers, loads, write
from events.request import AuthorizationRequest
from events.topics import DEAD_LETTERS, DECISIONS, POLICY_REVISIONS, REQUESTS, SHADOW
from workers import access
from workers.console import Bootstrap, CommandError, Prefix, err, lines, opened, settings, write_line
from workers.records import Outgoing
from workers.settings import Settings
from workers.traffic.generate import generate

IN_FLIGHT = 1_000
"""Records sent before the first of them must be acknowledged: bounds what an interruption leaves unknown."""
SOURCE = "/dli/publish"
KNOWN = (REQUESTS, DECISIONS, DEAD_LETTERS, SHADOW, POLICY_REVISIONS)

Events = Annotated[Path, typer.Argument(metavar="FILE|-", help="Newline-delimited requests: bare data or CloudEvents.")]


def add_to(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command()(generate)
    cli.command()(publish)
    cli.command()(tail)


def publish(file: Events, bootstrap: Bootstrap = None, topic_prefix: Prefix = None) -> None:
    """Publish every line of a file as a request, keyed by its request id; bare data gets an envelope."""
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix)
    with opened(file) as stream:
        records = [as_record(line, found.topic(REQUESTS)) for line in lines(stream)]
    with _progress() as progress:
        task = progress.add_task(f"to {found.topic(REQUESTS)}", total=len(records))
        for _ in sent(records, found):
            progress.advance(task)
    err.print(f"{len(records)} published to {found.topic(REQUESTS)}")


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=err, disable=not err.is_terminal)


def as_record(line: bytes, topic: str) -> Outgoing:
    """A line of a file as the record that a platform would publish; one that is no request goes as it is."""
    try:
        tree: Any = loads(line)
    except ValueError:
        tree = None
    if not isinstance(tree, dict):
        return Outgoing(topic, b"", line, ())
    if "specversion" in tree:
        data = tree.get("data")
        return Outgoing(topic, _key(data), line, (("content-type", STRUCTURED.encode()),))
    request_id = shown_request_id(tree)
    if request_id is None:
        return Outgoing(topic, b"", line, ())
    value, headers = write(_envelope(request_id), line, "structured")
    return Outgoing(topic, request_id.encode(), value, headers)


def _key(data: Any) -> bytes:
    return (shown_request_id(data) or "").encode()


def _envelope(request_id: str) -> Attributes:
    return Attributes(
        id=request_id,
        source=SOURCE,
        specversion=SPECVERSION,
        type=AuthorizationRequest.TYPE,
        subject=request_id,
        datacontenttype=JSON,
    )


def sent(records: Iterable[Outgoing], found: Settings) -> Iterator[Outgoing]:
    """Send records, each yielded once the broker has it.

    Raises:
        CommandError: The broker does not answer or gives no right; what was yielded before is there.
        RefusedError: The cluster does not let us in.
    """
    access.check(found)
    try:
        producer = KafkaProducer(**access.client(found), acks="all", enable_idempotence=True, linger_ms=5)
    except KafkaError as error:
        raise _unreachable(found, error) from None
    try:
        waiting: list[tuple[Outgoing, Any]] = []
        for record in records:
            future = producer.send(record.topic, record.value, key=record.key or None, headers=_headers(record.headers))
            waiting.append((record, future))
            if len(waiting) >= IN_FLIGHT:
                yield from _acknowledged(waiting)
        yield from _acknowledged(waiting)
    except KafkaError as error:
        raise _unreachable(found, error) from None
    finally:
        producer.close(timeout=10)


def _acknowledged(waiting: list[tuple[Outgoing, Any]]) -> Iterator[Outgoing]:
    for record, future in waiting:
        future.get(timeout=30)
        yield record
    waiting.clear()


def _headers(headers: Headers) -> list[tuple[str, bytes]]:
    return list(headers)


def _unreachable(found: Settings, error: KafkaError) -> CommandError:
    return CommandError(f"{access.explained(found, error)} `dli topics check` compares the topics.")


def tail(
    topic: Annotated[str, typer.Argument(help=f"One of {', '.join(KNOWN)}, or any topic's full name.")],
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="All that is kept, not only what is new.")
    ] = False,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop at the end instead of waiting for more.")
    ] = False,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="Stop after this many.")] = None,
) -> None:
    """Print a topic's values as they arrive, one per line; joins no group and commits nothing."""
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix)
    name = found.topic(topic) if topic in KNOWN else topic
    try:
        for number, record in enumerate(read(name, found, from_beginning=from_beginning, until_end=until_end), start=1):
            write_line(record.value or b"")
            if number == count:
                return
    except KeyboardInterrupt:
        sys.stdout.flush()
    except KafkaError as error:
        raise _unreachable(found, error) from None


def read(
    name: str, found: Settings, *, from_beginning: bool, until_end: bool, stopped: Callable[[], bool] = lambda: False
) -> Iterator[Any]:
    """Records of every partition of a topic as they come, committed ones only, until `stopped` says so.

    Raises:
        CommandError: There is no such topic.
        RefusedError: The cluster does not let us in.
    """
    access.check(found)
    consumer = KafkaConsumer(
        **access.client(found),
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        allow_auto_create_topics=False,
    )
    try:
        numbers = consumer.partitions_for_topic(name)
        if not numbers:
            raise CommandError(f"no topic {name} at {found.bootstrap}, or no right to it; see `dli topics check`")
        partitions = [TopicPartition(name, number) for number in sorted(numbers)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions) if from_beginning else consumer.seek_to_end(*partitions)
        ends = consumer.end_offsets(partitions) if until_end else {}
        while not stopped() and (not until_end or any(consumer.position(one) < ends[one] for one in partitions)):
            for records in consumer.poll(timeout_ms=500).values():
                yield from records
    finally:
        consumer.close()
