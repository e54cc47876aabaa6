"""Dead letters for operators: listing, showing with personal data masked, and sending again.

A re-driven event has the original topic, partition, key, value and headers, plus

    dli-redriven        how many times it has been sent again
    dli-redriven-from   the dead letter that it was sent again from

Why it cannot loop, be sent twice for one letter, or change an answer:

* If it fails again, the new dead letter carries these headers; the number of tries is limited.
* Before sending, the topic is searched for records already sent from these letters. All sending uses one transactional
  id, so that of two concurrent runs the earlier is fenced and its last batch is aborted.
* A conflicting duplicate is never sent again: its request has been answered. Any other request answered meanwhile is
  detected as a duplicate.
"""

import json
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from kafka import KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from pydantic import SecretStr, ValidationError

from events.dead_letter import DeadLetter
from events.envelope import Headers, binary_attributes, header, is_binary, loads
from events.field_paths import UNDECLARED, declared_names
from events.request import AuthorizationRequest
from events.topics import DEAD_LETTERS, REQUESTS
from workers.kafka import connect
from workers.kafka.reader import (
    Span,
    StrangeError,
    data_of,
    headers_of,
    kafka_errors,
    kept,
    log_skipped,
    new_admin,
    new_consumer,
    records,
    spans,
    written_at,
)
from workers.settings import Settings

log = structlog.get_logger(__name__)

TRIES = "dli-redriven"
FROM = "dli-redriven-from"
MOST_TRIES = 3
"""The default limit of tries per event."""
AT_ONCE = 500
"""Letters per transaction."""
CLOCKS_APART_MS = 3_600_000
"""The tolerated clock difference between workers and operators when searching for earlier sends."""

ANSWERED: Mapping[str, str] = {
    "conflicting_duplicate": "its request was answered, and the first answer stands: use a new request id",
    "circular_link": "its request was answered, and the answer stands: there is nothing to send again",
}
"""Reasons of letters that are never sent again, because their request was answered."""


class StoredDeadLetter(NamedTuple):
    """One dead letter as stored on its topic."""

    id: str
    """Its event id; the same record rejected for the same reason has the same id."""
    written: datetime
    content: DeadLetter

    @property
    def headers(self) -> Headers:
        """The original record's headers."""
        return tuple((header.name, _bytes(header.value_base64)) for header in self.content.original.headers)

    @property
    def value(self) -> bytes | None:
        """The original record's value, possibly truncated."""
        return _bytes(self.content.original.value_base64)

    @property
    def tries(self) -> int:
        """How many times the event had been sent again before it failed."""
        text = header(self.headers, TRIES) or "0"
        return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else 0


class Plan(NamedTuple):
    """What happens to one letter."""

    letter: StoredDeadLetter
    refusal: str | None
    """Why it is not sent again; None if it is."""
    done: bool = False
    """Whether it was sent again before."""


def letters(settings: Settings, reason: str | None = None) -> Iterator[StoredDeadLetter]:
    """Every stored dead letter once, for one reason or all. Invalid records are skipped with a log line.

    Raises:
        ReadingError: The brokers do not respond.
        AccessRefusedError: The cluster refuses us.
    """
    seen: set[str] = set()
    for record in records(settings, kept(settings, [settings.topic(DEAD_LETTERS)])):
        try:
            letter = read_letter(record)
        except StrangeError as error:
            log_skipped(record, error)
            continue
        if letter.id not in seen and reason in {None, letter.content.reason}:
            seen.add(letter.id)
            yield letter


def read_letter(record: ConsumerRecord) -> StoredDeadLetter:
    """Parse a record of the dead-letter topic.

    Raises:
        StrangeError: It is not a dead letter.
    """
    headers = headers_of(record)
    data = data_of(record.value)
    event_id = binary_attributes(headers).get("id") if is_binary(headers) else loads(record.value).get("id")
    if not isinstance(event_id, str):
        raise StrangeError("it has no id")
    try:
        content = DeadLetter.model_validate_json(json.dumps(data))
    except ValidationError as error:
        # An undeclared field may have any name.
        wrong = {problem["loc"][0] for problem in error.errors() if problem["loc"]} & set(DeadLetter.model_fields)
        named = ", ".join(sorted(map(str, wrong))) or "others"
        raise StrangeError(f"it has not the fields of a dead letter ({named})") from None
    letter = StoredDeadLetter(event_id, written_at(record), content)
    try:
        _ = letter.headers, letter.value, _bytes(content.original.key_base64)
    except ValueError:
        raise StrangeError("what it keeps of a record is not in base64") from None
    return letter


