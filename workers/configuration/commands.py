"""`dli settings`: every setting, with its value and where that comes from."""

from collections.abc import Iterable

import typer
from rich.table import Table

from workers.configuration.command_options import settings as read_settings
from workers.configuration.setting_values import DisplayValue, SettingValue, values
from workers.console.printing import AsRows, Output, out, write_json


def add_commands(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("settings")(show_settings)


def show_settings(output: AsRows = Output.TABLE) -> None:
    """Show every setting with its value and origin; for a secret, only whether it is set."""
    found = values(read_settings())
    if output is Output.JSONL:
        for setting in found:
            write_json(setting._asdict())
        return
    out.print(_table(found))


def _table(found: Iterable[SettingValue]) -> Table:
    table = Table(header_style="bold")
    for column in ("setting", "value", "origin"):
        table.add_column(column, overflow="fold")
    for setting in found:
        table.add_row(setting.variable, _cell(setting.value), setting.origin)
    return table


def _cell(value: DisplayValue) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "-"
    return "-" if value in (None, "") else str(value)
