"""The register of revisions, and the policy of one day, as readable text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from policy_core.diagrams.editions import in_force
from policy_core.document.code_listings import CodeStatus as CodeStanding
from policy_core.document.models import (
    Cited,
    Clock,
    ExceptionOutcome,
    Indication,
    ListedCode,
    PolicyException,
    Statement,
)
from policy_core.document.revisions import edition_on
from policy_core.evaluate.determine import Policy
from policy_core.history.chain import Chain, policy_of
from policy_core.publications.publication import Publication, instant
from policy_core.publications.signatures import SHOWN
from workers.console.printable import words
from workers.policies.register import Row

# --- the register --------------------------------------------------------------------------------------------------


def history_of(number: str, rows: Sequence[Row]) -> RenderableType:
    """Every revision of a policy, oldest first."""
    counted = any("decisions" in row for row in rows)
    table = Table(header_style="bold", expand=False)
    table.add_column("revision", no_wrap=True)
    table.add_column("kind", overflow="fold", max_width=18)
    table.add_column("what it changed", overflow="fold", min_width=46)
    table.add_column("statements", overflow="fold", max_width=10)
    table.add_column("digest", no_wrap=True)
    if counted:
        table.add_column("decisions", justify="right")
    for row in rows:
        cells = [
            Text(str(row["revision"])),
            Text(", ".join(row["kinds"])),
            Text.assemble(" ".join(str(row["says"]).split()), ("\n" + changed(row), "bold"), _beside(row)),
            Text("on record" if row["statements_on_record"] else "no text on record"),
            Text(str(row["digest"])[:12]),
        ]
        table.add_row(*cells, *([Text(f"{row['decisions']:,}")] if counted else []))
    return Group(
        Text(f"{number}: {len(rows)} revisions", style="bold"), table, *map(Text, _notes(rows, counted=counted))
    )


def _beside(row: Row) -> str:
    notes = [signer(row["author"], row["signed_by"])] if "signed_by" in row else []
    notes += [f"takes back {row['corrects'][:SHOWN]}"] if "corrects" in row else []
    notes += [f"taken back by {row['taken_back_by'][:SHOWN]}"] if "taken_back_by" in row else []
    return "".join(f"\n{note}" for note in notes)


def signer(author: str, key: str) -> str:
    """Who signed a revision."""
    return f"signed by {author}, key {key[:SHOWN]}"


def changed(row: Row) -> str:
    """A revision's proven changes in a few words."""
    changes = row.get("changes")
    if changes is None:
        return "the first" if "predecessor" not in row else "not compared with the one before it: too much work"
    if changes["equivalent"]:
        return f"equivalent: all {changes['cases']:,} cases are decided as before"
    if not changes["aspects"]:
        return f"facts are read or deadlines set otherwise ({', '.join(changes['parts'])})"
    aspects = ", ".join(map(words, changes["aspects"]))
    return f"{changes['cases_that_change']:,} of {changes['cases']:,} cases are decided otherwise ({aspects})"


def _notes(rows: Sequence[Row], *, counted: bool) -> Iterator[str]:
    recorded = next((row["revision"] for row in rows if row["statements_on_record"]), None)
    if recorded is None:
        yield "No statement text is on record: every service is forwarded (policy_not_on_record)."
    elif recorded != rows[0]["revision"]:
        yield f"Before {recorded} no statement text is on record: such services are forwarded (policy_not_on_record)."
    yield "Cases are complete cases of the facts that decide; one counts where any line of it is answered otherwise."
    if not counted:
        yield "Decisions are not counted here: name the brokers (--bootstrap, DLI_BOOTSTRAP)."


