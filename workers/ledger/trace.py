"""A request's trace: the ledger's pointers, with the event at each.

    request ─► answers, superseded ones included ─► revision and digest ─► the events that made the revisions known
               └─► verdicts                    └─► deadlines that were announced

One request to a worker returns all pointers, and every event is fetched by its offset, without searching; a later
decision names the verdict or the extension that it was made from. Only the topic of revisions is read whole: it has one
partition with few records.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

from kafka import TopicPartition

from events.envelope import is_binary, loads
from events.origin_headers import RecordPosition, cause_of
from events.topics import POLICY_REVISIONS, VERDICTS
from policy_core.history.publication_terms import Terms
from workers.configuration.settings import Settings
from workers.console.errors import DliError
from workers.kafka import clients, connect
from workers.kafka.clients import KafkaConsumer
from workers.kafka.reader import headers_of
from workers.policies.revision_events import terms_of, vouched

PATIENCE_SECONDS = 15.0
POLL_MS = 500


class TraceError(DliError):
    """A request cannot be traced; the message says why and what to do."""


@dataclass(frozen=True)
class Event:
    """One event of a trace."""

    place: RecordPosition
    data: dict[str, Any] | None
    """None if it is no longer kept, or not an event."""
    timestamp: int = -1
    """The broker's timestamp, in milliseconds since the epoch."""
    signed_by: str | None = None
    """For a revision, the id of the key that verifiably signed it."""
    cause: RecordPosition | None = None
    """The position of the event that it was made from, where its headers say so."""

    def as_json(self) -> dict[str, Any]:
        """As JSON fields."""
        signed = {"signed_by": self.signed_by} if self.signed_by is not None else {}
        return {**self.place._asdict(), **signed, "data": self.data}


@dataclass(frozen=True)
class Answer:
    """A decision or a dead letter, with what it answers."""

    kind: str
    timestamp: int
    event: Event
    request: Event | None
    """None if the answer does not name its request."""
    review: Event | None = None
    """The verdict or the extension that it was made from."""

    def as_json(self) -> dict[str, Any]:
        """As JSON fields."""
        request = self.request.as_json() if self.request is not None else None
        review = {"review": self.review.as_json()} if self.review is not None else {}
        return {"kind": self.kind, "timestamp": self.timestamp, **self.event.as_json(), "request": request, **review}


@dataclass(frozen=True)
class Traced:
    """One request of the chain."""

    request_id: str
    newest: bool
    supersedes: str | None
    refused: bool
    """Whether its link to the superseded request is refused."""
    answers: tuple[Answer, ...]
    """Oldest first; empty if only the request's id is known."""
    deadlines: tuple[Event, ...] = ()
    """What was announced of its deadlines, oldest first."""

    @property
    def decision(self) -> Answer | None:
        """Its last decision."""
        return next((answer for answer in reversed(self.answers) if answer.kind == "decision"), None)

    def as_json(self) -> dict[str, Any]:
        """As JSON fields."""
        link = {} if self.supersedes is None else {"supersedes": self.supersedes, "link": _link(self.refused)}
        answers = [answer.as_json() for answer in self.answers]
        return {
            "request_id": self.request_id,
            **link,
            "newest": self.newest,
            "known": bool(answers),
            "answers": answers,
            "deadlines": [{"timestamp": one.timestamp, **one.as_json()} for one in self.deadlines],
        }


def _link(refused: bool) -> str:
    return "refused" if refused else "stands"


@dataclass(frozen=True)
class Trace:
    """Everything about one request."""

    request_id: str
    chain: tuple[Traced, ...]
    """Each after the request that it supersedes."""
    revisions: tuple[Event, ...]
    """The events that published the revisions named by its decisions."""

    @property
    def asked(self) -> Traced:
        """The requested one."""
        return next(member for member in self.chain if member.request_id == self.request_id)

    def as_json(self) -> dict[str, Any]:
        """As JSON fields."""
        return {
            "request_id": self.request_id,
            "chain": [member.as_json() for member in self.chain],
            "revisions": [revision.as_json() for revision in self.revisions],
        }


def trace(request_id: str, url: str, settings: Settings) -> Trace:
    """The trace of a request, with pointers from the worker at `url` and events from Kafka.

    Raises:
        TraceError: No worker responds or knows the request.
        ReadingError: Kafka does not respond, or refuses.
        AccessRefusedError: The cluster refuses us.
        PolicyDocumentError: The publishers' keys cannot be read.
    """
    connect.check(settings)
    terms = terms_of(settings)
    found = _pointers(request_id, url)
    with clients.consumer(settings, max_poll_records=1) as consumer:
        topics = _Topics(consumer, settings.topic(VERDICTS))
        chain = tuple(_traced(member, topics) for member in found["chain"])
        named = _named(chain)
        known = topics.all_of(RecordPosition(settings.topic(POLICY_REVISIONS), 0, 0)) if named else ()
        revisions = [_proved(revision, terms) for revision in _made_known(known, named)]
        return Trace(request_id, chain, tuple(revisions))


