"""The figures as a page fit to publish: one file without scripts, for screen, print and screen readers."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from workers.console.printable import printable
from workers.figures.definitions import BASIS, PARTS
from workers.figures.figures import PublicFigures
from workers.figures.layout import lines
from workers.figures.read_cases import Extent

TEMPLATE = Path(__file__).parent / "page.html"


def html(found: PublicFigures, extent: Extent) -> str:
    """Render the page."""
    environment = Environment(
        autoescape=True, finalize=_escaped, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(TEMPLATE.read_text("utf-8"))
    return template.render(found=found, extent=extent, basis=BASIS, parts=PARTS, lines=lines)


def _escaped(value: Any) -> Any:
    return printable(value, "\n") if isinstance(value, str) else value
