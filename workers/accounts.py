"""Accounts that balance: what became of the records of each partition of requests, proved from what Kafka holds.

With every batch, the transaction that carries its answers and its offset carries a note: how many records have been
consumed since the account was opened, and how many of them were decided, duplicates, or dead letters. Consumed is
counted where records come in, decided and dead letters where answers go out, duplicates where one is recognized; so a
record that leaves no trace, or two, shows as a difference.

    consumed = decided + duplicates + dead-lettered

A note lives where the committed offset lives: it is taken over with the partition, comes again with no batch that
failed, and outlasts workers. Who resets the group's offsets clears the notes; new accounts are opened there.

`recount` goes further: it reads the topics through and counts what is really there.
"""

import re
from dataclasses import dataclass, replace

_NOTE = re.compile(r"accounts/1 since=(\d+) consumed=(\d+) decided=(\d+) duplicates=(\d+) dead_lettered=(\d+)")


@dataclass(frozen=True, slots=True)
class Account:
    """One partition's."""

    since: int
    """The offset from which on records are counted."""
    consumed: int = 0
    decided: int = 0
    duplicates: int = 0
    dead_lettered: int = 0

    @property
    def difference(self) -> int:
        """Records consumed that left no trace; below 0, traces without a record."""
        return self.consumed - self.decided - self.duplicates - self.dead_lettered

    def after(self, consumed: int, decided: int, duplicates: int, dead_lettered: int) -> "Account":
        """The account with one more batch."""
        return replace(
            self,
            consumed=self.consumed + consumed,
            decided=self.decided + decided,
            duplicates=self.duplicates + duplicates,
            dead_lettered=self.dead_lettered + dead_lettered,
        )

    def note(self) -> str:
        """As it is committed with the offset."""
        return (
            f"accounts/1 since={self.since} consumed={self.consumed} decided={self.decided} "
            f"duplicates={self.duplicates} dead_lettered={self.dead_lettered}"
        )


def read_note(note: str) -> Account | None:
    """The account in a committed offset's note; None where there is none."""
    found = _NOTE.fullmatch(note)
    return Account(*map(int, found.groups())) if found else None
