"""`dli rights`."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.table import Table

from workers.configuration.command_options import Prefix, settings
from workers.console.exit_codes import CommandError
from workers.console.printing import AsRows, Output, out, write_json
from workers.kafka import acls
from workers.kafka.acls import AclRule


def add_commands(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("rights")(show_rights)


def show_rights(
    role: Annotated[str | None, typer.Option("--role", help=f"One of {', '.join(acls.ROLES)}.")] = None,
    topic_prefix: Prefix = None,
    output: AsRows = Output.TABLE,
) -> None:
    """Show the rights of each role on a Kafka that requires authentication."""
    if role is not None and role not in acls.ROLES:
        raise CommandError(f"no role {role}; there are {', '.join(acls.ROLES)}")
    found = acls.rights(settings(topic_prefix=topic_prefix), role)
    if output is Output.JSONL:
        for rule in found:
            write_json(rule._asdict())
    else:
        out.print(_rights_table(found))


def _rights_table(found: Iterable[AclRule]) -> Table:
    table = Table(header_style="bold")
    for column in ("role", "operations", "resource", "name", "why"):
        table.add_column(column, overflow="fold")
    for rule in found:
        name = f"{rule.name}*" if rule.is_prefix else rule.name
        table.add_row(rule.role, ", ".join(rule.operations), rule.resource, name, rule.why)
    return table
