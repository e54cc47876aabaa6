"""Documents in plain data, and the page that explains their format."""

import json
import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from typing import Any

from ruamel.yaml import YAML

from policy_core.evaluate.determine import Policy
from policy_core.history.library import PACKAGED
from policy_core.loading.load import parse


def plain(text: str) -> Any:
    """A document's text as plain JSON values."""
    return json.loads(as_json(text))


@cache
def as_json(text: str) -> str:
    return json.dumps(YAML(typ="safe", pure=True).load(text), default=date.isoformat)


PAGE = (PACKAGED.parent / "README.md").read_text("utf-8")


def blocks(language: str) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))


@cache
def explained() -> Policy:
    return Policy(parse(blocks("yaml").encode(), "README.md"))


Route = tuple[str | int, ...]


def every_path(node: Any, above: Route = ()) -> Iterator[Route]:
    parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for part, below in parts:
        yield (*above, part)
        yield from every_path(below, (*above, part))


def at(tree: Any, path: Route) -> Any:
    for part in path:
        tree = tree[part]
    return tree
