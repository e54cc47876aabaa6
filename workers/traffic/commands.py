"""`dli generate`, `dli publish` and `dli tail`."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from kafka import TopicPartition
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from events.decode import shown_request_id
from events.envelope import JSON, SPECVERSION, STRUCTURED, Attributes, Headers, loads, write
from events.field_types import is_instant
from events.request import AuthorizationRequest
from events.topics import (
    DEAD_LETTERS,
    DECISIONS,
    LARGEST_RECORD,
    PAS_REQUESTS,
    PAS_RESPONSES,
    POLICY_REVISIONS,
    REQUESTS,
    SHADOW,
    X12_REQUESTS,
    X12_RESPONSES,
)
from workers.audit.record_acts import acting
from workers.configuration.command_options import Bootstrap, Events, Prefix, settings
from workers.configuration.settings import Settings
from workers.console.exit_codes import CommandError, Exit
from workers.console.printing import err, write_line, write_lines
from workers.console.streams import nobody_reads
from workers.event_log import json_files
from workers.kafka import clients, reader
from workers.kafka.connect import LONG_PATIENCE
from workers.kafka.errors import ReadingError
from workers.kafka.records import OutgoingRecord
from workers.process import private_files
from workers.traffic.generate import Generator
from workers.traffic.platform_messages import interchange_text, message_record

IN_FLIGHT = 1_000
"""Maximum unacknowledged records, which limits uncertainty after an interruption."""
SENDING: dict[str, Any] = {"linger_ms": 5, "max_request_size": LARGEST_RECORD}
RECORD_OVERHEAD = 1_024
"""An upper bound of a record's overhead beyond key and value."""
SOURCE = "/dli/publish"
PLATFORMS = (PAS_REQUESTS, PAS_RESPONSES, X12_REQUESTS, X12_RESPONSES)
KNOWN = (REQUESTS, DECISIONS, DEAD_LETTERS, SHADOW, POLICY_REVISIONS, *PLATFORMS)


def add_commands(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command()(generate)
    cli.command()(publish)
    cli.command()(tail)


# --- generate --------------------------------------------------------------------------------------------------------


def generate(
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="The number of lines.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same bytes.")] = 1,
    out: Annotated[Path | None, typer.Option("--out", help="A new file; by default, standard output.")] = None,
    duplicates: Annotated[
        float, typer.Option(min=0, max=1, help="Share of lines that repeat an earlier line.")
    ] = 0.005,
    conflicts: Annotated[
        float, typer.Option(min=0, max=1, help="Share of lines with an earlier id and other content.")
    ] = 0.0,
    malformed: Annotated[float, typer.Option(min=0, max=1, help="Share of lines that are not valid requests.")] = 0.0,
) -> None:
    """Generate synthetic requests, one per line, to publish or to decide."""
    if duplicates + conflicts + malformed > 1:
        raise CommandError("--duplicates, --conflicts and --malformed together are more than all lines")
    made = Generator(seed, duplicates=duplicates, conflicts=conflicts, malformed=malformed)
    if out is None:
        _write_all(takewhile(lambda _: not nobody_reads(), made.lines(count)), sys.stdout.buffer)
        if nobody_reads():
            raise typer.Exit(Exit.UNREAD)
        return
    try:
        with private_files.opened(out, "xb") as stream:
            _write_all(made.lines(count), stream)
    except FileExistsError:
        raise CommandError(f"{out}: is there already, and is not written over") from None
    except OSError as error:
        raise CommandError(f"{out}: {error.strerror}") from None


def _write_all(lines: Iterator[bytes], stream: BinaryIO) -> None:
    stream.writelines(line + b"\n" for line in lines)
    stream.flush()


# --- publish ---------------------------------------------------------------------------------------------------------


def publish(
    file: Events,
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    messages: Annotated[
        bool,
        typer.Option(
            "--messages", help="The file is a platform's own message: a FHIR PAS Bundle, or an X12 278 interchange."
        ),
    ] = False,
    partner: Annotated[
        str | None, typer.Option("--partner", help="With --messages: the name of the trading partner that sends it.")
    ] = None,
) -> None:
    """Publish every event of a file as a request, keyed by its request id; bare data gets an envelope.

    An unreadable file is refused before anything is published; standard input is published as it arrives. Exit code 3
    if an event is too large for Kafka: it is named, and the others are published.

    With `--messages` the file is sent as it is, to `pas.requests` or `x12.278.requests`; without `--partner`,
    `dli integration` tells the partner by the interchange's sender, or takes its only one.
    """
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix)
    if messages:
        _publish_message(message_record(file, partner, found), found)
        return
    if partner is not None:
        raise CommandError("--partner names who sends a platform's own message: add --messages")
    topic = found.topic(REQUESTS)
    total = json_files.counted(file)
    _must_have(topic, found)
    too_large: list[str] = []
    count = 0
    with acting(found, "publish", topics=(topic,), count=total) as act:
        try:
            with _progress() as progress, json_files.events(file) as events:
                task = progress.add_task(f"to {topic}", total=total)
                for _ in sent(_fitting(events, topic, too_large), found):
                    count += 1
                    progress.advance(task)
        finally:
            act.note(count=count)
    err.print(f"{count} published to {topic}")
    if too_large:
        err.print(f"not published, because larger than Kafka takes: {', '.join(too_large)}", markup=False)
        raise typer.Exit(Exit.DIFFERENT)


def _publish_message(record: OutgoingRecord, found: Settings) -> None:
    _must_have(record.topic, found)
    with acting(found, "publish", topics=(record.topic,), count=1):
        for _ in sent([record], found):
            err.print(f"1 published to {record.topic}")