def _bytes(personal: SecretStr | None) -> bytes | None:
    return None if personal is None else b64decode(personal.get_secret_value())


# --- sending again ----------------------------------------------------------------------------------------------------


def planned(settings: Settings, chosen: Sequence[StoredDeadLetter], most_tries: int = MOST_TRIES) -> list[Plan]:
    """What would happen to these letters.

    Raises:
        ReadingError: The brokers do not respond.
        AccessRefusedError: The cluster refuses us.
    """
    before = sent_before(settings, chosen)
    return [
        Plan(letter, "sent again before", done=True)
        if letter.id in before
        else Plan(letter, refusal(letter, settings, most_tries))
        for letter in chosen
    ]


def refusal(letter: StoredDeadLetter, settings: Settings, most_tries: int = MOST_TRIES) -> str | None:
    """Why a letter is not sent again; None if it may be."""
    reason = letter.content.reason
    if reason in ANSWERED:
        return ANSWERED[reason]
    if letter.tries >= most_tries:
        return f"it was sent again {letter.tries} times already and failed each time (--tries allows more)"
    return _lacking(letter, settings)


def _lacking(letter: StoredDeadLetter, settings: Settings) -> str | None:
    """What a letter lacks of its original event; None if it is complete."""
    original = letter.content.original
    # Kafka supports both, but the client used here supports neither.
    odd = any(header.name_base64 is not None or header.value_base64 is None for header in original.headers)
    cut = " and ".join(original.cut)
    checks = (
        (original.topic != settings.topic(REQUESTS), "it is no request: publish it anew where it came from"),
        (original.last_offset is not None, "it stands for what cannot be read: there is no event to send"),
        (bool(cut), f"it carries only the beginning of its {cut}: publish it anew"),
        (letter.value is None, "it has no value: there is nothing to send"),
        (
            odd,
            "a header of it has no value, or a name that is not UTF-8, and is not sent from here: publish it anew",
        ),
    )
    return next((sentence for lacking, sentence in checks if lacking), None)


def sent_before(settings: Settings, chosen: Sequence[StoredDeadLetter]) -> set[str]:
    """The ids of the letters whose events were already sent again.

    Raises:
        ReadingError: The brokers do not respond.
        AccessRefusedError: The cluster refuses us.
    """
    wanted = {letter.id for letter in chosen}
    oldest: dict[TopicPartition, int] = {}
    for letter in chosen:
        if letter.content.original.topic == settings.topic(REQUESTS) and letter.content.original.partition is not None:
            place = TopicPartition(letter.content.original.topic, letter.content.original.partition)
            since = round(letter.written.timestamp() * 1000) - CLOCKS_APART_MS
            oldest[place] = min(oldest.get(place, since), since)
    if not oldest:
        return set()
    with kafka_errors(settings):
        span = _since(settings, oldest)
    causes = (header(headers_of(record), FROM) for record in records(settings, span))
    return {cause for cause in causes if cause in wanted}


def _since(settings: Settings, oldest: dict[TopicPartition, int]) -> dict[TopicPartition, Span]:
    """The offsets of each partition from a time on."""
    admin, consumer = new_admin(settings), new_consumer(settings)
    try:
        there = spans(admin, list(oldest))
        firsts = consumer.offsets_for_times(oldest)
        return {tp: span._replace(beginning=firsts[tp].offset) for tp, span in there.items() if firsts.get(tp)}
    finally:
        consumer.close()
        admin.close()


