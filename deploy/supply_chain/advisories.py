"""Known vulnerabilities of what is pinned: by a service where one answers, and always by a list of our own."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from deploy.supply_chain.check import FOLDER, TARGET, AuditError, Outcome, entries, last_line, outcome, ran, read
from deploy.supply_chain.pins import Pin, pins

CHECK = "vulnerabilities"
LIST = FOLDER / "advisories.yaml"
OLD_DAYS = 180
_PATIENCE_SECONDS = 10
_UNREACHED = re.compile(r"requests\.exceptions\.(\w+)|pip_audit\._service\.interface\.(\w+)|(Could not connect)")
"""How pip-audit ends where its service gives no answer, or none that it can use."""


class UnreachedError(Exception):
    """No service answers; its message is what kept it."""


@dataclass(frozen=True)
class Advisory:
    """What is known of versions of a package."""

    package: str
    id: str
    affected: tuple[SpecifierSet, ...]
    what: str

    def concerns(self, pin: Pin) -> bool:
        """Whether the pinned version is affected."""
        return self.package == pin.name and any(one.contains(pin.version, prereleases=True) for one in self.affected)


@dataclass(frozen=True)
class Advisories:
    """Our list."""

    as_of: date
    """Nothing published later is in it."""
    known: tuple[Advisory, ...]


def advisories(file: Path = LIST) -> Advisories:
    """The list in a file.

    Raises:
        AuditError: A mistake in it.
    """
    as_of = read(file).get("as_of")
    if type(as_of) is not date:
        raise AuditError(f"{file}: `as_of` needs a day, as in 2026-01-31")
    return Advisories(as_of, tuple(_advisory(file, entry) for entry in _listed(file)))


def _listed(file: Path) -> list[dict[str, Any]]:
    return entries(file, "advisories", "package", "id", "affected", "what")


def _advisory(file: Path, entry: Mapping[str, Any]) -> Advisory:
    ranges = entry["affected"] if isinstance(entry["affected"], list) else [entry["affected"]]
    try:
        affected = tuple(SpecifierSet(str(one)) for one in ranges)
    except InvalidSpecifier:
        raise AuditError(f"{file}: {entry['id']}: `affected` needs versions, as in '>=1.0,<1.2.3'") from None
    return Advisory(canonicalize_name(str(entry["package"])), str(entry["id"]), affected, str(entry["what"]))


def asked(file: Path, service: str | None = None) -> list[tuple[str, tuple[str, ...], str]]:
    """What a service knows of a requirement file's pins, by pip-audit: package with version, ids, remedy.

    Raises:
        UnreachedError: It does not answer.
        AuditError: pip-audit cannot read the file, or is not there.
    """
    # The digests are held by pip when it installs; --disable-pip keeps pip-audit from resolving, and from any index.
    done = ran(
        "pip-audit", "--requirement", file, "--disable-pip", "--require-hashes", "--vulnerability-service", "osv",
        "--format", "json", "--desc", "off", "--progress-spinner", "off", "--timeout", str(_PATIENCE_SECONDS),
        "--cache-dir", TARGET / "cache", *(["--osv-url", service] if service else []),
    )  # fmt: skip
    if not done.stdout.strip():
        said = last_line(done.stderr)
        kept = _UNREACHED.search(said)
        if kept:
            raise UnreachedError(next(filter(None, kept.groups())))
        raise AuditError(f"{file}: pip-audit ends with {done.returncode}: {said}")
    return told(done.stdout)


def told(report: str) -> list[tuple[str, tuple[str, ...], str]]:
    """What pip-audit's report says: package with version, ids, remedy.

    Raises:
        AuditError: It is none.
    """
    found: list[tuple[str, tuple[str, ...], str]] = []
    try:
        for package in json.loads(report)["dependencies"]:
            if "skip_reason" in package:
                found.append((package["name"], ("no answer",), package["skip_reason"]))
            for one in package.get("vulns", []):
                ids = (one["id"], *one.get("aliases", []))
                fixed = ", ".join(one["fix_versions"])
                remedy = f"mended in {fixed}" if fixed else "not mended in any version"
                found.append((f"{canonicalize_name(package['name'])} {package['version']}", ids, remedy))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AuditError("pip-audit's report is not what it was in the version that is pinned") from None
    return found


def check(
    files: Sequence[Path], *, listed: Path = LIST, service: str | None = None, today: date | None = None
) -> Outcome:
    """Hold every pin of the files against the service and the list.

    The list is always asked: pip-audit passes over pins for other systems and Pythons than this one.

    Raises:
        AuditError: A file or the list has a mistake, or pip-audit is not there.
    """
    ours = advisories(listed)
    pinned = {file: pins(file) for file in files}
    failures: dict[tuple[str, str], str] = {}
    for package, one, said in _by_list(ours.known, pinned):
        failures.setdefault((package, one), said)
    warnings: list[str] = []
    known = f"the list of {ours.as_of}, {len(ours.known)} advisories and not complete"
    age = ((today or date.today()) - ours.as_of).days  # noqa: DTZ011 (a person's day, not an instant)
    if age > OLD_DAYS:
        warnings.append(f"the list is {age} days old: go through what was published since {ours.as_of}")
    try:
        for file in files:
            for package, ids, remedy in asked(file, service):
                if not any((package, one) in failures for one in ids):
                    failures[package, ids[0]] = f"{file.name}: {package} has {' = '.join(ids)}, {remedy}"
        asked_of = "a service of advisories"
    except UnreachedError as error:
        warnings.append(f"no service of advisories answers ({error}): the pins are held against {known}, alone")
        asked_of = "no service"
    packages = {(pin.name, pin.version) for found in pinned.values() for pin in found}
    looked_at = f"{len(packages)} pins in {len(files)} files, by {asked_of} and {known}"
    return outcome(CHECK, looked_at, list(failures.values()), warnings)


def _by_list(known: Iterable[Advisory], pinned: Mapping[Path, Sequence[Pin]]) -> Iterable[tuple[str, str, str]]:
    for advisory in known:
        for file, found in pinned.items():
            for pin in found:
                if advisory.concerns(pin):
                    said = f"{file.name}: {pin} has {advisory.id}, by our list: {advisory.what}"
                    yield str(pin), advisory.id, said
