"""Signatures on Kubernetes: readers of revisions have the publishers' keys, who archives alone a private one."""

import copy
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from deploy.kubernetes.strimzi import USERS
from events.topics import POLICY_REVISIONS
from tests.support.manifests import KUBERNETES, in_base, kustomized, named, of_strimzi, problem
from tests.support.mounted import (
    Contents,
    Manifest,
    NotStartedError,
    containers,
    environment,
    laid_out,
    maps,
    pods,
    sources,
    volume_at,
)
from tests.support.signed_revisions import judged, keys, ours, packaged_chain, seen, signed
from tests.support.signed_revisions import why as reason
from workers.archive.archive_signature import private_key
from workers.configuration.settings import Settings, read
from workers.kafka.acls import ROLES, rights
from workers.policies.revision_events import Judging, Outcome, terms_of

FIELDS = Settings.model_fields
SECRETS = {f"DLI_{name.upper()}" for name, one in FIELDS.items() if "SecretStr" in str(one.annotation)}
TERMS = {f"DLI_{name.upper()}" for name in FIELDS if name.startswith("policy_")} - SECRETS
"""What makes a revision count: whoever reads needs the same."""
READERS = {
    USERS[role]
    for role in ROLES
    if any(one.name == POLICY_REVISIONS and "READ" in one.operations for one in rights(Settings(), role))
}
ANCHOR = f"3@{'0' * 64}"


@pytest.fixture(scope="module")
def production() -> list[Manifest]:
    return kustomized(KUBERNETES / "overlays" / "production")


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An office's own, which has all that can be said, on the overlay that has nothing of it."""
    kubernetes = tmp_path_factory.mktemp("own") / "kubernetes"
    shutil.copytree(KUBERNETES, kubernetes, ignore=shutil.ignore_patterns("target"))
    folder = kubernetes / "overlays" / "own"
    folder.mkdir()
    (folder / "office.yaml").write_bytes(keys())
    (folder / "skips.yaml").write_text("skip: []\n", "utf-8")
    literals = [f"DLI_POLICY_SIGNED_FROM={ANCHOR}", "DLI_POLICY_SKIP_LIST=/etc/dli/policy-skips/skips.yaml"]
    made = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../staging"],
        "components": ["../../components/signed-policies", "../../components/signed-archives"],
        "configMapGenerator": [
            {"name": "dli-policy-keys", "files": ["office.yaml"]},
            {"name": "dli-policy-skips", "files": ["skips.yaml"]},
            {"name": "dli-settings", "behavior": "merge", "literals": literals},
        ],
        "namespace": "dli-authorization-staging",
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(made), "utf-8")
    return folder


@pytest.fixture(scope="module")
def own(overlay: Path) -> list[Manifest]:
    return kustomized(overlay)


# --- who reads revisions -------------------------------------------------------------------------------------------


def lacking(built: list[Manifest]) -> dict[str, str]:
    """Who reads revisions on other terms than it should, and how; whoever's user is none of ours may read them."""
    [terms] = [data for name, data in maps(built).items() if name.startswith("dli-settings")]
    found = {}
    for name, pod, one in containers(built):
        has = environment(built, one)
        if has.get("DLI_SASL_USERNAME") in set(USERS.values()) - READERS:
            continue
        other = sorted(term for term in TERMS if has.get(term) != terms.get(term))
        if "DLI_POLICY_KEYS" not in has:
            found[name] = "no keys"
        elif other:
            found[name] = f"another {other[0]}"
        elif not made(built, pod, one, has["DLI_POLICY_KEYS"], "dli-policy-keys"):
            found[name] = "keys that are not mounted"
        elif "DLI_POLICY_SKIP_LIST" in has:
            file = Path(has["DLI_POLICY_SKIP_LIST"])
            skips = made(built, pod, one, str(file.parent), "dli-policy-skips")
            if skips is None or file.name not in maps(built)[skips]:
                found[name] = "skips that are not mounted"
    return found


def made(built: list[Manifest], pod: Manifest, container: Manifest, path: str, begins: str) -> str | None:
    """The ConfigMap that is mounted there, if it is the one that this build makes."""
    volume = volume_at(pod, container, path)
    names = [name for kind, name, how in sources(volume or {}) if kind == "ConfigMap" and "items" not in how]
    return names[0] if len(names) == 1 and names[0].startswith(begins) and names[0] in maps(built) else None


