"""Every valid example of a decision."""

import json
from typing import Any

from tests.support.places import ROOT

EXAMPLES = ROOT / "events" / "examples"


def every_decision() -> list[dict[str, Any]]:
    folder = EXAMPLES / "authorization.decided.v1" / "valid"
    return [json.loads(file.read_bytes())["data"] for file in sorted(folder.iterdir())]
