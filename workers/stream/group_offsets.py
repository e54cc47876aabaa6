"""Offsets of a group as its members commit and read them: former members are fenced (KIP-447).

aiokafka knows older versions of both requests only. Without a member's generation Kafka takes the offsets of a worker
that has lost its partitions; without `require_stable` it returns offsets that an open transaction is about to move.
"""

import asyncio
from types import SimpleNamespace
from typing import Any, NamedTuple

from aiokafka.client import CoordinationType
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, NotCoordinatorForGroupError, for_code
from aiokafka.producer import sender
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from workers.kafka.clients import AIOKafkaProducer

_NO_ERROR, _REBALANCE_IN_PROGRESS, _UNSTABLE = 0, 27, 88
_LOST = {22: "ILLEGAL_GENERATION", 25: "UNKNOWN_MEMBER_ID", 82: "FENCED_INSTANCE_ID"}
_UNKNOWN_EPOCH = -1  # of the leader whose records were read: Kafka only hands it on to consumers
_NOTHING_COMMITTED = -1
_LOOK_AGAIN_S = 0.02  # between two looks at an offset that a transaction is moving


class MembershipLostError(KafkaError):  # type: ignore[misc]  # aiokafka is untyped
    """The worker is no member of its group's current generation: its partitions may be another worker's."""


class _UnstableError(KafkaError):  # type: ignore[misc]  # as above
    """An open transaction is about to move the offset."""

    retriable = True


class Member(NamedTuple):
    """A worker's membership in one generation of its group."""

    group: str
    generation: int
    id: str
    instance: str | None
    """The static member's name, if it has one."""

    @classmethod
    def of(cls, coordinator: GroupCoordinator) -> "Member":
        """The membership now; call it while the group assigns partitions, when it cannot change."""
        return cls(
            coordinator.group_id,
            coordinator.generation,
            coordinator.member_id,
            coordinator._group_instance_id,  # noqa: SLF001 - see ASSUMPTIONS
        )

    def check(self) -> None:
        """Raise an error if this is no membership: Kafka would fence nothing.

        Raises:
            MembershipLostError: The worker has left the group.
        """
        if self.generation < 0 or not self.id:
            raise MembershipLostError("the worker is no member of its group")


# --- committing ------------------------------------------------------------------------------------------------------

_TAGS = ("tags", TaggedFields)
_NAME = CompactString("utf-8")


class _CommitResponse(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 28
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", _NAME),
                ("partitions", CompactArray(("partition", Int32), ("error_code", Int16), _TAGS)),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _CommitStruct(RequestStruct):  # type: ignore[misc]  # as above
    API_KEY = 28
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _CommitResponse
    SCHEMA = Schema(
        ("transactional_id", _NAME),
        ("group_id", _NAME),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation_id", Int32),
        ("member_id", _NAME),
        ("group_instance_id", _NAME),
        (
            "topics",
            CompactArray(
                ("topic", _NAME),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32), ("offset", Int64), ("leader_epoch", Int32), ("metadata", _NAME), _TAGS
                    ),
                ),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _TxnOffsetCommit(Request[_CommitStruct]):  # type: ignore[misc]  # as above
    API_KEY = _CommitStruct.API_KEY

    def __init__(self, *fields: Any) -> None:
        self._fields = fields

    def build(self, request_struct_class: type[_CommitStruct]) -> _CommitStruct:
        return request_struct_class(*self._fields)


class _CommitHandler(sender.TxnOffsetCommitHandler):  # type: ignore[misc]  # as above
    """Commits a transaction's offsets as a member of the group."""

    def __init__(self, sending: Any, offsets: dict[TopicPartition, OffsetAndMetadata], member: Member) -> None:
        super().__init__(sending, offsets, member.group)
        self._member = member

    def create_request(self) -> _TxnOffsetCommit:
        manager, member = self._sender._txn_manager, self._member  # noqa: SLF001 - see ASSUMPTIONS
        return _TxnOffsetCommit(
            manager.transactional_id,
            member.group,
            manager.producer_id,
            manager.producer_epoch,
            member.generation,
            member.id,
            member.instance,
            [
                (topic, [(place, at.offset, _UNKNOWN_EPOCH, at.metadata, {}) for place, at in places], {})
                for topic, places in _by_topic(self._offsets).items()
            ],
            {},
        )

    def handle_response(self, response: Any) -> float | None:
        errors = [(topic, [(place, code) for place, code, _ in places]) for topic, places, _ in response.topics]
        lost = [code for _, places in errors for _, code in places if code in _LOST]
        if not lost:
            paused: float | None = super().handle_response(SimpleNamespace(errors=errors))
            return paused
        manager = self._sender._txn_manager  # noqa: SLF001 - see ASSUMPTIONS
        manager.error_transaction(MembershipLostError(_LOST[lost[0]]))
        manager.wait_for_transaction_end().exception()  # nobody else retrieves it, and asyncio complains
        return None


def commit_as(producer: AIOKafkaProducer, member: Member) -> None:
    """Make a transactional producer commit offsets as this member only.

    Committing then raises `MembershipLostError` if the group has another generation, or the member left it.
    """
    sending = producer._sender  # noqa: SLF001 - see ASSUMPTIONS

    async def commit(offsets: dict[TopicPartition, OffsetAndMetadata], group: str) -> None:
        try:
            node = await sending._find_coordinator(CoordinationType.GROUP, group)  # noqa: SLF001 - see ASSUMPTIONS
        except GroupAuthorizationFailedError as error:
            sending._txn_manager.error_transaction(error)  # noqa: SLF001 - as aiokafka does
            return
        await _CommitHandler(sending, offsets, member).do(node)

    sending._do_txn_offset_commit = commit  # noqa: SLF001 - see ASSUMPTIONS


# --- reading ---------------------------------------------------------------------------------------------------------


class _FetchResponse(Response):  # type: ignore[misc]  # as above
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", _NAME),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", _NAME),
                        ("error_code", Int16),
                        _TAGS,
                    ),
                ),
                _TAGS,
            ),
        ),
        ("error_code", Int16),
        _TAGS,
    )


