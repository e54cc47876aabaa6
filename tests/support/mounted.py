"""What a container of a build sees: its environment, and its mounted files as a node lays them out."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]
Contents = Mapping[str, Mapping[str, str]]
"""Of Secrets or ConfigMaps, by name and key."""
_NODES_OWN = 0o644
"""The mode of a mounted file where nobody says another."""


class NotStartedError(Exception):
    """A node starts no pod that mounts what is not there."""


def pods(built: list[Manifest]) -> dict[str, Manifest]:
    """The pods of whatever makes some, also of kinds that nobody thought of."""
    found = {}
    for one in built:
        spec = one.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        pod = spec.get("template", {}).get("spec", spec)
        if "containers" in pod:
            found[f"{one['kind']} {one['metadata']['name']}"] = pod
    return found


def containers(built: list[Manifest]) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Every container, with its pod and that one's name."""
    for name, pod in pods(built).items():
        for one in (*pod.get("initContainers", ()), *pod["containers"]):
            yield name, pod, one


def maps(built: list[Manifest]) -> dict[str, dict[str, str]]:
    """What the ConfigMaps have that the build makes."""
    return {one["metadata"]["name"]: one.get("data") or {} for one in built if one["kind"] == "ConfigMap"}


def environment(built: list[Manifest], container: Manifest) -> dict[str, str]:
    """A container's environment; empty where it is not a value of the build."""
    given: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        given |= maps(built).get(source.get("configMapRef", {}).get("name"), {})
    return given | {one["name"]: one.get("value", "") for one in container.get("env", ())}


def volume_at(pod: Manifest, container: Manifest, path: str) -> Manifest | None:
    """The volume that is mounted there, to be read only."""
    for mount in container["volumeMounts"]:
        if mount["mountPath"] == path and mount.get("readOnly") is True and "subPath" not in mount:
            found: list[Manifest] = [one for one in pod["volumes"] if one["name"] == mount["name"]]
            return found[0]
    return None


def sources(volume: Manifest) -> Iterator[tuple[str, str, Manifest]]:
    """The Secrets and ConfigMaps of a volume: the kind, the name, the rest."""
    for one in (volume, *volume.get("projected", {}).get("sources", ())):
        if "secret" in one:
            yield "Secret", one["secret"].get("secretName") or one["secret"]["name"], one["secret"]
        if "configMap" in one:
            yield "ConfigMap", one["configMap"]["name"], one["configMap"]


def laid_out(folder: Path, volume: Manifest, contents: Contents) -> Path:
    """The folder of a volume, by links into a hidden one, as kubelet's atomic writer makes it.

    Raises:
        NotStartedError: Something is not there that is not optional.
    """
    hidden = folder / "..2026_11_27_02_00_00.123456789"
    hidden.mkdir(parents=True)
    (folder / "..data").symlink_to(hidden.name)
    for kind, name, how in sources(volume):
        there = contents.get(name)
        if there is None and not how.get("optional"):
            raise NotStartedError(f"{kind} {name} not found")
        every = [{"key": key, "path": key} for key in there or ()]
        for item in how.get("items", every):
            if item["key"] not in (there or {}):
                if how.get("optional"):
                    continue
                raise NotStartedError(f"{kind} {name} has no {item['key']}")
            file = hidden / item["path"]
            file.write_text((there or {})[item["key"]], "utf-8")
            file.chmod(how.get("defaultMode", _NODES_OWN))
            (folder / item["path"]).symlink_to(f"..data/{item['path']}")
    return folder
