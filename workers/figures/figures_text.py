"""The figures as a table."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from workers.figures.definitions import BASIS, PARTS
from workers.figures.figures import PublicFigures
from workers.figures.layout import lines
from workers.figures.read_cases import Extent


def report(found: PublicFigures, extent: Extent) -> Group:
    """The whole report."""
    heading = (
        f"{found.policy}, {found.title}, with its revisions up to {found.known_through}\n"
        f"Year {found.year} in the time zone {found.time_zone}; {found.cases:,} cases of {extent.says}\n"
    )
    tables = []
    for part in PARTS:
        table = Table(title=part.title, title_justify="left", header_style="bold", show_lines=True)
        for column in ("figure", "name", "value", "definition"):
            table.add_column(column, overflow="fold")
        for figure in part.figures:
            value = "\n".join(lines(figure, found.values[figure.id]))
            table.add_row(figure.id, figure.name, value, figure.says)
        tables.append(table)
    return Group(Text(heading), *tables, *(Text(f"\n{paragraph}") for paragraph in BASIS))
