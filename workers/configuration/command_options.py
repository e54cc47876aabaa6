"""What several commands take: a file of events, options that stand for settings, the settings with those first."""

from pathlib import Path
from typing import Annotated

import typer

from workers.configuration import settings as configuration
from workers.configuration.settings import Settings
from workers.console.printing import err

Bootstrap = Annotated[str | None, typer.Option("--bootstrap", help="Kafka's bootstrap servers, host:port.")]
Prefix = Annotated[str | None, typer.Option("--topic-prefix", help="A prefix for every topic's name.")]
AppId = Annotated[str | None, typer.Option("--app-id", help="The workers' consumer group.")]
Partitions = Annotated[
    int | None,
    typer.Option("--partitions", min=1, help="Number of partitions of requests, decisions and dead letters."),
]
ArchiveKeys = Annotated[
    Path | None,
    typer.Option("--keys", help="A folder of public keys, NAME.pem; one of them must have signed the archive."),
]
Policies = Annotated[
    list[Path] | None,
    typer.Option("--policies", help="A folder of policy documents; may be repeated."),
]
DefaultPolicy = Annotated[str | None, typer.Option("--policy", help="The policy for requests without one.")]

Events = Annotated[
    Path,
    typer.Argument(
        metavar="FILE|-",
        help="Requests, bare data or CloudEvents: a JSON object a line, pretty-printed, or one array; also as gzip or "
        "UTF-16.",
    ),
]
"""A file of events."""


def settings(**flags: object) -> Settings:
    """The settings of this process, with options first; unknown settings cause a warning.

    Raises:
        SettingsError: Some are invalid.
    """
    policies = flags.get("policies")
    found = configuration.read(**{**flags, "policies": tuple(policies) if isinstance(policies, list) else None})
    if (unread := configuration.unknown()) is not None:
        err.print(f"warning: {unread}")
    return found
