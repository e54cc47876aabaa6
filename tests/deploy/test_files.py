"""Every file of deploy/ passes the checker of its kind, and each checker catches a bad one."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from compose_spec import PyCompose

from deploy.generate import FOLDER as DEPLOY
from deploy.generate import stale

ROOT = DEPLOY.parent
BIN = Path(sys.executable).parent
IMAGE = re.compile(r"^(?:FROM|\s+image:) +(\S+)", re.MULTILINE)
PINNED = re.compile(r"^(docker\.io|ghcr\.io)/[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*$")


def ran(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BIN / tool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 (a tool of ours)


def tracked(pattern: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "--", pattern], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603, S607
    return [ROOT / name for name in listed.stdout.splitlines()]


# --- generated files -----------------------------------------------------------------------------------------------


def test_generated_files_are_what_the_code_makes() -> None:
    assert stale() == [], "run `make deploy-files`"


def test_a_generated_file_that_somebody_changed_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.generate.FOLDER", tmp_path)
    (tmp_path / "grafana" / "boards").mkdir(parents=True)
    (tmp_path / "grafana" / "boards" / "left-over.json").write_text("{}", "utf-8")

    assert tmp_path / "grafana" / "boards" / "left-over.json" in stale()
    assert tmp_path / "kubernetes" / "base" / "users.yaml" in stale()


# --- YAML ----------------------------------------------------------------------------------------------------------


def test_yaml_is_tidy() -> None:
    files = tracked("deploy/**.yaml")
    linted = ran("yamllint", "--strict", *files)

    assert len(files) > 15
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("bad", ["a: 1\na: 2\n", "---\na: yes\n", "---\na: [1\n", "---\na:   1\n"])
def test_untidy_yaml_is_noticed(tmp_path: Path, bad: str) -> None:
    (tmp_path / "bad.yaml").write_text(bad, "utf-8")

    assert ran("yamllint", "--strict", tmp_path / "bad.yaml").returncode != 0


# --- the image -----------------------------------------------------------------------------------------------------


DOCKERFILE = DEPLOY / "image" / "Dockerfile"


def test_the_dockerfile_passes_its_linter() -> None:
    linted = ran("hadolint", DOCKERFILE)

    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    ("said", "instead"),
    [(":3.11.13-slim-bookworm", ":latest"), ("USER 10001:10001", "USER root"), ("WORKDIR /build", "WORKDIR build")],
)
def test_a_worse_dockerfile_does_not(tmp_path: Path, said: str, instead: str) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.read_text("utf-8").replace(said, instead), "utf-8")

    assert ran("hadolint", tmp_path / "Dockerfile").returncode != 0


def test_the_image_is_unprivileged_and_installs_by_hash() -> None:
    """The image runs as an unprivileged user and installs only what is pinned by hash."""
    text = DOCKERFILE.read_text("utf-8")

    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001:10001"]
    installs = re.findall(r"pip install (.*?)(?: \\| &&|$)", text, re.MULTILINE)
    assert len(installs) == 3
    assert [one for one in installs if "--require-hashes" not in one and "--no-index" not in one] == []
    for name in re.findall(r"deploy/requirements/(\w+\.txt)", text):
        assert "--hash=sha256:" in (DEPLOY / "requirements" / name).read_text("utf-8")


def test_the_build_context_has_what_is_copied_and_no_secret() -> None:
    """The image's build context contains what the Dockerfile copies, and no secret."""
    let_in = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()[1:]}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    paths = [path for line in copied for path in line.split()]

    assert (ROOT / ".dockerignore").read_text("utf-8").startswith("*\n")
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [path for path in paths if not any(path.startswith(one) for one in let_in)] == []


def test_the_images_wheel_has_everything_that_runs(tmp_path: Path) -> None:
    built = ran("hatchling", "build", "--target", "wheel", "--directory", tmp_path)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        inside = set(wheel.namelist())

    for package in ("policy_core", "events", "workers"):
        wanted = {file.relative_to(ROOT).as_posix() for file in tracked(f"{package}/**")}
        assert {name for name in wanted if not name.endswith(".md")} <= inside


# --- compose -------------------------------------------------------------------------------------------------------


COMPOSE = DEPLOY / "compose" / "compose.yaml"


def merged() -> dict[str, dict[str, object]]:
    services: dict[str, dict[str, object]] = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]
    return services


def test_the_compose_file_follows_its_specification() -> None:
    read = PyCompose.from_yaml(yaml.safe_dump({"services": merged()}))

    assert set(read.services or {}) == set(merged())


