"""The image is built as the Dockerfile says, and its commands do their work as its user, beside Apache Kafka.

Run by `make test-image`, which needs buildah, mmdebstrap and root.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.generate import FOLDER as DEPLOY
from policy_core.document.models import PolicyDocument
from tests.support import generator, image
from tests.support.cases import packaged
from tests.support.image import DATA, Container, Entry, Ran, Running, Store, entries, wait_until
from tests.support.publishing import revised
from tests.support.runbook import arguments, command_lines, filled, runbook
from tests.support.runbook_words import leaf
from workers.demo.run import REQUESTS_FILE
from workers.dev_brokers import KafkaBroker, free_ports
from workers.process.metrics import ACCOUNTS

pytestmark = pytest.mark.image

TAG = "localhost/dli-authorization:under-test"
TOKEN = "only-for-this-test"  # noqa: S105 (opens a dashboard of made-up requests on loopback)
PARTITIONS = 2
PACKAGED = "/opt/dli/lib/python3.11/site-packages/policy_core/policies/L.2.03.402.yaml"
NOT_OURS = (DATA, "/proc", "/sys", "/dev", "/run", "/etc/hosts", "/etc/resolv.conf")
"""What the data folder and the container's machinery put there."""


@dataclass(frozen=True)
class Deployment:
    """Worker, exporter and dashboard, running from the image."""

    container: Container
    before: Mapping[str, Entry]
    """The container's files before any of them ran."""
    environment: Mapping[str, str]
    worker: Running
    exporter: Running
    dashboard: Running
    asked: int
    """How many requests were published."""

    def dli(self, *arguments: str, given: bytes = b"", more: Mapping[str, str] | None = None) -> Ran:
        environment = {**self.environment, **(more or {})}
        return self.container.run("dli", *arguments, environment=environment, given=given)

    def write(self, name: str, content: bytes) -> str:
        """Put a file into its data folder; where it is, as the container sees it."""
        path = f"{DATA}/{name}"
        made = self.container.run("sh", "-c", 'mkdir -p "${0%/*}" && cat > "$0"', path, environment={}, given=content)
        assert made.code == 0, made.err
        return path

    def page(self, port: str, path: str) -> str:
        with urlopen(f"http://127.0.0.1:{self.environment[port]}{path}", timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def answers(self, port: str, path: str) -> bool:
        try:
            self.page(port, path)
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    missing = image.absent()
    assert not missing, f"install {' and '.join(missing)}: they build the image, and the base that it stands on"
    image.make_base()
    made = Store(Path(mkdtemp(prefix="dli-image-")))
    try:
        made.take_in_base()
        made.build(TAG)
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def deployment(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("image")
    container = Container(store, TAG, folder / "data")
    container.run("true", environment={})
    with container.tree() as tree:
        before = entries(tree, NOT_OURS)
    stranger = generator.request(3, 1) | {"policy_number": "X.9"}
    requests = [*REQUESTS_FILE.read_bytes().splitlines(), generator.encode(stranger)]
    with ExitStack() as stack:
        broker = stack.enter_context(KafkaBroker())
        environment = {
            "DLI_BOOTSTRAP": broker.bootstrap,
            "DLI_REPLICATION_FACTOR": "1",
            "DLI_PARTITIONS": str(PARTITIONS),
            "DLI_WEB_HOST": "127.0.0.1",
            "DLI_WEB_PORT": str(free_ports().client),
            "DLI_EXPORTER_PORT": str(free_ports().client),
            "DLI_DASHBOARD_TOKEN": TOKEN,
            "PORT": str(free_ports().client),
        }

        def start(*arguments: str) -> Running:
            log = folder / f"{arguments[0]}.log"
            return stack.enter_context(container.running("dli", *arguments, environment=environment, log=log))

        applied = container.run("dli", "topics", "apply", environment=environment)
        assert applied.code == 0, applied.err
        made = Deployment(
            container,
            before,
            environment,
            start("worker"),
            start("exporter"),
            start("dashboard", "--port", environment["PORT"]),
            asked=len(requests),
        )
        wait_until("ready", lambda: made.answers("DLI_WEB_PORT", "/ready"), made.worker)
        wait_until("measuring", lambda: made.answers("DLI_EXPORTER_PORT", "/metrics"), made.exporter)
        wait_until("serving", lambda: made.answers("PORT", "/login"), made.dashboard)
        published = made.dli("publish", "-", given=b"\n".join(requests))
        assert published.code == 0, published.err
        wait_until("decided", lambda: consumed(made) == made.asked, made.worker)
        yield made


def consumed(made: Deployment) -> int:
    """How many requests the exporter knows to be done with."""
    families = text_string_to_metric_families(made.page("DLI_EXPORTER_PORT", "/metrics"))
    told = [sample for family in families for sample in family.samples if sample.name == ACCOUNTS.name]
    return sum(int(one.value) for one in told if one.labels["outcome"] == "consumed")


# --- what it is ----------------------------------------------------------------------------------------------------


def test_it_says_of_itself_what_the_dockerfile_says(store: Store) -> None:
    config = json.loads(store.told("inspect", "--type", "image", TAG))["OCIv1"]["config"]

    assert (config["Entrypoint"], config["Cmd"], config["User"]) == (["dli"], ["worker"], "10001:10001")
    assert set(config["Volumes"]) == {DATA}


def test_it_runs_unprivileged_and_contains_no_installer(deployment: Deployment) -> None:
    """The container runs as an unprivileged user and contains nothing to install packages with."""
    ran = deployment.container.run("sh", "-c", "id -u; touch /opt/dli/x /etc/x; python -m pip", environment={})

    assert ran.out == "10001\n"
    assert ran.err.count("Permission denied") == 2
    assert "No module named pip" in ran.err


# --- what it does --------------------------------------------------------------------------------------------------


def test_the_worker_decides_and_the_exporter_balances(deployment: Deployment) -> None:
    told = deployment.dli("accounts")
    answers = deployment.dli("tail", "authorization.decisions", "--from-beginning", "--until-end")
    metrics = deployment.page("DLI_EXPORTER_PORT", "/metrics")

    assert (told.code, answers.code) == (0, 0), told.err + answers.err
    assert 0 < len(answers.out.splitlines()) < deployment.asked
    assert "dli_exporter_up 1.0" in metrics
    assert "dli_accounts_balanced 1.0" in metrics


def test_the_dashboard_opens_with_its_token_and_not_without(deployment: Deployment) -> None:
    front = Request(f"http://127.0.0.1:{deployment.environment['PORT']}/")
    with pytest.raises(HTTPError, match="401"):
        urlopen(front, timeout=10)  # noqa: S310
    front.add_header("Authorization", f"Bearer {TOKEN}")

    with urlopen(front, timeout=30) as answer:  # noqa: S310
        assert answer.status == 200


@pytest.mark.parametrize("form", ["parquet", "jsonl.zst"])
def test_an_archive_is_made_checked_proved_and_asked_what_if(deployment: Deployment, form: str) -> None:
    folder = f"{DATA}/archive-{form}"

    made = deployment.dli("archive", folder, "--format", form)
    checked = deployment.dli("replay", "check", folder)
    proved = deployment.dli("replay", "verify", folder)
    what_if = deployment.dli("replay", "what-if", folder, "--policy", PACKAGED, "--html", f"{DATA}/{form}.html")

    for ran in (made, checked, proved, what_if):
        assert ran.code == 0, ran.out + ran.err


def test_the_nightly_job_archives_and_the_exporter_reports_it(deployment: Deployment) -> None:
    """The nightly job makes the archive, and the exporter reports the time up to which it reaches."""
    manifests = yaml.safe_load_all((DEPLOY / "kubernetes" / "base" / "archive.yaml").read_text("utf-8"))
    [job] = [one for one in manifests if one["kind"] == "CronJob"]
    [container] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    begun = int(time.time())

    nights = [deployment.dli(*container["args"]) for _ in range(2)]

    assert [ran.code for ran in nights] == [0, 0], [ran.err for ran in nights]
    told = deployment.page("DLI_EXPORTER_PORT", "/metrics")
    [until] = re.findall(r"^dli_archived_timestamp_seconds (\S+)$", told, re.MULTILINE)
    assert begun <= float(until) <= time.time()


# --- the runbook ---------------------------------------------------------------------------------------------------

BLANKS = {
    "dli": {"FOLDER": f"{DATA}/archives/by-hand", "INSTANT": "2026-01-01T00:00:00Z", "FILE": PACKAGED},
    "dli topics scale": {"N": str(2 * PARTITIONS)},
    "dli reset-offset": {"TOPIC": "authorization.requests", "PARTITION": "0"},
    "dli archive FOLDER --continue": {"FOLDER": f"{DATA}/archives"},
    "dli policy": {"NUMBER": "L.2.03.402", "OLD": "2024-04-29", "NEW": "2025-03-28", "TEXT": f"{DATA}/text"},
    "curl": {"NUMBER": "L.2.03.402", "DATE": "2025-06-02"},
}
WITHOUT_WORKERS = ("dli topics scale", "dli reset-offset")
"""Commands for which the runbook has all workers stopped, in an order in which each can do its work."""
FINDS = {"dli policy verify-source": 3}
"""Commands that find something here: the text that we put there is not the published one."""


KEYS = {"DLI_POLICY_KEYS": f"{DATA}/keys"}


@pytest.fixture(scope="module")
def mistaken(deployment: Deployment) -> Mapping[str, Mapping[str, str]]:
    """A revision of next month that was signed and published by mistake: what stands for its blanks."""
    key, day = f"{DATA}/office.pem", datetime.now(UTC).date() + timedelta(days=30)
    made = deployment.dli("policy", "keygen", key, "--name", "Office", "--policy", "L.2.03.402")
    deployment.write("keys/office.yaml", made.out.encode())
    wrong = revised(packaged().document, day)
    right = wrong.model_dump(mode="json", by_alias=True)
    right["revisions"][-1]["says"] = "Relapse alone is covered no more."
    published = deployment.dli(
        *("policy", "publish", deployment.write("wrong.json", wrong.canonical()), "--key", key, "--execute"), more=KEYS
    )
    assert published.code == 0, published.err
    history = json.loads(deployment.dli("policy", "history", "L.2.03.402", "-o", "json", more=KEYS).out)
    corrected = deployment.write("right.json", PolicyDocument.model_validate(right, strict=False).canonical())
    digest = history["revisions"][-1]["digest"]
    return {
        "dli policy": {"KEY": key, "DIGEST": digest} | BLANKS["dli policy"],
        "dli policy publish FILE --key": {"FILE": f"{DATA}/wrong.json"},
        "dli policy publish FILE --corrects": {"FILE": corrected},
    }


def works(deployment: Deployment, line: str, blanks: Mapping[str, Mapping[str, str]] = BLANKS) -> str | None:
    """What is wrong when a command line of the runbook is run; None where nothing is."""
    words = arguments(line, filled(blanks))
    if words[0] == "curl":
        port, path = re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/.*)", words[1]).groups()  # type: ignore[union-attr]
        names = {"6066": "DLI_WEB_PORT", "9308": "DLI_EXPORTER_PORT", "8080": "PORT"}
        return None if deployment.answers(names[port], path) else f"{words[1]} does not answer"
    ran = deployment.dli(*words[1:], more=KEYS if "--key" in words else None)
    expected = next((code for beginning, code in FINDS.items() if line.startswith(beginning)), 0)
    return None if ran.code == expected else f"exit code {ran.code}: {ran.out}{ran.err}"


def runnable() -> list[str]:
    """Those of the runbook that can be run here: all of our own commands but those that a sentence only names."""
    found = [line for line in command_lines(runbook()) if line.split(" ")[0] in {"dli", "curl"}]
    return [line for line in found if not only_named(line) and not line.startswith(WITHOUT_WORKERS)]


def only_named(line: str) -> bool:
    command, rest = leaf(line.split(" ")[1:]) if line.startswith("dli ") else (None, [])
    return command is not None and not rest and any(one.required for one in command.params)


@pytest.mark.parametrize("line", runnable())
def test_a_command_line_of_the_runbook_works(
    deployment: Deployment, mistaken: Mapping[str, Mapping[str, str]], line: str
) -> None:
    deployment.write("text", b"no policy\n")

    assert works(deployment, line, {**BLANKS, **mistaken}) is None


@pytest.mark.parametrize("line", ["dli topics chek", "dli policy check /nowhere", "curl http://127.0.0.1:6066/nowhere"])
def test_a_command_line_that_does_not_work_is_noticed(deployment: Deployment, line: str) -> None:
    assert works(deployment, line) is not None


def test_what_the_runbook_does_while_no_worker_runs_works(deployment: Deployment) -> None:
    deployment.worker.stop()
    lines = [
        line for beginning in WITHOUT_WORKERS for line in command_lines(runbook()) if line.startswith(f"{beginning} ")
    ]

    assert {line: problem for line in lines if (problem := works(deployment, line)) is not None} == {}


# --- what it leaves ------------------------------------------------------------------------------------------------


def test_it_stops_cleanly_and_writes_only_to_its_data_folder(deployment: Deployment) -> None:
    """The container stops cleanly and has written nothing outside its data folder."""
    kept = deployment.dli("archive", f"{DATA}/last")
    deployment.dashboard.stop()  # by the signal itself
    codes = [one.stop() for one in (deployment.exporter, deployment.worker)]
    with deployment.container.tree() as tree:
        after = entries(tree, NOT_OURS)

    assert kept.code == 0, kept.err
    assert codes == [0, 0], deployment.worker.log[-2_000:] + deployment.exporter.log[-2_000:]
    assert {
        path for path in deployment.before.keys() | after.keys() if deployment.before.get(path) != after.get(path)
    } == set()


def test_a_write_outside_the_data_folder_is_noticed(deployment: Deployment) -> None:
    """A write outside the data folder is noticed even if the file is gone again."""
    with deployment.container.tree() as tree:
        before = entries(tree, NOT_OURS)
        time.sleep(0.01)  # a clock tick, so that the folder's time differs
    deployment.container.run("sh", "-c", "echo x > /tmp/x; rm /tmp/x", environment={})
    with deployment.container.tree() as tree:
        after = entries(tree, NOT_OURS)

    assert [path for path in after if before.get(path) != after[path]] == ["/tmp"]  # noqa: S108 (of the container)
