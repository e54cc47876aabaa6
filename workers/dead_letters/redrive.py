"""Dead letters for operators: found, shown without what is personal, and re-driven: sent again where they came from.

A re-driven event is the event that came: same topic, partition, key, value and headers, and beside them

    dli-redriven        how many times it has been sent again
    dli-redriven-from   the dead letter that it was sent again from

Why it cannot loop, nor be sent twice for one letter, nor change an answer:

* What fails again is a new dead letter, which carries these headers; past so many tries it is not sent again.
* Before anything is sent, the topic is read for records that these letters brought about already. Who sends does so in
  transactions of one name, so that of two at once the earlier is fenced and nothing of its last batch shows.
* A conflicting duplicate is never sent again: its request has its answer. Whatever else has been answered meanwhile
  meets the memory of duplicates, as any request does.
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
"""Times that one event is sent again, unless told otherwise."""
AT_ONCE = 500
"""Letters of one transaction."""
CLOCKS_APART_MS = 3_600_000
"""How far the clocks of workers and operators may be apart, where the topic is read for what was sent again."""

ANSWERED: Mapping[str, str] = {
    "conflicting_duplicate": "its request was answered, and the first answer stands: use a new request id",
    "circular_link": "its request was answered, and the answer stands: there is nothing to send again",
}
"""Why a letter whose request has its answer is never sent again, by its reason."""


class StoredDeadLetter(NamedTuple):
    """One dead letter as it stands on its topic."""

    id: str
    """Its event id: the same record, rejected for the same reason, is the same letter."""
    written: datetime
    content: DeadLetter

    @property
    def headers(self) -> Headers:
        """The original record's."""
        return tuple((one.name, _bytes(one.value_base64)) for one in self.content.original.headers)

    @property
    def value(self) -> bytes | None:
        """The original record's, or as much of it as the letter could carry."""
        return _bytes(self.content.original.value_base64)

    @property
    def tries(self) -> int:
        """How many times the event had been sent again when it failed."""
        text = header(self.headers, TRIES) or "0"
        return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else 0


class Plan(NamedTuple):
    """What becomes of one letter."""

    letter: StoredDeadLetter
    refusal: str | None
    """Why it is not sent again; None where it is."""
    done: bool = False
    """That it was sent again before."""