@pytest.mark.parametrize(
    "bad", [{"ports": "nine"}, {"restart": "perhaps"}, {"depends_on": {"kafka": {"condition": "hopeful"}}}]
)
def test_a_compose_file_that_does_not_is_noticed(bad: dict[str, object]) -> None:
    services = merged()
    services["worker"] |= bad

    with pytest.raises(Exception, match=r".+"):
        PyCompose.from_yaml(yaml.safe_dump({"services": services}))


def test_our_services_are_confined_and_have_health_checks() -> None:
    """Our services cannot write or gain privileges, and those that keep running have health checks."""
    ours = {name: one for name, one in merged().items() if one["image"] == "dli-authorization:0.1.0"}

    assert set(ours) == {"topics", "worker", "exporter", "dashboard", "integration", "gateway", "archive"}
    for name, service in ours.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert ("healthcheck" in service) == (name not in {"topics", "archive"}), name


def test_every_port_is_on_loopback_and_every_dependency_is_there() -> None:
    for name, service in merged().items():
        for port in service.get("ports", []):  # type: ignore[attr-defined]
            assert str(port).startswith("127.0.0.1:"), name
        for other in service.get("depends_on", []):  # type: ignore[attr-defined]
            assert other in merged(), name


def test_workers_wait_for_topics_and_topics_for_kafka() -> None:
    services = merged()

    assert services["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    assert services["worker"]["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}


def test_a_profile_is_what_one_asks_for_more() -> None:
    by_profile: dict[str, set[str]] = {}
    for name, service in merged().items():
        for profile in service.get("profiles", ["always"]):  # type: ignore[attr-defined]
            by_profile.setdefault(profile, set()).add(name)

    assert by_profile == {
        "always": {"kafka", "topics", "worker", "exporter", "dashboard", "archive"},
        "monitoring": {"prometheus", "grafana"},
        "ui": {"kafka-ui"},
        "gateway": {"integration", "gateway"},
    }


# --- what all of them share ----------------------------------------------------------------------------------------


def test_every_image_of_others_is_pinned_by_version() -> None:
    found = [*IMAGE.findall(DOCKERFILE.read_text("utf-8")), *IMAGE.findall(COMPOSE.read_text("utf-8"))]
    others = [one for one in found if not one.startswith("dli-authorization:")]

    assert len(others) >= 5
    assert [one for one in others if not PINNED.match(one)] == []


def test_compose_runs_the_kafka_that_tests_run() -> None:
    tested = re.search(r"<kafka.version>(.*)</kafka.version>", (DEPLOY / "kafka" / "pom.xml").read_text("utf-8"))

    assert tested
    assert f"apache/kafka:{tested[1]}" in COMPOSE.read_text("utf-8")


def test_compose_runs_the_prometheus_that_tests_run() -> None:
    tools = (DEPLOY / "tools" / "go.mod").read_text("utf-8")
    tested = re.search(r"github.com/prometheus/prometheus v0\.(\d)(\d+)\.(\d+)", tools)

    assert tested
    assert f"prom/prometheus:v{tested[1]}.{int(tested[2])}.{tested[3]}" in COMPOSE.read_text("utf-8")


def test_the_images_version_is_the_softwares() -> None:
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)

    assert version
    for file in (COMPOSE, DEPLOY / "kubernetes" / "base" / "kustomization.yaml", DEPLOY / "image" / "Dockerfile"):
        assert version[1] in file.read_text("utf-8")


def test_settings_named_anywhere_are_settings() -> None:
    from workers.configuration.settings import Settings  # noqa: PLC0415 (read after the environment is known)

    known = {f"DLI_{name.upper()}" for name in Settings.model_fields} | {"DLI_SECRETS_DIR"}
    files = [*tracked("deploy/**.yaml"), DOCKERFILE, *tracked("deploy/*.md")]
    named = {name: file.name for file in files for name in re.findall(r"DLI_[A-Z_]+", file.read_text("utf-8"))}
    mounted = {
        f"DLI_{name.upper()}" for file in files for name in re.findall(r"path: dli_(\w+)", file.read_text("utf-8"))
    }

    # `DLI_OAUTH_…` names all that begin so.
    begun = {name for name in named if name.endswith("_") and any(one.startswith(name) for one in known)}

    assert {name: file for name, file in named.items() if name not in known | begun} == {}
    assert mounted - known == set()
