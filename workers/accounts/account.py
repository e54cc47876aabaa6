"""Balanced accounts: what became of each request partition's records, verified from Kafka.

Each batch's transaction contains its answers, its offset and a note: how many records have been consumed since the
account was opened, and how many of them were decided, duplicates or dead letters. Each is counted separately: consumed
at the input, decided and dead letters at the output, duplicates at detection. So a record with no outcome, or two,
shows as a difference.

    consumed = decided + duplicates + dead-lettered

Records that the broker removed unread are counted separately, as lost, by their offsets; an account with losses does
not balance.

An account also counts decisions by policy revision: one with lines under two revisions counts for both.

The note is committed with the offset: it moves with the partition, a failed batch leaves none, and it outlives workers.
Resetting the group's offsets clears the notes and opens new accounts.

`standings` reads the notes; `recount` reads the whole topics and counts their records.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import GroupIdNotFoundError

from events.origin_headers import cause_of
from events.topics import DEAD_LETTERS, DECISIONS, REQUESTS
from workers.configuration.settings import Settings
from workers.console.printable import counted
from workers.kafka import clients, offset_metadata
from workers.kafka.lag import Look, Watcher
from workers.kafka.reader import Span, StrangeError, data_of, headers_of, kept, log_skipped, records
from workers.kafka.records import Lost

_NOTE = re.compile(
    r"accounts/1 since=(\d+) consumed=(\d+) decided=(\d+) duplicates=(\d+) dead_lettered=(\d+)"
    r"(?: lost=(\d+)@([\d,-]+))?(?: under=(\S+))?"
)
_STRETCHES = 10
"""Ranges of lost offsets listed in a note; the count includes all."""
_LONGEST_UNDER = 3_000
"""In characters: Kafka keeps 4,096 of a note by default."""
OTHERS = ("", "")
"""Stands for policies and revisions beyond a note's size."""
Revision = tuple[str, str]
"""A policy's number and its revision's date, or `none` where none was in force."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account of one partition."""

    since: int
    """The offset from which records are counted."""
    consumed: int = 0
    decided: int = 0
    duplicates: int = 0
    dead_lettered: int = 0
    under: Mapping[Revision, int] = field(default_factory=dict)
    """Decisions by policy and revision."""
    lost: int = 0
    """Offsets that the broker removed unread."""
    lost_at: tuple[tuple[int, int], ...] = ()
    """The first and last offset of each lost range; only the newest ranges if there are many."""

    @property
    def difference(self) -> int:
        """Consumed records without an outcome; negative for outcomes without a record."""
        return self.consumed - self.decided - self.duplicates - self.dead_lettered

    def after(
        self,
        consumed: int,
        decided: int,
        duplicates: int,
        dead_lettered: int,
        under: Mapping[Revision, int] | None = None,
    ) -> "Account":
        """The account with another batch."""
        return replace(
            self,
            under=_fitting(Counter(self.under) + Counter(under)) if under else self.under,
            consumed=self.consumed + consumed,
            decided=self.decided + decided,
            duplicates=self.duplicates + duplicates,
            dead_lettered=self.dead_lettered + dead_lettered,
        )

    def losing(self, lost: Lost) -> "Account":
        """The account with more lost records."""
        stretches = (*self.lost_at, (lost.first, lost.last))[-_STRETCHES:]
        return replace(self, lost=self.lost + lost.count, lost_at=stretches)

    def note(self) -> str:
        """The note that is committed with the offset."""
        text = (
            f"accounts/1 since={self.since} consumed={self.consumed} decided={self.decided} "
            f"duplicates={self.duplicates} dead_lettered={self.dead_lettered}"
        )
        if self.lost:
            text += f" lost={self.lost}@{_stretches(self.lost_at, '-')}"
        return text + (f" under={_written(self.under)}" if self.under else "")


def read_note(note: str) -> Account | None:
    """The account in a committed offset's note, if any."""
    found = _NOTE.fullmatch(offset_metadata.read(note).text)
    if found is None:
        return None
    *numbers, lost, stretches, under = found.groups()
    try:
        by_revision = dict(map(_read, under.split(","))) if under else {}
        lost_at = tuple(map(_stretch, stretches.split(","))) if stretches else ()
    except ValueError:
        return None
    since, consumed, decided, duplicates, dead_lettered = map(int, numbers)
    return Account(since, consumed, decided, duplicates, dead_lettered, by_revision, int(lost or 0), lost_at)


