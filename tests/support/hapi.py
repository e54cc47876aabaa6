"""HAPI FHIR's validator with the PAS guide, in a JVM of its own: it says what is wrong with resources."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from tests.support.interop_samples import GUIDE, NO_GUIDE
from tests.support.places import ROOT

TARGET = ROOT / "tests" / "events" / "adapters" / "hapi" / "target"
PATIENCE_SECONDS = 1_800
"""A thousand resources take a minute of processor time; a busy machine takes many for that."""
_OPTIONS = ("-Xmx2g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")


class Problem(NamedTuple):
    """What is wrong with a resource, and where."""

    location: str
    message: str


def validated(resources: Sequence[bytes]) -> list[list[Problem]]:
    """The errors of each resource, given as JSON in one line; skips without the guide, HAPI or Java."""
    if GUIDE is None:
        pytest.skip(NO_GUIDE)
    java = shutil.which("java")
    if java is None or not (TARGET / ".ready").exists():
        pytest.skip("Java or HAPI is not here; `make test-interop` copies HAPI's jars with Maven")
    command = [java, *_OPTIONS, "-cp", f"{TARGET / 'classes'}:{TARGET / 'libs'}/*", "Validator", str(GUIDE)]
    ran = subprocess.run(  # noqa: S603 (Java, and our own program)
        command, input=b"\n".join(resources), stdout=subprocess.PIPE, check=True, timeout=PATIENCE_SECONDS
    )
    found = [json.loads(line)["errors"] for line in ran.stdout.splitlines()]
    assert len(found) == len(resources)
    return [[Problem(**error) for error in errors] for errors in found]