def redrive(settings: Settings, chosen: Sequence[StoredDeadLetter], most_tries: int = MOST_TRIES) -> list[Plan]:
    """Send letters' events again and return the results; repeatable, since no letter is sent twice.

    Raises:
        ReadingError: The brokers do not respond, or another redrive is running.
        AccessRefusedError: The cluster refuses us.
    """
    connect.check(settings)
    with kafka_errors(settings):
        producer = KafkaProducer(
            **connect.client(settings),
            transactional_id=f"{settings.app_id}-redrive",
            acks="all",
            enable_idempotence=True,
        )
        try:
            # Ends an earlier run's transaction, so that the search below sees all its records.
            producer.init_transactions()
            plans = planned(settings, chosen, most_tries)
            send = [plan.letter for plan in plans if plan.refusal is None]
            for start in range(0, len(send), AT_ONCE):
                _send(producer, send[start : start + AT_ONCE])
        finally:
            producer.close(timeout=10)
    return plans


def _send(producer: KafkaProducer, batch: Iterable[StoredDeadLetter]) -> None:
    producer.begin_transaction()
    futures = [
        producer.send(
            plan.content.original.topic,
            plan.value,
            key=_bytes(plan.content.original.key_base64),
            headers=again(plan),
            partition=plan.content.original.partition,
        )
        for plan in batch
    ]
    producer.flush()
    for future in futures:
        future.get(timeout=30)
    producer.commit_transaction()


def again(letter: StoredDeadLetter) -> list[tuple[str, bytes]]:
    """The headers of a re-driven event."""
    own = [(name, value or b"") for name, value in letter.headers if name not in {TRIES, FROM}]
    return [*own, (TRIES, str(letter.tries + 1).encode()), (FROM, letter.id.encode())]


# --- showing ---------------------------------------------------------------------------------------------------------

MASK = "***"

_SHOWN = {
    ("specversion",): r"1\.0",
    ("type",): r"[a-z_]+(\.[a-z_]+)*\.v[0-9]+",
    ("datacontenttype",): r"application/[a-z+]+",
    ("certification",): r"[a-z]+",
    ("urgency",): r"[a-z]+",
    ("submitted_at",): r"[0-9T:Z.+-]{10,35}",
    ("member", "line_of_business"): r"[a-z_]+",
    ("diagnoses", "system"): r"[a-z0-9-]+",
    ("service_lines", "line"): r"[0-9]{1,4}",
    ("service_lines", "system"): r"[a-z0-9-]+",
    ("service_lines", "code"): r"[A-Z0-9]{1,7}",
    ("service_lines", "units"): r"[0-9]{1,6}",
    ("service_lines", "service_date"): r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    ("service_lines", "performed_on"): r"[a-z]+",
}
"""The fields of a request that are not personal, with their formats; everything else is masked, including values with
another format or an error."""


def masked(letter: StoredDeadLetter) -> Any:
    """The original event with everything possibly personal masked; only its size if it is not JSON."""
    raw = letter.value or b""
    try:
        tree = loads(raw)
    except ValueError:
        return f"{len(raw):,} bytes that are not JSON"
    if not isinstance(tree, dict):
        return MASK
    binary = is_binary(letter.headers) or "specversion" not in tree
    data = tree if binary else tree.get("data")
    shown = _masked(data, (), _faults(data))
    if binary:
        return shown
    envelope = {name: value for name, value in tree.items() if name != "data"}
    return _masked(envelope, (), set()) | {"data": shown}


def _faults(data: Any) -> set[tuple[str | int, ...]]:
    try:
        AuthorizationRequest.model_validate(data)
    except ValidationError as error:
        return {tuple(problem["loc"]) for problem in error.errors(include_url=False, include_input=False)}
    return set()


def _masked(value: Any, path: tuple[str | int, ...], faults: set[tuple[str | int, ...]]) -> Any:
    if any(path[:length] in faults for length in range(len(path) + 1)):
        return MASK
    if isinstance(value, dict):
        return {_name(name): _masked(item, (*path, name), faults) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, (*path, index), faults) for index, item in enumerate(value)]
    look = _SHOWN.get(tuple(part for part in path if isinstance(part, str)))
    return value if look is not None and value is not None and re.fullmatch(look, str(value)) else MASK


def _name(name: str) -> str:
    # An undeclared key may itself be a person's name.
    return name if name in _NAMES else UNDECLARED


_NAMES = declared_names(AuthorizationRequest) | {
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "correlationid",
    "causationid",
    "traceparent",
}