def _pointers(request_id: str, url: str) -> Any:
    # urlopen would also open files and other protocols.
    if urlsplit(url).scheme not in {"http", "https"}:
        raise TraceError(f"{url}: a worker's address is http://HOST:PORT")
    try:
        with urlopen(f"{url.rstrip('/')}/requests/{quote(request_id, safe='')}", timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 (the operator's own; http or https)
            return json.load(answer)
    except HTTPError as error:
        raise TraceError(f"request {request_id}: {_error_of(error)}") from None
    except (URLError, OSError, ValueError):
        raise TraceError(f"{url}: no worker answers there; name any worker of the deployment with --url") from None


def _error_of(error: HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        return f"the worker answered {error.code}"


# --- fetching events ----------------------------------------------------------------------------------


class _Topics:
    """Reads single records."""

    def __init__(self, consumer: KafkaConsumer, verdicts: str) -> None:
        self._reader = consumer
        self._verdicts = verdicts

    def event(self, place: RecordPosition) -> Event:
        """The event at a place."""
        found = next(self.all_of(place), None)
        return found if found is not None and found.place == place else Event(place, None)

    def review_of(self, answer: Event) -> Event | None:
        """The verdict or the extension that an answer was made from; None if it was made from something else."""
        cause = answer.cause
        return self.event(cause) if cause is not None and cause.topic == self._verdicts else None

    def all_of(self, place: RecordPosition) -> Iterator[Event]:
        """The events of a partition from a position on."""
        partition = TopicPartition(place.topic, place.partition)
        self._reader.assign([partition])
        beginning = self._reader.beginning_offsets([partition])[partition]
        end = self._reader.end_offsets([partition])[partition]
        self._reader.seek(partition, max(place.offset, beginning))
        while self._reader.position(partition) < end:
            for record in self._reader.poll(timeout_ms=POLL_MS).get(partition, ()):
                at = RecordPosition(record.topic, record.partition, record.offset)
                yield Event(at, _data(record), record.timestamp, cause=cause_of(headers_of(record)))


def _data(record: Any) -> dict[str, Any] | None:
    try:
        found = loads(record.value or b"")
    except ValueError:
        return None
    headers = headers_of(record)
    data = found if is_binary(headers) or not isinstance(found, dict) else found.get("data", found)
    return data if isinstance(data, dict) else None


def _traced(member: dict[str, Any], topics: _Topics) -> Traced:
    return Traced(
        request_id=member["request_id"],
        newest=member["newest"],
        supersedes=member.get("supersedes"),
        refused=member.get("link") == "refused",
        answers=tuple(_answer(answer, topics) for answer in member["answers"]),
        # A worker of an earlier version lists none.
        deadlines=tuple(topics.event(_place(deadline)) for deadline in member.get("deadlines", ())),
    )


def _answer(pointer: dict[str, Any], topics: _Topics) -> Answer:
    event, request = topics.event(_place(pointer)), pointer.get("request")
    return Answer(
        kind=pointer["kind"],
        timestamp=pointer["timestamp"],
        event=event,
        request=topics.event(_place(request)) if request is not None else None,
        review=topics.review_of(event),
    )


def _place(found: dict[str, Any]) -> RecordPosition:
    return RecordPosition(found["topic"], found["partition"], found["offset"])


# --- revisions -----------------------------------------------------------------------------------------------------


def _named(chain: Iterable[Traced]) -> set[tuple[str | None, str]]:
    """The policy revisions that decisions name: the one in force, by date, and the newest known, by digest."""
    decisions = (answer.event.data for traced in chain for answer in traced.answers if answer.kind == "decision")
    # Foreign records may contain anything; they are skipped.
    return {named for data in decisions if data is not None for named in _named_by(data)}


def _named_by(decision: Mapping[str, Any]) -> Iterator[tuple[str | None, str]]:
    policies = [policy for policy in _objects(decision.get("policies")) if isinstance(policy.get("number"), str)]
    known = {policy["number"]: policy.get("known_through") for policy in policies}
    lines = [line["policy"] for line in _objects(decision.get("lines")) if isinstance(line.get("policy"), dict)]
    for policy in lines:
        number, day = policy.get("number"), policy.get("revision")
        through = known.get(number) if isinstance(number, str) else None
        if isinstance(through, str) and isinstance(day, str | None):
            yield day, through


def _objects(found: Any) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _made_known(events: Iterable[Event], named: set[tuple[str | None, str]]) -> list[Event]:
    """The events that published the named revisions, the first of each digest, in order.

    From the newest known revision, the chain leads back to the one in force; events outside the chain are ignored.
    """
    by_digest: dict[str, Event] = {}
    for event in events:
        if event.data is not None and isinstance(event.data.get("digest"), str):
            by_digest.setdefault(event.data["digest"], event)
    found = {event.place: event for revision, known in named for event in _back(by_digest, known, revision)}
    return sorted(found.values(), key=lambda event: event.place)


def _proved(event: Event, terms: Terms) -> Event:
    return replace(event, signed_by=vouched(terms, event.data, event.place.offset, event.timestamp))


def _back(by_digest: Mapping[str, Event], known: str, revision: str | None) -> Iterator[Event]:
    """The event with a digest, and the earlier one with a date."""
    event = by_digest.get(known)
    if event is not None:
        yield event
    seen: set[RecordPosition] = set()
    while event is not None and event.data is not None and event.place not in seen:
        if event.data.get("revision") == revision:
            yield event
            return
        seen.add(event.place)
        event = by_digest.get(str(event.data.get("predecessor")))
