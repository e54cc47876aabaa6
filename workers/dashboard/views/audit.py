"""The page *Audit*: acts and their outcomes."""

from collections.abc import Sequence
from typing import NamedTuple

from workers.audit import columns
from workers.audit.read_acts import Done
from workers.dashboard.views.times import lasting, moment


class AuditRow(NamedTuple):
    """One act in the list."""

    act: str
    when: str
    who: str
    what: str
    arguments: str
    outcome: str
    took: str


def row(act: Done) -> AuditRow:
    """An act in the list."""
    return AuditRow(
        act.last.act,
        moment(act.at),
        columns.who(act.last.who),
        act.last.what,
        columns.arguments(act.last.arguments),
        columns.outcome(act),
        lasting((act.until - act.at).total_seconds()) if act.until is not None else "-",
    )


def chosen(found: Sequence[Done], what: str | None) -> tuple[AuditRow, ...]:
    """The rows of one kind of act or all, newest first."""
    return tuple(row(act) for act in found if what in {None, act.last.what})