def _stretches(found: Iterable[tuple[int, int]], between: str) -> str:
    return ",".join(f"{first}{between}{last}" for first, last in found)


def _stretch(text: str) -> tuple[int, int]:
    first, last = text.split("-")
    return int(first), int(last)


def _written(under: Mapping[Revision, int]) -> str:
    return ",".join(f"{policy}@{revision}:{count}" for (policy, revision), count in under.items())


def _read(text: str) -> tuple[Revision, int]:
    # Policy numbers and dates contain no at sign, colon or comma.
    name, count = text.split(":")
    policy, revision = name.split("@")
    return (policy, revision), int(count)


def _fitting(under: Counter[Revision]) -> dict[Revision, int]:
    """Merge the rarest into `OTHERS` until the note fits."""
    kept = dict(under)
    while len(_written(kept)) > _LONGEST_UNDER:
        rarest = min((revision for revision in kept if revision != OTHERS), key=kept.__getitem__)
        kept[OTHERS] = kept.get(OTHERS, 0) + kept.pop(rarest)
    return kept


class PartitionBalance(NamedTuple):
    """The state of one partition's account."""

    partition: int
    committed: int | None
    """None if nothing has been consumed yet."""
    waiting: int
    """Offsets not consumed yet."""
    account: Account | None
    """None if there is none, for example after a manual offset reset."""
    beginning: int = 0
    """The oldest offset kept."""
    end: int | None = None
    """The end of the log, if known."""
    refused: int | None = None
    """The end of the log when workers found the committed offset outside it; None if it is inside."""
    held: int = 0
    """The waiting offsets after the start of an open transaction."""

    @property
    def problem(self) -> str | None:
        """What does not balance; None if everything does."""
        return "; ".join(self._problems()) or None

    def _problems(self) -> Iterator[str]:
        if self.committed is None:
            return
        if self.refused is not None or (self.end is not None and self.committed > self.end):
            end = self.refused if self.refused is not None else self.end
            yield (
                f"the committed offset {self.committed:,} is not in the log, which ended at {end:,}: nothing is read "
                "until it is set anew (dli reset-offset)"
            )
        if self.committed < self.beginning:
            gone = self.beginning - self.committed
            yield f"{gone:,} removed before they were read, at offsets {self.committed} to {self.beginning - 1}"
        if self.account is None:
            yield "no account stands at the committed offset; was it set by hand?"
            return
        if self.account.difference:
            yield f"{self.account.difference:+,} between records consumed and what became of them"
        if self.account.lost:
            yield f"{self.account.lost:,} lost before they were read, at offsets {_lost_offsets(self.account)}"
        beyond = self.account.since + self.account.consumed + self.account.lost - self.committed
        if beyond > 0 and not self.account.difference:
            yield f"{beyond:,} more records consumed than there are offsets"


def _lost_offsets(account: Account) -> str:
    """The lost offsets in readable form."""
    named = sum(last - first + 1 for first, last in account.lost_at)
    return ("…, " if named < account.lost else "") + _stretches(account.lost_at, " to ").replace(",", ", ")


def standings(seen: Look, settings: Settings) -> list[PartitionBalance]:
    """The state of each request partition's account."""
    return [
        PartitionBalance(
            lag.partition,
            lag.committed,
            lag.waiting,
            read_note(lag.note),
            lag.span.beginning,
            lag.span.end,
            offset_metadata.read(lag.note).refused,
            lag.held,
        )
        for lag in seen.lags
        if (lag.group, lag.topic) == (settings.app_id, settings.topic(REQUESTS))
    ]


def look(settings: Settings) -> Look:
    """How far the workers' group has read, with its notes.

    Raises:
        ReadingError: The brokers do not respond.
    """
    watcher = Watcher(settings, others=False)
    try:
        return watcher.look()
    finally:
        watcher.close()


def ask(settings: Settings) -> list[PartitionBalance]:
    """The state of each request partition's account, queried from the brokers.

    Raises:
        ReadingError: They do not respond.
    """
    return standings(look(settings), settings)


def decisions_under(settings: Settings) -> Counter[Revision]:
    """The number of decisions under each policy revision, from the committed notes.

    Raises:
        ReadingError: The brokers do not respond.
    """
    topic = settings.topic(REQUESTS)
    counted: Counter[Revision] = Counter()
    with clients.admin(settings) as admin:
        try:
            committed = admin.list_group_offsets({settings.app_id: None}).get(settings.app_id, {})
        except GroupIdNotFoundError:
            committed = {}  # nothing has been decided yet
    for partition, offset in committed.items():
        account = read_note(offset.metadata or "") if partition.topic == topic else None
        counted.update(account.under if account is not None else {})
    return counted


