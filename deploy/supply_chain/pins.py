"""What the requirement files pin: name, version, condition and the digests of the archives that are let in."""

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from deploy.supply_chain.check import AuditError

_HASH = re.compile(r"\s--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Pin:
    """One package in one version."""

    name: str
    """As packages are compared: in small letters, with hyphens."""
    version: Version
    marker: Marker | None
    hashes: tuple[str, ...]
    """SHA-256 of each archive that may be installed."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def applies(self) -> bool:
        """Whether it is installed on a machine like this one."""
        return self.marker is None or self.marker.evaluate()


def pins(file: Path) -> list[Pin]:
    """All that a file pins, in its order.

    Raises:
        AuditError: It cannot be read, or a line pins no version or no digest.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"{file}: it cannot be read ({type(error).__name__})") from None
    found: list[Pin] = []
    for line in text.replace("\\\n", " ").splitlines():
        said = line.split(" #")[0].strip()
        if said and not said.startswith("#"):
            found.append(_pin(file, said))
    return found


def _pin(file: Path, said: str) -> Pin:
    hashes = tuple(_HASH.findall(said))
    try:
        read = Requirement(said.split(" --hash", maxsplit=1)[0])
    except InvalidRequirement:
        raise AuditError(f"{file}: {said[:60]!r} is no requirement") from None
    exact = [one.version for one in read.specifier if one.operator == "=="]
    if len(exact) != 1 or len(read.specifier) != 1 or exact[0].endswith(".*"):
        raise AuditError(f"{file}: {read.name} is pinned to no version")
    if not hashes:
        raise AuditError(f"{file}: {read.name} is pinned by no digest")
    return Pin(canonicalize_name(read.name), Version(exact[0]), read.marker, hashes)
