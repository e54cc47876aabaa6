"""The manifests: each of a schema's form, each overlay as kustomize builds it, and what they promise."""

import copy
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from deploy.generate import FOLDER as DEPLOY
from deploy.kubernetes import strimzi
from events.topics import PARTITIONS, POLICY_REVISIONS, TOPICS
from tests.support.manifests import (
    KUBERNETES,
    Manifest,
    in_base,
    kustomized,
    named,
    of_strimzi,
    problem,
)
from tests.support.mounted import NotStartedError, laid_out, volume_at
from workers.configuration.settings import Settings, read
from workers.dashboard.sign_in.roles import Role, UnguardedError, check, tokens_of
from workers.kafka.acls import rights
from workers.kafka.client_lifetime import LEAVE_SECONDS
from workers.replay.archive_commands import TOPICS as ARCHIVED
from workers.stream import partition_loop

OVERLAYS = ["base", "overlays/production", "overlays/staging"]


# --- form ----------------------------------------------------------------------------------------------------------


def test_every_manifest_has_the_form_that_its_schema_asks_for() -> None:
    ours = [one for one in in_base() if not of_strimzi(one)]

    assert len(ours) > 12
    assert {one["metadata"]["name"]: problem(one) for one in ours if problem(one)} == {}


WORSE: list[tuple[str, str, list[Any], Any]] = [
    ("StatefulSet", "dli-worker", ["spec", "replica"], 3),
    ("StatefulSet", "dli-worker", ["spec", "template", "spec", "containers", 0, "livenessProb"], {}),
    ("StatefulSet", "dli-worker", ["spec", "template", "spec", "terminationGracePeriodSeconds"], "a minute"),
    ("CronJob", "dli-archive", ["spec", "jobTemplate", "spec", "backoffLimit"], "often"),
    ("CronJob", "dli-archive", ["spec", "shedule"], "15 2 * * *"),
    ("PodDisruptionBudget", "dli-worker", ["spec", "maxUnavailabel"], 1),
    ("NetworkPolicy", "dli-metrics", ["spec", "ingress", 0, "ports", 0, "protocol"], 7),
    ("ScaledObject", "dli-worker", ["spec", "maxReplicas"], 12),
    ("ScaledObject", "dli-worker", ["spec", "triggers"], {}),
    ("TriggerAuthentication", "dli-kafka", ["spec", "secretTargetRef", 0, "key"], None),
]


def changed(manifest: Manifest, path: list[Any], value: Any) -> Manifest:
    worse = copy.deepcopy(manifest)
    place = worse
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return worse


@pytest.mark.parametrize(("kind", "name", "path", "value"), WORSE)
def test_a_manifest_of_another_form_is_noticed(kind: str, name: str, path: list[Any], value: Any) -> None:
    assert problem(changed(named(in_base(), kind, name), path, value)) is not None


# --- Strimzi, by its own definitions -------------------------------------------------------------------------------


