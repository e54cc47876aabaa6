"""Settings that nothing outside the test changes."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.upper().startswith("DLI_"):
            monkeypatch.delenv(name)