def letters(settings: Settings, reason: str | None = None) -> Iterator[StoredDeadLetter]:
    """Every dead letter that is kept, each once, of one reason or of all. What is none is passed over, with a log line.

    Raises:
        ReadingError: The brokers do not answer.
        AccessRefusedError: The cluster does not let us in.
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
    """The letter in a record of the topic of dead letters.

    Raises:
        StrangeError: It is none.
    """
    headers = headers_of(record)
    data = data_of(record.value)
    event_id = binary_attributes(headers).get("id") if is_binary(headers) else loads(record.value).get("id")
    if not isinstance(event_id, str):
        raise StrangeError("it has no id")
    try:
        content = DeadLetter.model_validate_json(json.dumps(data))
    except ValidationError as error:
        # A field that nobody declared may have any name.
        wrong = {one["loc"][0] for one in error.errors() if one["loc"]} & set(DeadLetter.model_fields)
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


# --- sent again ----------------------------------------------------------------------------------------------------


def planned(settings: Settings, chosen: Sequence[StoredDeadLetter], most_tries: int = MOST_TRIES) -> list[Plan]:
    """What would become of these letters.

    Raises:
        ReadingError: The brokers do not answer.
        AccessRefusedError: The cluster does not let us in.
    """
    before = sent_before(settings, chosen)
    return [
        Plan(one, "sent again before", done=True) if one.id in before else Plan(one, refusal(one, settings, most_tries))
        for one in chosen
    ]


def refusal(letter: StoredDeadLetter, settings: Settings, most_tries: int = MOST_TRIES) -> str | None:
    """Why a letter is not sent again; None where it may be."""
    reason = letter.content.reason
    if reason in ANSWERED:
        return ANSWERED[reason]
    if letter.tries >= most_tries:
        return f"it was sent again {letter.tries} times already and failed each time (--tries allows more)"
    return _lacking(letter, settings)


def _lacking(letter: StoredDeadLetter, settings: Settings) -> str | None:
    """What a letter lacks of the event that came; None where it has all of it."""
    original = letter.content.original
    # Kafka has both, but the client that sends letters again has neither.
    odd = any(one.name_base64 is not None or one.value_base64 is None for one in original.headers)
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
    """The ids of those letters whose events stand on the topic again.

    Raises:
        ReadingError: The brokers do not answer.
        AccessRefusedError: The cluster does not let us in.
    """
    wanted = {one.id for one in chosen}
    oldest: dict[TopicPartition, int] = {}
    for one in chosen:
        if one.content.original.topic == settings.topic(REQUESTS) and one.content.original.partition is not None:
            place = TopicPartition(one.content.original.topic, one.content.original.partition)
            since = round(one.written.timestamp() * 1000) - CLOCKS_APART_MS
            oldest[place] = min(oldest.get(place, since), since)
    if not oldest:
        return set()
    with kafka_errors(settings):
        span = _since(settings, oldest)
    causes = (header(headers_of(record), FROM) for record in records(settings, span))
    return {cause for cause in causes if cause in wanted}


def _since(settings: Settings, oldest: dict[TopicPartition, int]) -> dict[TopicPartition, Span]:
    """What is kept of each partition from a time on."""
    admin, consumer = new_admin(settings), new_consumer(settings)
    try:
        there = spans(admin, list(oldest))
        firsts = consumer.offsets_for_times(oldest)
        return {tp: span._replace(beginning=firsts[tp].offset) for tp, span in there.items() if firsts.get(tp)}
    finally:
        consumer.close()
        admin.close()


def redrive(settings: Settings, chosen: Sequence[StoredDeadLetter], most_tries: int = MOST_TRIES) -> list[Plan]:
    """Send letters' events again; what became of each. Interrupted, it can be begun anew: no letter is sent twice.

    Raises:
        ReadingError: The brokers do not answer, or another one sends letters again at the same time.
        AccessRefusedError: The cluster does not let us in.
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
            # Ends whatever an earlier one left open, so that the look at the topic sees all there will be of it.
            producer.init_transactions()
            plans = planned(settings, chosen, most_tries)
            send = [one.letter for one in plans if one.refusal is None]
            for start in range(0, len(send), AT_ONCE):
                _send(producer, send[start : start + AT_ONCE])
        finally:
            producer.close(timeout=10)
    return plans


def _send(producer: KafkaProducer, batch: Iterable[StoredDeadLetter]) -> None:
    producer.begin_transaction()
    futures = [
        producer.send(
            one.content.original.topic,
            one.value,
            key=_bytes(one.content.original.key_base64),
            headers=again(one),
            partition=one.content.original.partition,
        )
        for one in batch
    ]
    producer.flush()
    for future in futures:
        future.get(timeout=30)
    producer.commit_transaction()


def again(letter: StoredDeadLetter) -> list[tuple[str, bytes]]:
    """The headers of a letter's event when it is sent again."""
    own = [(name, value or b"") for name, value in letter.headers if name not in {TRIES, FROM}]
    return [*own, (TRIES, str(letter.tries + 1).encode()), (FROM, letter.id.encode())]


# --- shown ---------------------------------------------------------------------------------------------------------

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
"""What of a request leads to nobody, and how it looks; everything else is masked, and so is whatever has no such look
or is at fault: it may be anything."""


def masked(letter: StoredDeadLetter) -> Any:
    """The original event with all that may be personal masked; only its size where it is no JSON."""
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
        return {tuple(one["loc"]) for one in error.errors(include_url=False, include_input=False)}
    return set()


def _masked(value: Any, path: tuple[str | int, ...], faults: set[tuple[str | int, ...]]) -> Any:
    if any(path[:length] in faults for length in range(len(path) + 1)):
        return MASK
    if isinstance(value, dict):
        return {_name(name): _masked(one, (*path, name), faults) for name, one in value.items()}
    if isinstance(value, list):
        return [_masked(one, (*path, index), faults) for index, one in enumerate(value)]
    look = _SHOWN.get(tuple(part for part in path if isinstance(part, str)))
    return value if look is not None and value is not None and re.fullmatch(look, str(value)) else MASK


def _name(name: str) -> str:
    # A key that nobody declared may itself be somebody's name.
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
