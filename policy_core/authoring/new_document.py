"""A document to begin with: small, complete and commented, with examples that hold."""

import json
import re
from datetime import date
from pathlib import Path

from policy_core.document.part import IDENTIFIER

TEMPLATE = Path(__file__).with_name("new_document.yaml")
LONGEST_NUMBER = 128
LONGEST_TITLE = 500


def new_document(number: str, title: str, day: date) -> str:
    """The text of a new document, whose one revision is of `day`.

    Raises:
        ValueError: The number or the title cannot stand in a document.
    """
    if not re.fullmatch(IDENTIFIER.removeprefix("^").removesuffix("$"), number) or len(number) > LONGEST_NUMBER:
        raise ValueError(
            f"{number!r} is no number of a policy; write up to 128 letters, digits, dots, hyphens and underscores"
        )
    if not title.strip() or not title.isprintable() or len(title) > LONGEST_TITLE:
        raise ValueError(f"the title is no text of one line with up to {LONGEST_TITLE} characters")
    # In quotes, because YAML would read `2024` and `1.5` as numbers.
    return TEMPLATE.read_text("utf-8").format(number=_quoted(number), title=_quoted(title), day=day.isoformat())


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
