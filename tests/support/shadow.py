"""A draft that decides beside the policy in force."""

import json
from datetime import date
from pathlib import Path

from policy_core.document.models import PolicyDocument
from policy_core.history.library import PACKAGED

DOCUMENT = PACKAGED / "L.2.03.402.yaml"


FROM = date(2025, 4, 1)
"""From this service date on the draft covers relapse no more."""


def written(document: PolicyDocument, folder: Path) -> Path:
    """The document as the file of a draft."""
    file = folder / "draft.yaml"
    file.write_text(json.dumps(document.model_dump(mode="json", by_alias=True, exclude_defaults=True)), "utf-8")
    return file
