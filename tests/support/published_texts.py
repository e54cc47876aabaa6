"""Policy documents with the texts they were written from: the invented one's always, the packaged ones' where given."""

from pathlib import Path

import pytest

from policy_core.history.library import PACKAGED
from tests.support.cases import OTHER_FILE, OTHER_TEXT


def pairs(config: pytest.Config) -> list[tuple[Path, Path]]:
    """The invented policy with its text, and each packaged one whose text `--published-texts` has."""
    given = config.getoption("--published-texts")
    packaged = sorted(PACKAGED.glob("*.yaml")) if given else []
    return [(OTHER_FILE, OTHER_TEXT), *((file, Path(given) / f"{file.stem}.source.txt") for file in packaged)]
