"""The image's bill of materials, in CycloneDX: what is installed, in which version, under which licence, from what.

cyclonedx-py reads the environment, which knows names, versions, package URLs and who needs whom. The licences are those
that our check concluded, the digests those that the image's build holds archives against.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from deploy.supply_chain import licences
from deploy.supply_chain.check import ENVIRONMENT, ROOT, RUNTIME, TARGET, AuditError, Outcome, last_line, outcome, ran
from deploy.supply_chain.pins import Pin, pins

CHECK = "bill of materials"
FILE = TARGET / "sbom.cdx.json"
_VERSION = "1.6"


def check(*, file: Path = FILE, environment: Path = ENVIRONMENT) -> Outcome:
    """Write it; it must hold exactly what is pinned, each with a licence, and be valid.

    Raises:
        AuditError: Nothing is installed there, or a tool is not.
    """
    wanted = [pin for pin in pins(RUNTIME) if pin.applies]
    found = licences.concluded(licences.declared(environment), licences.Licences())
    bom = completed(_read(environment), wanted, found)
    # One order and one form: the same pins give the same bytes.
    text = json.dumps(bom, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    looked_at = (
        f"{len(bom['components'])} components in {file.relative_to(ROOT) if file.is_relative_to(ROOT) else file}"
    )
    return outcome(CHECK, looked_at, [*differences(bom, wanted), *mistakes(text)])


def _read(environment: Path) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        written = Path(folder) / "bom.json"
        done = ran(
            "cyclonedx-py", "environment", environment / "bin" / "python", "--pyproject", ROOT / "pyproject.toml",
            "--output-reproducible", "--spec-version", _VERSION, "--output-format", "JSON", "--output-file", written,
        )  # fmt: skip
        if done.returncode or not written.exists():
            raise AuditError(f"cyclonedx-py ends with {done.returncode}: {last_line(done.stderr)}")
        bom: dict[str, Any] = json.loads(written.read_text("utf-8"))
        return bom


def completed(bom: dict[str, Any], wanted: Sequence[Pin], found: Mapping[str, str | None]) -> dict[str, Any]:
    """The same, each component with the licence that was found and the digests that are pinned."""
    hashes = {pin.name: pin.hashes for pin in wanted}
    for one in bom["components"]:
        name = canonicalize_name(one["name"])
        expression = found.get(name)
        if expression is not None:
            one["licenses"] = [{"acknowledgement": "concluded", "expression": expression}]
        # All archives of the version, as for other systems: a digest of the component would be of one of them.
        one.setdefault("externalReferences", []).append(
            {
                "type": "distribution",
                "url": one["purl"],
                "comment": f"archives that {RUNTIME.relative_to(ROOT)} lets in",
                "hashes": [{"alg": "SHA-256", "content": digest} for digest in hashes.get(name, ())],
            }
        )
    return bom


def differences(bom: Mapping[str, Any], wanted: Sequence[Pin]) -> list[str]:
    """Where components are not exactly the pins, or have no licence."""
    pinned = {(pin.name, pin.version) for pin in wanted}
    held = {(canonicalize_name(one["name"]), Version(one["version"])) for one in bom["components"]}
    return [
        *(f"{name} {version} is pinned, and no component" for name, version in sorted(pinned - held)),
        *(f"{name} {version} is a component, and not pinned" for name, version in sorted(held - pinned)),
        *(f"{one['name']} has no licence" for one in bom["components"] if not one.get("licenses")),
    ]


def mistakes(text: str) -> list[str]:
    """What CycloneDX's own schema has against it."""
    # Of the environment of the tools alone, and slow to import.
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    error = JsonStrictValidator(SchemaVersion.from_version(_VERSION)).validate_str(text)
    return [] if error is None else [f"it is not valid CycloneDX {_VERSION}: {str(error.data).splitlines()[0]}"]