# --- one day -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PolicyAsOf:
    """The policy for services of a day, as known at a moment."""

    policy: Policy
    newest: Publication
    """The newest known revision."""
    revision: Publication | None
    """The revision in force on the day."""
    day: date

    def as_row(self) -> Row:
        """As JSON values."""
        document = self.policy.document
        edition = edition_on(document.editions, self.day)
        row: dict[str, Any] = {
            "policy_number": self.policy.number,
            "on": self.day.isoformat(),
            "known_through": self.newest.digest,
            "known_since": instant(self.newest.published),
            "signed_by": self.newest.signed_by,
            "document_sha256": self.policy.sha256,
            "in_force": _revision(self.revision) if self.revision is not None else None,
            "edition": edition.model_dump(mode="json") if edition is not None and self.revision is not None else None,
            "statements": [_cited(statement) for statement in self._statements()],
            "indications": [_cited(indication) for indication in self._indications()],
            "codes": [f"{code.system} {code.code}" for code in self._codes()],
            "exceptions": [
                {"line_of_business": exception.line_of_business, "determination": outcome.determination.value}
                for exception, outcome in self._exceptions()
            ],
            "clocks": [
                {"line_of_business": business, "clock": clock.id, "rule": clock.rule}
                for business, clock in self._clocks()
            ],
        }
        return {name: value for name, value in row.items() if value is not None}

    def as_text(self) -> RenderableType:
        """As printable text."""
        parts: list[RenderableType] = [Text.assemble((self.policy.number, "bold"), f" for services of {self.day}")]
        parts += _section("Version", self._version())
        parts += _section("Statements", self._cited(self._statements()))
        parts += _section("Indications", self._cited(self._indications()))
        parts += _section("Codes listed and valid", ((f"{code.system} {code.code}", "") for code in self._codes()))
        parts += _section("Answered elsewhere", self._elsewhere())
        parts += _section("Due", ((business, f"{clock.id}: {clock.says}") for business, clock in self._clocks()))
        return Group(*parts)

    # --- parts ---

    def _statements(self) -> list[Statement]:
        return [
            statement for statement in self.policy.document.statements if self._on_record() and statement.on(self.day)
        ]

    def _indications(self) -> list[Indication]:
        return [
            indication
            for indication in self.policy.document.indications
            if self._on_record() and indication.on(self.day)
        ]

    def _on_record(self) -> bool:
        return self.policy.edition_on(self.day) is not None

    def _codes(self) -> list[ListedCode]:
        standing = self.policy.codes.standing
        listed = self.policy.document.codes.listed if self.revision is not None else ()
        return [code for code in listed if standing(code.system, code.code, self.day) is CodeStanding.LISTED]

    def _exceptions(self) -> Iterator[tuple[PolicyException, ExceptionOutcome]]:
        for exception in self.policy.document.exceptions:
            if (outcome := in_force(exception.outcomes, self.day)) is not None:
                yield exception, outcome

    def _clocks(self) -> Iterator[tuple[str, Clock]]:
        clocks = {clock.id: clock for clock in self.policy.document.clocks}
        for choice in self.policy.document.clock_for:
            yield choice.line_of_business, clocks[choice.clock]

    def _version(self) -> Iterator[tuple[str, str]]:
        if self.revision is None:
            yield "revision", "none was in force"
        else:
            newest = self.revision.document.revisions[-1]
            number = f", then {self.revision.number}" if self.revision.number not in {None, self.policy.number} else ""
            yield "revision", f"{self.revision.revision}{number}: {' '.join(newest.says.split())}"
        edition = edition_on(self.policy.document.editions, self.day)
        if edition is not None:
            on_record = "" if edition.on_record else " Services are forwarded (policy_not_on_record)."
            yield "statements", f"as of {edition.since}: {' '.join(edition.says.split())}{on_record}"
        yield "known through", f"{self.newest.revision}, published {instant(self.newest.published)}"
        yield "", f"digest {self.newest.digest}"
        if self.newest.signed_by is not None:
            yield "", signer(self.newest.author, self.newest.signed_by)
        yield "document", f"sha256 {self.policy.sha256}"

    def _cited(self, parts: Sequence[Cited]) -> Iterator[tuple[str, str]]:
        for part in parts:
            cites = ", ".join(f"{cite.section} {cite.ordinal}" for cite in part.cites)
            yield part.id, " ".join(part.says.split()) + (f" [{cites}]" if cites else "")

    def _elsewhere(self) -> Iterator[tuple[str, str]]:
        for exception, outcome in self._exceptions():
            where = outcome.program.name if outcome.program is not None else "not on record"
            yield exception.line_of_business, f"{words(outcome.determination.value)}: {where}"


def standing(chain: Chain, newest: Publication, day: date) -> PolicyAsOf:
    """The policy for services of a day, by a chain that ends with `newest`."""
    return PolicyAsOf(policy_of(newest), newest, chain.in_force(day), day)


def _revision(publication: Publication) -> Row:
    row = {
        "revision": publication.revision.isoformat(),
        "number": publication.number,
        "digest": publication.digest,
        "sha256": publication.sha256,
    }
    return {name: value for name, value in row.items() if value is not None}


def _cited(part: Cited) -> Row:
    return {"id": part.id, "says": part.says, "cites": [citation.model_dump() for citation in part.cites]}


def _section(title: str, rows: Iterator[tuple[str, str]]) -> list[RenderableType]:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for left, right in rows:
        table.add_row(Text(left), Text(right))
    return [Text(f"\n{title}", style="bold"), Padding(table, (0, 0, 0, 2))] if table.row_count else []