def closed(schema: Any) -> Any:
    """The schema as the API server applies it with strict field validation: no field but those declared."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    tight = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        tight.setdefault("additionalProperties", False)
    return tight


def strimzi_problem(manifest: Manifest) -> str | None:
    definition = yaml.safe_load((KUBERNETES / "target" / f"{manifest['kind']}.yaml").read_text("utf-8"))
    version = manifest["apiVersion"].split("/")[1]
    [schema] = [one["schema"]["openAPIV3Schema"] for one in definition["spec"]["versions"] if one["name"] == version]
    tight = closed(schema)
    tight["properties"]["metadata"] = {"type": "object"}
    error = jsonschema.exceptions.best_match(jsonschema.Draft7Validator(tight).iter_errors(manifest))
    return error.message if error else None


@pytest.mark.kafka
def test_topics_and_users_have_the_form_that_strimzi_asks_for() -> None:
    found = [one for one in in_base() if of_strimzi(one)]

    assert {one["kind"] for one in found} == {"KafkaTopic", "KafkaUser"}
    assert {one["metadata"]["name"]: strimzi_problem(one) for one in found if strimzi_problem(one)} == {}


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("kind", "name", "path", "value"),
    [
        ("KafkaTopic", "authorization.requests", ["spec", "partition"], 12),
        ("KafkaTopic", "authorization.requests", ["spec", "partitions"], "twelve"),
        ("KafkaUser", "dli-worker", ["spec", "authentication", "type"], "scram"),
        ("KafkaUser", "dli-worker", ["spec", "authorization", "acls", 0, "operations"], ["Peek"]),
        ("KafkaUser", "dli-worker", ["spec", "authorization", "acls", 0, "resource", "patternType"], "begins"),
    ],
)
def test_a_topic_or_user_of_another_form_is_noticed(kind: str, name: str, path: list[Any], value: Any) -> None:
    assert strimzi_problem(changed(named(in_base(), kind, name), path, value)) is not None


def test_every_topic_and_every_role_is_there_as_declared() -> None:
    found = in_base()

    for topic in TOPICS:
        spec = named(found, "KafkaTopic", topic.name)["spec"]
        assert spec["partitions"] == topic.partitions
        assert topic.settings().items() <= spec["config"].items()
    for role, user in strimzi.USERS.items():
        acls = named(found, "KafkaUser", user)["spec"]["authorization"]["acls"]
        assert len(acls) == len(rights(Settings(), role))
        assert sum(len(one["operations"]) for one in acls) == sum(
            len(one.operations) for one in rights(Settings(), role)
        )


# --- overlays ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=OVERLAYS)
def built(request: pytest.FixtureRequest) -> list[Manifest]:
    return kustomized(KUBERNETES / request.param)


@pytest.mark.tools
def test_an_overlay_builds_manifests_of_the_right_form(built: list[Manifest]) -> None:
    assert len(built) >= len(in_base())
    assert {one["metadata"]["name"]: problem(one) for one in built if not of_strimzi(one) and problem(one)} == {}


@pytest.mark.tools
def test_every_name_a_pod_uses_is_made_here_or_documented(built: list[Manifest]) -> None:
    """Every name that a pod mounts or reads is made here or documented in the runbook."""
    runbook = (DEPLOY / "runbook.md").read_text("utf-8")
    made = {(one["kind"], one["metadata"]["name"]) for one in built}
    users = {name for kind, name in made if kind == "KafkaUser"}

    secrets, maps = used(built, "secretName") | used(built, "secret"), used(built, "configMapRef")
    assert secrets
    assert maps
    for name in secrets:
        assert name in users or ("Secret", name) in made or f"`{name}`" in runbook, name
    for name in maps:
        assert ("ConfigMap", name) in made


def used(found: Any, key: str) -> set[str]:
    """The names under this key, wherever it stands in a pod's template."""
    return {name for one in found if one["kind"] in RUNNING for name in _names(one["spec"], key)}


def _names(tree: Any, key: str) -> Iterator[str]:
    if isinstance(tree, list):
        for one in tree:
            yield from _names(one, key)
    elif isinstance(tree, dict):
        for name, value in tree.items():
            if name == key and isinstance(value, str):
                yield value
            elif name == key and isinstance(value, dict) and "name" in value:
                yield value["name"]
            else:
                yield from _names(value, key)


@pytest.mark.tools
def test_a_patch_that_meets_nothing_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes", ignore=shutil.ignore_patterns("target"))
    overlay = tmp_path / "kubernetes" / "overlays" / "production" / "kustomization.yaml"
    overlay.write_text(overlay.read_text("utf-8").replace("/spec/minReplicaCount", "/spec/least/count"), "utf-8")

    with pytest.raises(ValueError, match="least"):
        kustomized(overlay.parent)


# --- promises ------------------------------------------------------------------------------------------------------


def pods() -> dict[str, Manifest]:
    return {one["metadata"]["name"]: template(one)["spec"] for one in in_base() if one["kind"] in RUNNING}


RUNNING = {"StatefulSet", "Deployment", "CronJob"}


def template(manifest: Manifest) -> Manifest:
    """What the pods of a manifest are made from."""
    spec = manifest["spec"]
    found: Manifest = (spec["jobTemplate"]["spec"] if manifest["kind"] == "CronJob" else spec)["template"]
    return found


