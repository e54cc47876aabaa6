"""Revisions as plain functions: a document's as events, a topic's decoded, the one in force on a day."""

from collections.abc import Iterable, Sequence
from datetime import date

from pydantic import ValidationError

from events.dead_letter import FieldError
from events.decode import RejectedError, field_errors
from events.envelope import (
    JSON,
    SPECVERSION,
    Attributes,
    Headers,
    Mode,
    binary_attributes,
    is_binary,
    loads,
    write,
)
from events.revision import PolicyRevision
from policy_core.determine import Policy
from workers.records import Outgoing


def revisions_of(policy: Policy) -> list[PolicyRevision]:
    """The events that make a policy's revisions known, oldest first."""
    return [
        PolicyRevision(
            policy_number=policy.number,
            revision=one.revision.date,
            number=one.number,
            kinds=tuple(kind.value for kind in one.revision.kinds),
            says=one.revision.says,
            statements_on_record=one.statements_on_record,
            sha256=one.sha256,
            predecessor=one.predecessor,
        )
        for one in policy.register.revisions
    ]


def as_record(revision: PolicyRevision, topic: str, source: str, mode: Mode) -> Outgoing:
    """The record that publishes a revision: the same revision gives the same bytes, whoever sends it."""
    attributes = Attributes(
        id=revision.sha256,
        source=source,
        specversion=SPECVERSION,
        type=PolicyRevision.TYPE,
        subject=revision.key.decode(),
        datacontenttype=JSON,
    )
    value, headers = write(attributes, revision.to_json(), mode)
    return Outgoing(topic, revision.key, value, headers)


def decode_revision(value: bytes | None, headers: Headers) -> PolicyRevision:
    """The revision in a record of the topic of revisions.

    Raises:
        RejectedError: As for a request.
    """
    try:
        tree = loads(value or b"")
    except ValueError as error:
        raise RejectedError("undecodable", [FieldError(path="", message=str(error))]) from None
    if not isinstance(tree, dict):
        raise RejectedError("undecodable", [FieldError(path="", message="not a JSON object")])
    kind, data = (
        (binary_attributes(headers).get("type"), tree) if is_binary(headers) else (tree.get("type"), tree.get("data"))
    )
    if kind != PolicyRevision.TYPE:
        message = f"should be {PolicyRevision.TYPE}"
        raise RejectedError("unsupported_type", [FieldError(path="type", message=message)])
    try:
        return PolicyRevision.model_validate(data)
    except ValidationError as error:
        raise RejectedError("schema_violation", field_errors(error)) from None


def of_policy(register: Iterable[PolicyRevision], number: str) -> list[PolicyRevision]:
    """A policy's revisions, oldest first."""
    return sorted((one for one in register if one.policy_number == number), key=lambda one: one.revision)


def in_force(revisions: Sequence[PolicyRevision], day: date) -> PolicyRevision | None:
    """The newest of a policy's revisions that is not later than `day`."""
    return next((one for one in reversed(revisions) if one.revision <= day), None)