@pytest.mark.tools
def test_all_revision_readers_share_keys_anchor_and_skip_list(production: list[Manifest], own: list[Manifest]) -> None:
    """All readers of revisions have the same keys, the same anchor and the same skip list."""
    users = {environment(own, one)["DLI_SASL_USERNAME"] for _, _, one in containers(own)}

    assert {USERS["worker"], USERS["dashboard"], USERS["policy"]} <= users & READERS
    assert {"DLI_POLICY_KEYS", "DLI_POLICY_SIGNED_FROM", "DLI_POLICY_SKIP_LIST"} <= TERMS
    assert lacking(production) == {}
    assert lacking(own) == {}
    for _, _, one in containers(own):
        assert environment(own, one)["DLI_POLICY_SIGNED_FROM"] == ANCHOR


def unmounted(pod: Manifest) -> None:
    mounts = pod["containers"][0]["volumeMounts"]
    mounts[:] = [one for one in mounts if one["name"] != "policy-keys"]


def writable(pod: Manifest) -> None:
    [mount] = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "policy-keys"]
    del mount["readOnly"]


def of_another(pod: Manifest) -> None:
    [volume] = [one for one in pod["volumes"] if one["name"] == "policy-keys"]
    volume["configMap"]["name"] = "dli-policy-keys-of-yesterday"


def in_part(pod: Manifest) -> None:
    [volume] = [one for one in pod["volumes"] if one["name"] == "policy-keys"]
    volume["configMap"]["items"] = [{"key": "office.yaml", "path": "office.yaml"}]


def without_skips(pod: Manifest) -> None:
    mounts = pod["containers"][0]["volumeMounts"]
    mounts[:] = [one for one in mounts if one["name"] != "policy-skips"]


def anchored_elsewhere(pod: Manifest) -> None:
    pod["containers"][0]["env"].append({"name": "DLI_POLICY_SIGNED_FROM", "value": f"9@{'1' * 64}"})


def told_nothing(pod: Manifest) -> None:
    del pod["containers"][0]["envFrom"]


def not_ours(pod: Manifest) -> None:
    pod["containers"][0]["env"][0]["value"] = "somebody-new"
    unmounted(pod)


def beside(pod: Manifest) -> None:
    second = copy.deepcopy(pod["containers"][0])
    second["volumeMounts"] = []
    pod["containers"].append(second)


@pytest.mark.tools
@pytest.mark.parametrize(
    ("worse", "why"),
    [
        (unmounted, "keys that are not mounted"),
        (writable, "keys that are not mounted"),
        (of_another, "keys that are not mounted"),
        (in_part, "keys that are not mounted"),
        (not_ours, "keys that are not mounted"),
        (beside, "keys that are not mounted"),
        (without_skips, "skips that are not mounted"),
        (anchored_elsewhere, "another DLI_POLICY_SIGNED_FROM"),
        (told_nothing, "no keys"),
    ],
)
@pytest.mark.parametrize("name", ["StatefulSet dli-worker", "Deployment dli-dashboard", "CronJob dli-policy"])
def test_a_reader_on_other_terms_is_noticed(
    own: list[Manifest], name: str, worse: Callable[[Manifest], None], why: str
) -> None:
    changed = copy.deepcopy(own)
    worse(pods(changed)[name])

    assert lacking(changed) == {name: why}


@pytest.mark.tools
@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet"])
def test_a_new_reader_gets_the_keys_or_is_noticed(overlay: Path, kind: str) -> None:
    """As a file more in the base, which nobody told the component of: it knows deployments, and no daemon sets."""
    kubernetes = overlay.parents[1].with_name(f"with-{kind}")
    shutil.copytree(overlay.parents[1], kubernetes)
    new = copy.deepcopy(named(in_base(), "Deployment", "dli-dashboard"))
    new["kind"], new["metadata"]["name"] = kind, "dli-auditor"
    (kubernetes / "base" / "auditor.yaml").write_text(yaml.safe_dump(new), "utf-8")
    listed = kubernetes / "base" / "kustomization.yaml"
    listed.write_text(listed.read_text("utf-8").replace("resources:\n", "resources:\n  - auditor.yaml\n", 1), "utf-8")

    built = kustomized(kubernetes / "overlays" / overlay.name)

    assert f"{kind} dli-auditor" in pods(built)
    expected = {} if kind == "Deployment" else {"DaemonSet dli-auditor": "keys that are not mounted"}
    assert lacking(built) == expected


@pytest.mark.tools
def test_what_is_mounted_tells_every_reader_who_may_publish(own: list[Manifest], tmp_path: Path) -> None:
    readers = list(containers(own))
    assert readers
    for name, pod, one in readers:
        has = environment(own, one)
        file = Path(has["DLI_POLICY_SKIP_LIST"])
        folder, skips = (
            laid_out(tmp_path / name / path.lstrip("/"), volume_at(pod, one, path) or {}, maps(own))
            for path in (has["DLI_POLICY_KEYS"], str(file.parent))
        )
        signed_from = has["DLI_POLICY_SIGNED_FROM"]
        terms = terms_of(read(policy_keys=folder, policy_skip_list=skips / file.name, policy_signed_from=signed_from))

        assert judged(signed(ours()), terms, offset=4).outcome is Outcome.ACCEPTED, name
        assert reason(judged(ours(), terms, offset=4))[0] == "signature", name
        assert judged(ours(), terms, offset=3).outcome is Outcome.ACCEPTED, f"{name}: not behind the anchor"


