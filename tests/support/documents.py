"""Documents in plain data, and the page that explains their format."""

import json
import re
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
