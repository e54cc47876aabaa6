"""For retroactive revisions: how many recorded decisions they would change, and which lines."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from policy_core.document.models import PolicyDocument
from policy_core.publications.publication import Publication
from workers.configuration.settings import Settings
from workers.console.errors import DliError
from workers.console.printing import err, out

Effect = Callable[[PolicyDocument, Settings, Path | None], bool]
"""Prints how a document would change recorded decisions; returns whether it would."""
Log = Annotated[
    Path | None,
    typer.Option("--log", metavar="ARCHIVE", help="The record that one of the past is held against; Kafka otherwise."),
]


class Past:
    """The recorded decisions that a retroactive revision affects."""

    def __init__(self, effect: Effect, log: Path | None, found: Settings) -> None:
        self._effect = effect
        self._log = log
        self._found = found

    def print_effect(self, one: Publication) -> bool:
        """Print whether a revision is retroactive and what it would change; return whether it would."""
        days = (datetime.now(UTC).date() - one.effective).days
        if days <= 0 or one.predecessor is None:
            return False
        out.print(f"It lies in the past: it is effective from {one.effective}, {days} days ago. Of what is recorded:")
        try:
            return self._effect(one.document, self._found, self._log)
        except DliError as error:
            err.print(
                f"what it would change of recorded decisions is not known: {error}; --log ARCHIVE names another log"
            )
            return False
