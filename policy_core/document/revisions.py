"""The register of revisions in one document: which one is in force on a day. See `chain` for what was known when."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from policy_core.document.models import Dated, Edition, PolicyDocument, Revision


@dataclass(frozen=True)
class RegisteredRevision:
    """A revision with what follows from its position in the register."""

    revision: Revision
    number: str | None
    """The policy's number under this revision; None before the first number."""
    until: date | None
    """The first day on which the next revision is in force."""
    statements_on_record: bool


class Register:
    """A policy's revisions in order of their dates."""

    def __init__(self, document: PolicyDocument) -> None:
        self.policy = document.number
        self.revisions = _registered(document)
        self._dates = [registered.revision.date for registered in self.revisions]

    def in_force(self, day: date) -> RegisteredRevision | None:
        """The revision in force on `day`; None before the first."""
        index = bisect_right(self._dates, day)
        return self.revisions[index - 1] if index else None


def edition_on(editions: Sequence[Edition], day: date) -> Edition | None:
    """The edition in force on `day`; None before the first."""
    return next((edition for edition in reversed(editions) if edition.since <= day), None)


def _registered(document: PolicyDocument) -> tuple[RegisteredRevision, ...]:
    registered: list[RegisteredRevision] = []
    number: str | None = None
    for index, revision in enumerate(document.revisions):
        number = revision.number or number
        following = document.revisions[index + 1].date if index + 1 < len(document.revisions) else None
        edition = edition_on(document.editions, revision.date)
        on_record = edition is not None and edition.on_record
        registered.append(RegisteredRevision(revision, number, following, on_record))
    return tuple(registered)


def boundaries(document: PolicyDocument) -> set[date]:
    """Every day on which an answer may change."""
    dated: list[Dated] = [*document.statements, *document.indications]
    dated += [outcome for rule in document.rules for outcome in rule.outcomes]
    dated += [outcome for exception in document.exceptions for outcome in exception.outcomes]
    windows = [system.valid for system in document.codes.systems]
    windows += [window for code in document.codes.listed for window in (code.listed, code.valid)]
    ends = [day for part in dated for day in (part.since, part.until)]
    ends += [day for window in windows for day in (window.since, window.until)]
    return {day for day in ends if day is not None} | {edition.since for edition in document.editions}