class _FetchStruct(RequestStruct):  # type: ignore[misc]  # as above
    API_KEY = 9
    API_VERSION = 7
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _FetchResponse
    SCHEMA = Schema(
        ("group_id", _NAME),
        ("topics", CompactArray(("topic", _NAME), ("partitions", CompactArray(Int32)), _TAGS)),
        ("require_stable", Boolean),
        _TAGS,
    )


class _OffsetFetch(Request[_FetchStruct]):  # type: ignore[misc]  # as above
    API_KEY = _FetchStruct.API_KEY

    def __init__(self, *fields: Any) -> None:
        self._fields = fields

    def build(self, request_struct_class: type[_FetchStruct]) -> _FetchStruct:
        return request_struct_class(*self._fields)


async def stable_offset(coordinator: GroupCoordinator, tp: TopicPartition) -> OffsetAndMetadata | None:
    """The group's committed offset, once no open transaction is about to move it; None if there is none.

    Raises:
        KafkaError: The group's coordinator refuses it.
    """
    while True:
        await coordinator.ensure_coordinator_known()
        try:
            return await _fetched(coordinator, tp)
        except KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(_LOOK_AGAIN_S)


async def _fetched(coordinator: GroupCoordinator, tp: TopicPartition) -> OffsetAndMetadata | None:
    request = _OffsetFetch(coordinator.group_id, [(tp.topic, [tp.partition], {})], True, {})
    response = await coordinator._send_req(request)  # noqa: SLF001 - see ASSUMPTIONS
    if response.error_code == _NO_ERROR:
        [(_, [(_, offset, _, note, code, _)], _)] = response.topics
    else:
        offset, note, code = _NOTHING_COMMITTED, "", response.error_code
    if code == _UNSTABLE:
        raise _UnstableError(tp)
    if code != _NO_ERROR:
        if for_code(code) is NotCoordinatorForGroupError:
            coordinator.coordinator_dead()
        raise for_code(code)(coordinator.group_id)
    return OffsetAndMetadata(offset, note or "") if offset != _NOTHING_COMMITTED else None


async def check_member(coordinator: GroupCoordinator, member: Member) -> None:
    """Ask the group whether this is a member of its current generation.

    Raises:
        MembershipLostError: It is not.
        KafkaError: The group's coordinator does not say.
    """
    member.check()
    await coordinator.ensure_coordinator_known()
    request = HeartbeatRequest(member.group, member.generation, member.id)
    code = (await coordinator._send_req(request)).error_code  # noqa: SLF001 - see ASSUMPTIONS
    if code in _LOST:
        raise MembershipLostError(_LOST[code])
    if code not in {_NO_ERROR, _REBALANCE_IN_PROGRESS}:  # a rebalance waits for what its members commit
        raise for_code(code)(member.group)


def _by_topic(
    offsets: dict[TopicPartition, OffsetAndMetadata],
) -> dict[str, list[tuple[int, OffsetAndMetadata]]]:
    found: dict[str, list[tuple[int, OffsetAndMetadata]]] = {}
    for tp, at in sorted(offsets.items()):
        found.setdefault(tp.topic, []).append((tp.partition, at))
    return found