@pytest.mark.tools
def test_production_accepts_no_publisher_until_one_is_named(production: list[Manifest], tmp_path: Path) -> None:
    """In production nobody may publish until somebody is named as a publisher."""
    readers = list(containers(production))
    assert readers
    for name, pod, one in readers:
        volume = volume_at(pod, one, environment(production, one)["DLI_POLICY_KEYS"]) or {}
        terms = terms_of(Settings(policy_keys=laid_out(tmp_path / name, volume, maps(production))))
        judging = Judging(terms, ())

        assert {judging.take(seen(one, at)).outcome for at, one in enumerate(packaged_chain())} == {Outcome.ACCEPTED}
        for forged in (ours(), signed(ours())):
            assert reason(judged(forged, terms))[0] == "signature", name
        assert judged(ours(), terms_of(Settings())).outcome is Outcome.ACCEPTED, (
            "without keys who may write may publish"
        )
        laid_out(tmp_path / "no skips" / name, volume_at(pod, one, "/etc/dli/policy-skips") or {}, maps(production))
        with pytest.raises(NotStartedError, match="dli-policy-keys"):
            laid_out(tmp_path / "none" / name, volume, {})


@pytest.mark.tools
def test_the_lines_that_production_has_ready_are_all_it_takes(overlay: Path) -> None:
    folder = overlay.with_name("production")
    for name in ("policy-keys", "policy-skips"):
        (folder / name).mkdir()
    shutil.copy(overlay / "office.yaml", folder / "policy-keys" / "L.2.03.402.yaml")
    shutil.copy(overlay / "skips.yaml", folder / "policy-skips" / "skips.yaml")
    file = folder / "kustomization.yaml"
    text = file.read_text("utf-8").replace("files: []  # [", "files: [").replace("OFFSET@DIGEST", ANCHOR)
    text, lines = re.subn(r"^  # ((?:- name: | {2}).*)$", r"  \1", text, flags=re.MULTILINE)
    file.write_text(text, "utf-8")

    built = kustomized(folder)

    assert lines == 7
    assert lacking(built) == {}
    for _, _, one in containers(built):
        has = environment(built, one)
        assert (has["DLI_POLICY_SIGNED_FROM"], "DLI_POLICY_SKIP_LIST" in has) == (ANCHOR, True)


# --- the key that signs archives -----------------------------------------------------------------------------------


def private_to(built: list[Manifest]) -> set[str]:
    """Who can see the private key of archives."""
    return {
        name
        for name, pod in pods(built).items()
        for volume in pod["volumes"]
        for kind, secret, _ in sources(volume)
        if (kind, secret) == ("Secret", "dli-archive-key")
    }


@pytest.mark.tools
def test_who_archives_has_the_key_that_signs_and_nobody_else(production: list[Manifest], own: list[Manifest]) -> None:
    for built in (production, own):
        assert private_to(built) == {"CronJob dli-archive"}
        named_by = {name for name, _, one in containers(built) if "DLI_ARCHIVE_KEY" in environment(built, one)}
        assert named_by == {"CronJob dli-archive"}


@pytest.mark.tools
def test_who_archives_continues_only_what_a_known_key_signed(production: list[Manifest], own: list[Manifest]) -> None:
    """The public keys are mounted, and without them no pod starts: whoever writes to the folder continues no series."""
    for built in (production, own):
        found = {
            name: (pod, one) for name, pod, one in containers(built) if "DLI_ARCHIVE_KEYS" in environment(built, one)
        }
        assert found.keys() == {"CronJob dli-archive"}
        pod, one = found["CronJob dli-archive"]
        volume = volume_at(pod, one, environment(built, one)["DLI_ARCHIVE_KEYS"])
        assert list(sources(volume or {})) == [("ConfigMap", "dli-archive-keys", {"name": "dli-archive-keys"})]


@pytest.mark.tools
def test_another_who_has_the_key_is_noticed(own: list[Manifest]) -> None:
    changed = copy.deepcopy(own)
    pods(changed)["Deployment dli-dashboard"]["volumes"].append(
        {"name": "mine", "projected": {"sources": [{"secret": {"name": "dli-archive-key"}}]}}
    )

    assert private_to(changed) == {"CronJob dli-archive", "Deployment dli-dashboard"}