def total(found: Iterable[PartitionBalance]) -> Account:
    """The sum of all partitions' accounts."""
    known = [standing.account for standing in found if standing.account is not None]
    return Account(
        since=0,
        consumed=sum(entry.consumed for entry in known),
        decided=sum(entry.decided for entry in known),
        duplicates=sum(entry.duplicates for entry in known),
        dead_lettered=sum(entry.dead_lettered for entry in known),
        lost=sum(entry.lost for entry in known),
    )


# --- recounting from the topics ---------------------------------------------------------------------


class Recounted(NamedTuple):
    """The records on the topics for one partition, with its account."""

    partition: int
    account: Account | None
    requests: int
    decisions: int
    repeated: int
    """Decisions beyond a request's first."""
    dead_letters: int
    gone: int
    """Request offsets since the account was opened that retention has removed and that cannot be recounted."""
    moved: bool
    """Whether workers continued meanwhile, so that the numbers do not match in time."""

    @property
    def problem(self) -> str | None:
        """How the topics differ from the account; None if they do not, or if that is unknown."""
        account = self.account
        if account is None or self.moved or account.since or self.gone:
            return None
        found = [
            f"{counted(on_topic, what)} on the topic, {in_account:,} in the account"
            for what, on_topic, in_account in (
                ("request", self.requests, account.consumed),
                ("decision", self.decisions, account.decided),
                ("dead letter", self.dead_letters, account.dead_lettered),
            )
            if on_topic != in_account
        ]
        if self.repeated:
            repeat = "repeats" if self.repeated == 1 else "repeat"
            found.append(f"{counted(self.repeated, 'decision')} {repeat} an earlier one's request")
        return "; ".join(found) or None


def recount(settings: Settings) -> list[Recounted]:
    """Count requests, decisions and dead letters by partition, reading the whole topics.

    Raises:
        ReadingError: The brokers do not respond.
    """
    before = ask(settings)
    names = [settings.topic(name) for name in (REQUESTS, DECISIONS, DEAD_LETTERS)]
    there = kept(settings, names)
    requests, decisions, letters = (_of(there, name) for name in names)
    dead = _dead_letters(settings, letters)
    found = [_recounted(settings, standing, requests, decisions, dead) for standing in before]
    after = {standing.partition: standing.account for standing in ask(settings)}
    return [standing._replace(moved=after.get(standing.partition) != standing.account) for standing in found]


def _of(kept: dict[TopicPartition, Span], topic: str) -> dict[TopicPartition, Span]:
    return {tp: span for tp, span in kept.items() if tp.topic == topic}


def _recounted(
    settings: Settings,
    before: PartitionBalance,
    requests: dict[TopicPartition, Span],
    decisions: dict[TopicPartition, Span],
    dead: Counter[int],
) -> Recounted:
    since = before.account.since if before.account else 0
    asked = TopicPartition(settings.topic(REQUESTS), before.partition)
    answered = TopicPartition(settings.topic(DECISIONS), before.partition)
    span = Span(max(since, requests[asked].beginning), before.committed or 0)
    keys = Counter(
        record.key for record in records(settings, {answered: decisions[answered]}) if _answers(record, asked)
    )
    return Recounted(
        partition=before.partition,
        account=before.account,
        requests=sum(1 for _ in records(settings, {asked: span})),
        decisions=keys.total(),
        repeated=keys.total() - len(keys),
        dead_letters=dead[before.partition],
        gone=max(requests[asked].beginning - since, 0),
        moved=False,
    )


def _answers(decision: ConsumerRecord, asked: TopicPartition) -> bool:
    """Whether a decision answers a request; others follow a verdict."""
    cause = cause_of(headers_of(decision))
    return cause is None or cause.topic == asked.topic


def _dead_letters(settings: Settings, letters: dict[TopicPartition, Span]) -> Counter[int]:
    """The number of dead letters by request partition."""
    found: Counter[int] = Counter()
    for record in records(settings, letters):
        try:
            original = data_of(record.value).get("original")
        except StrangeError as error:
            log_skipped(record, error)
            continue
        if not isinstance(original, dict):
            log_skipped(record, StrangeError("it is no dead letter"))
        elif original.get("topic") == settings.topic(REQUESTS) and isinstance(original.get("partition"), int):
            found[original["partition"]] += 1
    return found