def _must_have(topic: str, found: Settings) -> None:
    if (lacking := reader.lacking(found, [topic])) is not None:
        raise CommandError(f"{lacking}: nothing was published; {reader.MAKE_TOPICS}")


def _fitting(events: Iterable[json_files.Event], topic: str, too_large: list[str]) -> Iterator[OutgoingRecord]:
    """The records of events; the locations of oversized events are added to the list."""
    for event in events:
        record = as_record(event.raw, topic)
        if len(record.value) + len(record.key) + RECORD_OVERHEAD > LARGEST_RECORD:
            too_large.append(f"{event.where} ({len(event.raw):,} bytes)")
        else:
            yield record


def _progress() -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=err, disable=not err.is_terminal)


def as_record(line: bytes, topic: str) -> OutgoingRecord:
    """A line of a file as a platform's record; an invalid request is sent as it is."""
    try:
        tree: Any = loads(line)
    except ValueError:
        tree = None
    if not isinstance(tree, dict):
        return OutgoingRecord(topic, b"", line, ())
    if "specversion" in tree:
        data = tree.get("data")
        return OutgoingRecord(topic, _key(data), line, (("content-type", STRUCTURED.encode()),))
    request_id = shown_request_id(tree)
    if request_id is None:
        return OutgoingRecord(topic, b"", line, ())
    submitted_at = tree.get("submitted_at")
    time = submitted_at if isinstance(submitted_at, str) and is_instant(submitted_at) else None
    value, headers = write(_envelope(request_id), time, line, "structured")
    return OutgoingRecord(topic, request_id.encode(), value, headers)


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


def sent(records: Iterable[OutgoingRecord], found: Settings) -> Iterator[OutgoingRecord]:
    """Send records; each is yielded once the broker has it.

    Raises:
        ReadingError: The broker does not respond; records already yielded were sent, and others may have been.
        AccessRefusedError: The cluster refuses us.
    """
    try:
        with clients.producer(found, **SENDING) as producer:
            waiting: list[tuple[OutgoingRecord, Any]] = []
            for record in records:
                headers = _headers(record.headers)
                future = producer.send(record.topic, record.value, key=record.key or None, headers=headers)
                waiting.append((record, future))
                if len(waiting) >= IN_FLIGHT:
                    yield from _acknowledged(waiting)
            yield from _acknowledged(waiting)
    except ReadingError as error:
        raise _unreachable(error) from None


def _acknowledged(waiting: list[tuple[OutgoingRecord, Any]]) -> Iterator[OutgoingRecord]:
    for record, future in waiting:
        future.get(timeout=LONG_PATIENCE)
        yield record
    waiting.clear()


def _headers(headers: Headers) -> list[tuple[str, bytes | None]]:
    return list(headers)


def _unreachable(error: ReadingError) -> ReadingError:
    return ReadingError(f"{error} `dli topics check` compares the topics.")


# --- tail ------------------------------------------------------------------------------------------------------------


def tail(
    topic: Annotated[str, typer.Argument(help=f"One of {', '.join(KNOWN)}, or any topic's full name.")],
    bootstrap: Bootstrap = None,
    topic_prefix: Prefix = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="All stored records, not only new ones.")
    ] = False,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop at the end instead of waiting for more.")
    ] = False,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="Stop after this many records.")] = None,
) -> None:
    """Print a topic's values as they arrive, one per line; joins no group and commits nothing.

    An X12 interchange is printed as text, with the line breaks that it has. Another value that is not JSON is replaced
    by an object with its position.
    """
    found = settings(bootstrap=bootstrap, topic_prefix=topic_prefix)
    name = found.topic(topic) if topic in KNOWN else topic
    try:
        for number, record in enumerate(read(name, found, from_beginning=from_beginning, until_end=until_end), start=1):
            if (text := interchange_text(record.value)) is not None:
                write_lines(text)
            else:
                write_line(_line(record))
            if number == count:
                return
            if nobody_reads():
                raise typer.Exit(Exit.UNREAD)
    except KeyboardInterrupt:
        sys.stdout.flush()
    except ReadingError as error:
        raise _unreachable(error) from None


def _line(record: Any) -> bytes:
    """A record's value, or a JSON object with its position if it is not JSON."""
    try:
        loads(record.value or b"")
    except ValueError:
        what = "no value" if record.value is None else f"{len(record.value):,} bytes that are not JSON"
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        return json.dumps({"passed_over": what, **place}).encode()
    return bytes(record.value)


def read(
    name: str, found: Settings, *, from_beginning: bool, until_end: bool, stopped: Callable[[], bool] = lambda: False
) -> Iterator[Any]:
    """New committed records of a topic, from all partitions, until `stopped`.

    Raises:
        CommandError: There is no such topic.
        ReadingError: The brokers do not respond, or refuse.
        AccessRefusedError: The cluster refuses us.
    """
    # Who is behind what retention removes goes on at the end.
    with clients.consumer(found, auto_offset_reset="latest") as consumer:
        numbers = consumer.partitions_for_topic(name)
        if not numbers:
            raise CommandError(f"no topic {name} at {found.bootstrap}, or no right to it; see `dli topics check`")
        partitions = [TopicPartition(name, number) for number in sorted(numbers)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions) if from_beginning else consumer.seek_to_end(*partitions)
        ends = consumer.end_offsets(partitions) if until_end else {}
        while not stopped() and (not until_end or any(consumer.position(tp) < end for tp, end in ends.items())):
            for records in consumer.poll(timeout_ms=500).values():
                yield from records
