"""The Kubernetes manifests as kustomize builds them, and their schemas."""

import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.generate import FOLDER as DEPLOY

KUBERNETES = DEPLOY / "kubernetes"


BASE = KUBERNETES / "base"


KUSTOMIZE = DEPLOY / "tools" / "target" / "kustomize"


OLDEST = "1.31"
"""The oldest Kubernetes that is promised; and the newest that the schemas know."""


NEWEST = "1.37"


Manifest = dict[str, Any]


def documents(text: str) -> list[Manifest]:
    return [one for one in yaml.safe_load_all(text) if one is not None]


def in_base() -> list[Manifest]:
    files = [BASE / name for name in yaml.safe_load((BASE / "kustomization.yaml").read_text("utf-8"))["resources"]]
    return [one for file in files for one in documents(file.read_text("utf-8"))]


def named(found: list[Manifest], kind: str, name: str) -> Manifest:
    [one] = [one for one in found if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return one


def problem(manifest: Manifest) -> str | None:
    """What is wrong with a manifest of Kubernetes itself or of KEDA."""
    if manifest["apiVersion"].startswith("keda.sh/"):
        return keda_problem(manifest)
    try:
        for version in (OLDEST, NEWEST):
            kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error.message)
    return None


def keda_problem(manifest: Manifest) -> str | None:
    from cloudcoil.models.keda import v1alpha1  # noqa: PLC0415 (takes a second, in every test process)

    models = {"ScaledObject": v1alpha1.ScaledObject, "TriggerAuthentication": v1alpha1.TriggerAuthentication}
    try:
        read = models[manifest["kind"]].model_validate(manifest)
    except ValueError as error:
        return str(error)
    # The models let unknown fields pass, and forget them.
    kept = read.model_dump(by_alias=True, exclude_unset=True, mode="json")
    return None if kept == manifest else "a field that KEDA does not know"


def of_strimzi(manifest: Manifest) -> bool:
    return str(manifest["apiVersion"]).startswith("kafka.strimzi.io/")


def kustomized(folder: Path) -> list[Manifest]:
    if not KUSTOMIZE.exists():
        pytest.fail("kustomize is not there: run `make tools`")
    ran = subprocess.run([KUSTOMIZE, "build", folder], capture_output=True, text=True, check=False)  # noqa: S603 (built by us)
    if ran.returncode:
        raise ValueError(ran.stderr)
    return documents(ran.stdout)
