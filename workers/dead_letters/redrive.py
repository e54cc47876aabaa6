"""Dead letters sent again.

A re-driven event has the original topic, partition, key, value and headers, plus

    dli-redriven        how many times it has been sent again
    dli-redriven-from   the dead letter it was sent from

Why it cannot loop, be sent twice for one letter, or change an answer:

* If it fails again, the new dead letter carries these headers; the number of tries is limited.
* Before sending, the topic is searched for records already sent from these letters. All sending uses one transactional
  id, so that of two concurrent runs the earlier is fenced and its last batch is aborted.
* A conflicting duplicate is never sent again: its request has been answered. Any other request answered meanwhile is
  detected as a duplicate.
* A platform's message that is sent again is answered again; what it asked for already is recognized as a repeat.
* A verdict that is sent again is judged by its case as it then is, and one that stands already is a duplicate.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import structlog
from kafka import TopicPartition

from events.envelope import header
from events.topics import PAS_REQUESTS, REQUESTS, VERDICTS, X12_REQUESTS
from workers.configuration.settings import Settings
from workers.dead_letters.read import TRIES, StoredDeadLetter, bytes_of
from workers.kafka import clients
from workers.kafka.clients import KafkaProducer
from workers.kafka.connect import LONG_PATIENCE
from workers.kafka.reader import Span, headers_of, records, spans

log = structlog.get_logger(__name__)

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
    "denied_link": "its request was answered, and the answer stands: there is nothing to send again",
}
"""Reasons of letters that are never sent again, because their request was answered."""
OTHER_VERDICT = "a verdict or extension with its id was published before, and that one counts: use a new id"


class Plan(NamedTuple):
    """What happens to one letter."""

    letter: StoredDeadLetter
    refusal: str | None
    """Why it is not sent again; None if it is."""
    done: bool = False
    """Whether it was sent again before."""


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
        is_verdict = letter.content.original.topic == settings.topic(VERDICTS)
        return OTHER_VERDICT if is_verdict else ANSWERED[reason]
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
        (
            original.topic not in _sent_to(settings),
            "nothing of its topic is sent again: publish it anew where it came from",
        ),
        (original.last_offset is not None, "it stands for what cannot be read: there is no event to send"),
        (bool(cut), f"it carries only the beginning of its {cut}: publish it anew"),
        (letter.value is None, "it has no value: there is nothing to send"),
        (
            odd,
            "a header of it has no value, or a name that is not UTF-8, and is not sent from here: publish it anew",
        ),
    )
    return next((sentence for lacking, sentence in checks if lacking), None)


def _sent_to(settings: Settings) -> frozenset[str]:
    """The topics to which events are sent again."""
    return frozenset(map(settings.topic, (REQUESTS, VERDICTS, PAS_REQUESTS, X12_REQUESTS)))


def sent_before(settings: Settings, chosen: Sequence[StoredDeadLetter]) -> set[str]:
    """The ids of the letters whose events were already sent again.

    Raises:
        ReadingError: The brokers do not respond.
        AccessRefusedError: The cluster refuses us.
    """
    wanted = {letter.id for letter in chosen}
    oldest: dict[TopicPartition, int] = {}
    for letter in chosen:
        original = letter.content.original
        if original.topic in _sent_to(settings) and original.partition is not None:
            place = TopicPartition(original.topic, original.partition)
            since = round(letter.written.timestamp() * 1000) - CLOCKS_APART_MS
            oldest[place] = min(oldest.get(place, since), since)
    if not oldest:
        return set()
    span = _since(settings, oldest)
    causes = (header(headers_of(record), FROM) for record in records(settings, span))
    return {cause for cause in causes if cause in wanted}


def _since(settings: Settings, oldest: dict[TopicPartition, int]) -> dict[TopicPartition, Span]:
    """The offsets of each partition from a time on."""
    with clients.admin(settings) as admin, clients.consumer(settings) as consumer:
        there = spans(admin, list(oldest))
        firsts = consumer.offsets_for_times(oldest)
        return {tp: span._replace(beginning=firsts[tp].offset) for tp, span in there.items() if firsts.get(tp)}


def redrive(settings: Settings, chosen: Sequence[StoredDeadLetter], most_tries: int = MOST_TRIES) -> list[Plan]:
    """Send letters' events again and return the results; repeatable, since no letter is sent twice.

    Raises:
        ReadingError: The brokers do not respond, or another redrive is running.
        AccessRefusedError: The cluster refuses us.
    """
    with clients.producer(settings, transactional_id=f"{settings.app_id}-redrive") as producer:
        # Ends an earlier run's transaction, so that the search below sees all its records.
        producer.init_transactions()
        plans = planned(settings, chosen, most_tries)
        send = [plan.letter for plan in plans if plan.refusal is None]
        for start in range(0, len(send), AT_ONCE):
            _send(producer, send[start : start + AT_ONCE])
    return plans


def _send(producer: KafkaProducer, batch: Iterable[StoredDeadLetter]) -> None:
    producer.begin_transaction()
    futures = [
        producer.send(
            letter.content.original.topic,
            letter.value,
            key=bytes_of(letter.content.original.key_base64),
            headers=again(letter),
            partition=letter.content.original.partition,
        )
        for letter in batch
    ]
    producer.flush()
    for future in futures:
        future.get(timeout=LONG_PATIENCE)
    producer.commit_transaction()


def again(letter: StoredDeadLetter) -> list[tuple[str, bytes]]:
    """The headers of a re-driven event."""
    own = [(name, value or b"") for name, value in letter.headers if name not in {TRIES, FROM}]
    return [*own, (TRIES, str(letter.tries + 1).encode()), (FROM, letter.id.encode())]


# --- showing ---------------------------------------------------------------------------------------------------------
