"""What every part of a policy document is, and the single words that parts are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Patterns of single words; `yaml_mistakes` has a sentence for each.
IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
FACT_PATH = r"^(?:clinical|line)(\.[a-z][a-z0-9_]*){1,8}$"
WORD = r"^[a-z][a-z0-9_]*$"
CODE = r"^[A-Z0-9.]+$"
CODES = r"^[A-Z0-9.]+(-[A-Z0-9.]+)?$"
CODE_AND_SYSTEM = r"^[a-z0-9-]+ [A-Z0-9.]+$"
DIGEST = r"^[0-9a-f]{64}$"
UNIT = r"^[A-Za-z0-9%/.^*\[\]{}_-]{1,32}$"
STATE = r"^[A-Z]{2}$"
TIME_ZONE = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"

Identifier = Annotated[str, Field(pattern=IDENTIFIER, max_length=128)]
FactPath = Annotated[str, Field(pattern=FACT_PATH, max_length=256)]
Word = Annotated[str, Field(pattern=WORD, max_length=128)]
Sentence = Annotated[str, Field(min_length=1)]
MOST_CHARACTERS = 64
"""Maximum length of a code."""


OF_LINE = "line."
"""Begins the path of a fact that belongs to a line; a request states it in the line's own `clinical`."""


class Part(BaseModel):
    """Any part of a document: frozen, and closed to fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