@pytest.mark.parametrize(
    "name",
    ["dli-worker", "dli-exporter", "dli-dashboard", "dli-integration", "dli-gateway", "dli-archive", "dli-policy"],
)
def test_a_pod_is_unprivileged_read_only_and_without_a_token(name: str) -> None:
    """A pod runs unprivileged, with a read-only root file system and without a service account token."""
    pod = pods()[name]
    [container] = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
    writable = [one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")]
    assert writable == ["/var/lib/dli", "/tmp"]  # noqa: S108 (a volume's place)


def test_archives_are_made_in_time_and_never_two_at_once() -> None:
    """An archive is made long before Kafka deletes the records, and never two at once."""
    spec = named(in_base(), "CronJob", "dli-archive")["spec"]
    [minute, hour, *daily] = spec["schedule"].split()
    forgotten = min(one.retention for one in TOPICS if one.name in ARCHIVED and one.retention)

    assert (daily, minute.isdecimal(), hour.isdecimal()) == (["*", "*", "*"], True, True)
    assert forgotten > timedelta(days=7), "the alert that wakes somebody comes after seven"
    assert spec["concurrencyPolicy"] == "Forbid"
    [container] = template(named(in_base(), "CronJob", "dli-archive"))["spec"]["containers"]
    assert container["args"][:3] == ["archive", "/var/lib/dli/archives", "--continue"]


def test_the_policy_job_publishes_packaged_documents_in_minutes() -> None:
    """No worker may write to the topic of revisions, and one whose document knows more does not start."""
    spec = named(in_base(), "CronJob", "dli-policy")["spec"]
    [container] = template(named(in_base(), "CronJob", "dli-policy"))["spec"]["containers"]
    users = {one["name"]: one["value"] for one in container["env"]}

    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("*/10 * * * *", "Forbid")
    assert (container["args"], users["DLI_SASL_USERNAME"]) == (["policy", "publish-packaged"], "dli-policy")
    may_write = {one.role for one in rights(Settings()) if one.name == POLICY_REVISIONS and "WRITE" in one.operations}
    assert may_write == {"policy", "operator"}


def test_no_password_is_in_the_environment() -> None:
    for pod in pods().values():
        for one in pod["containers"][0]["env"]:
            assert "PASSWORD" not in one["name"]
            assert "secretKeyRef" not in one.get("valueFrom", {})


def test_a_worker_lives_by_live_and_gets_work_by_ready() -> None:
    [worker] = pods()["dli-worker"]["containers"]

    assert worker["startupProbe"]["httpGet"]["path"] == worker["livenessProbe"]["httpGet"]["path"] == "/live"
    assert worker["readinessProbe"]["httpGet"]["path"] == "/ready"


def test_a_worker_has_time_to_end_its_batch_before_it_is_killed() -> None:
    needed = partition_loop._DRAIN_S + 4 * LEAVE_SECONDS  # noqa: SLF001 (the number itself)

    assert pods()["dli-worker"]["terminationGracePeriodSeconds"] >= needed


def test_workers_number_from_one_to_the_partition_count() -> None:
    """There are never more workers than partitions, and there is always at least one."""
    spec = named(in_base(), "ScaledObject", "dli-worker")["spec"]

    assert spec["maxReplicaCount"] == PARTITIONS
    assert 1 <= spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]


def test_scaling_asks_about_the_group_and_topic_of_the_workers() -> None:
    [trigger] = named(in_base(), "ScaledObject", "dli-worker")["spec"]["triggers"]

    assert trigger["metadata"]["consumerGroup"] == Settings().app_id
    assert trigger["metadata"]["topic"] == TOPICS[0].name == "authorization.requests"
    assert trigger["metadata"]["limitToPartitionsWithLag"] == "true"


def test_pods_reach_kafka_and_dns_and_nothing_unlisted() -> None:
    """Every pod may reach Kafka and DNS, and all traffic that is not listed is forbidden."""
    policies = {one["metadata"]["name"]: one["spec"] for one in in_base() if one["kind"] == "NetworkPolicy"}

    assert policies["dli-nothing-else"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ports = [port["port"] for rule in policies["dli-out-to-kafka"]["egress"] for port in rule["ports"]]
    assert ports == [9093, 53, 53]
    assert all("ports" in rule for one in policies.values() for rule in one.get("ingress", []) + one.get("egress", []))


# --- who may act on the dashboard ----------------------------------------------------------------------------------

LOOK, ACT = "0123456789abcdef-look", "0123456789abcdef-act"


def dashboard_with(folder: Path, monkeypatch: pytest.MonkeyPatch, tokens: dict[str, str]) -> Settings:
    pod = pods()["dli-dashboard"]
    volume = volume_at(pod, pod["containers"][0], "/etc/dli/secrets") or {}
    mounted = laid_out(folder, volume, {"dli-viewer": {"password": "secret"}, "dli-dashboard": tokens})
    monkeypatch.setenv("DLI_SECRETS_DIR", str(mounted))
    return read(security_protocol="SASL_SSL", sasl_username="dli-viewer")


def test_only_the_second_token_gives_the_right_to_act(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder of the second token may act, and without a second token nobody may act."""
    both = tokens_of(dashboard_with(tmp_path / "both", monkeypatch, {"token": LOOK, "act-token": ACT}))
    one = tokens_of(dashboard_with(tmp_path / "one", monkeypatch, {"token": LOOK}))

    assert (both.role_of(LOOK), both.role_of(ACT)) == (Role.VIEW, Role.ACT)
    assert (one.role_of(LOOK), one.role_of(ACT)) == (Role.VIEW, None)
    check("0.0.0.0", both, allow_redrive=True)  # noqa: S104 (as in a pod)
    with pytest.raises(UnguardedError, match="nobody has the token to act"):
        check("0.0.0.0", one, allow_redrive=True)  # noqa: S104
    with pytest.raises(NotStartedError, match="has no token"):
        dashboard_with(tmp_path / "none", monkeypatch, {"act-token": ACT})
