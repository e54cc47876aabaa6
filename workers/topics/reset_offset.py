"""Sets the offset of a partition that no worker is processing.

Kafka refuses to set the offsets of a group with members. But workers that refuse an offset outside its log do not
process that partition and need not be stopped: the offset is set in a transaction, and they continue from it.
"""

import re
from typing import NamedTuple

from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from workers.configuration.settings import Settings
from workers.console.errors import DliError
from workers.console.printable import counted
from workers.kafka import clients, offset_metadata
from workers.kafka.clients import KafkaAdminClient
from workers.kafka.reader import Span, partitions_of, spans

PLACES = ("earliest", "latest", "current")
_OFFSET = re.compile("[0-9]{1,19}")
"""Kafka's offsets have 64 bits: up to 19 digits."""


class OffsetError(DliError):
    """An offset cannot be set as asked; the message says why and what to do."""

    is_refusal = True


class Plan(NamedTuple):
    """One partition's current and new offset."""

    where: TopicPartition
    committed: int | None
    kept: Span
    offset: int

    def __str__(self) -> str:
        """The effect of setting it."""
        if self.committed is not None:
            becomes = f"{self.committed:,} becomes {self.offset:,}"
        else:
            becomes = f"{self.offset:,} is set where none was"
        read, passed = max(self.kept.end - self.offset, 0), max(self.offset - self.kept.beginning, 0)
        return (
            f"{self.where.topic} {self.where.partition}: offset {becomes}. Workers go on there: they read "
            f"{counted(read, 'offset')}, to the end of the log, and pass over {counted(passed, 'older one')} that it "
            "keeps. Requests that were answered are known and not answered again; a new account is opened."
        )


def wanted(to: str) -> str | int:
    """Parse an offset: a number, or one of `PLACES`.

    Raises:
        OffsetError: It is neither.
    """
    if to in PLACES:
        return to
    if not _OFFSET.fullmatch(to):
        raise OffsetError(f"--to: give an offset, in digits 0 to 9, or one of {', '.join(PLACES)}")
    return int(to)


def planned(settings: Settings, where: TopicPartition, to: str | int) -> Plan:
    """The planned change.

    Raises:
        OffsetError: It is impossible, or workers are processing the partition.
        ReadingError: The brokers do not respond.
    """
    with clients.admin(settings) as admin:
        return _planned(settings, admin, where, to)


def _planned(settings: Settings, admin: KafkaAdminClient, where: TopicPartition, to: str | int) -> Plan:
    if where not in partitions_of(admin, [where.topic]):
        raise OffsetError(f"there is no partition {where.partition} of {where.topic}; `dli topics show` has the topics")
    groups = {group["group_id"] for group in admin.list_groups()}
    group = settings.app_id
    found = admin.list_group_offsets({group: None})[group].get(where) if group in groups else None
    committed = found.offset if found is not None and found.offset >= 0 else None
    kept = spans(admin, [where])[where]
    refused = found is not None and offset_metadata.read(found.metadata or "").refused is not None
    members = len(admin.describe_groups([group])[group]["members"]) if group in groups else 0
    if members and not refused:
        raise OffsetError(
            f"workers of {group} run ({members}) and do not refuse this offset: they would commit theirs over yours; "
            "stop them first"
        )
    return Plan(where, committed, kept, _offset(to, committed, kept))


def _offset(to: str | int, committed: int | None, kept: Span) -> int:
    named = {"earliest": kept.beginning, "latest": kept.end, "current": committed}
    offset = to if isinstance(to, int) else named[to]
    if offset is None or not kept.beginning <= offset <= kept.end:
        raise OffsetError(f"--to {to}: choose one of {kept.beginning} to {kept.end}, which is what the log keeps")
    return offset


def carry_out(settings: Settings, plan: Plan) -> None:
    """Commit the offset for the group, without a note.

    Raises:
        ReadingError: The brokers do not respond, or refuse.
    """
    with clients.producer(settings, transactional_id=f"{settings.app_id}-reset-offset") as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send_offsets_to_transaction({plan.where: OffsetAndMetadata(plan.offset, "", -1)}, settings.app_id)
        producer.commit_transaction()