def archived_by(built: list[Manifest], folder: Path, secrets: Contents) -> tuple[Path, Path]:
    """The files of key and secrets of whoever archives."""
    [(pod, one)] = [(pod, one) for name, pod, one in containers(built) if name == "CronJob dli-archive"]
    has = environment(built, one)
    file = Path(has["DLI_ARCHIVE_KEY"])
    key = laid_out(folder / "key", volume_at(pod, one, str(file.parent)) or {}, secrets)
    return key / file.name, laid_out(folder / "secrets", volume_at(pod, one, has["DLI_SECRETS_DIR"]) or {}, secrets)


@pytest.mark.tools
@pytest.mark.parametrize("passphrase", [None, "four words that fit"])
def test_the_archive_signs_with_what_is_mounted(
    own: list[Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passphrase: str | None
) -> None:
    key = Ed25519PrivateKey.generate()
    there = {"archive.key": pem(key, passphrase)} | ({"passphrase": passphrase} if passphrase is not None else {})
    secrets = {"dli-archive": {"password": "secret"}, "dli-archive-key": there}

    file, mounted = archived_by(own, tmp_path, secrets)
    monkeypatch.setenv("DLI_SECRETS_DIR", str(mounted))
    found = private_key(read(archive_key=file, security_protocol="SASL_SSL", sasl_username="dli-archive"))

    assert found is not None
    assert found.private_bytes_raw() == key.private_bytes_raw()
    assert file.stat().st_mode & 0o777 == 0o440
    with pytest.raises(NotStartedError, match="dli-archive-key"):
        archived_by(own, tmp_path / "none", {"dli-archive": {"password": "secret"}})


def pem(key: Ed25519PrivateKey, passphrase: str | None) -> str:
    locked = BestAvailableEncryption(passphrase.encode()) if passphrase is not None else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked).decode()


# --- what else must hold with them ---------------------------------------------------------------------------------


def in_the_open(built: list[Manifest]) -> set[str]:
    """Who has a secret in the environment, where whoever may look at a pod sees it."""
    return {
        name
        for name, _, one in containers(built)
        if SECRETS & environment(built, one).keys()
        or any("secretKeyRef" in given.get("valueFrom", {}) for given in one.get("env", ()))
        or any("secretRef" in source for source in one.get("envFrom", ()))
    }


@pytest.mark.tools
def test_what_signs_changes_nothing_else(production: list[Manifest], own: list[Manifest]) -> None:
    for built in (production, own):
        assert {one["metadata"]["name"]: problem(one) for one in built if not of_strimzi(one) and problem(one)} == {}
        assert in_the_open(built) == set()
        networks = {one["metadata"]["name"]: one["spec"] for one in built if one["kind"] == "NetworkPolicy"}
        base = {one["metadata"]["name"]: one["spec"] for one in in_base() if one["kind"] == "NetworkPolicy"}
        assert networks == base
        for name, _, one in containers(built):
            open_to_write = [mount["mountPath"] for mount in one["volumeMounts"] if not mount.get("readOnly")]
            assert open_to_write == ["/var/lib/dli", "/tmp"], name  # noqa: S108 (a volume's place)


@pytest.mark.tools
@pytest.mark.parametrize(
    "given",
    [
        {"env": [{"name": "DLI_ARCHIVE_KEY_PASSPHRASE", "value": "four words that fit"}]},
        {"env": [{"name": "MINE", "valueFrom": {"secretKeyRef": {"name": "dli-archive-key", "key": "passphrase"}}}]},
        {"envFrom": [{"secretRef": {"name": "dli-archive-key"}}]},
    ],
)
def test_a_secret_in_the_environment_is_noticed(own: list[Manifest], given: Manifest) -> None:
    changed = copy.deepcopy(own)
    pods(changed)["CronJob dli-archive"]["containers"][0].update(given)

    assert in_the_open(changed) == {"CronJob dli-archive"}


@pytest.mark.tools
def test_a_missing_part_of_the_archive_pod_stops_the_build(overlay: Path) -> None:
    """The passphrase goes where secrets are, by its place in a list: another order is no other mount."""
    kubernetes = overlay.parents[1].with_name("in-another-order")
    shutil.copytree(overlay.parents[1], kubernetes)
    file = kubernetes / "base" / "archive.yaml"
    text = file.read_text("utf-8")
    tmp = "            - name: tmp\n              emptyDir:\n                sizeLimit: 64Mi\n"
    assert text.count(tmp) == 1
    file.write_text(text.replace(tmp, ""), "utf-8")

    with pytest.raises(ValueError, match="volumes/2/name"):
        kustomized(kubernetes / "overlays" / overlay.name)
