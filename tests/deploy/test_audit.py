"""The audit's tools, run: each finds what is planted. Run by `make test-audit`, which installs them."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from deploy.supply_chain import advisories, bom, check, code, licences
from deploy.supply_chain.advisories import UnreachedError
from deploy.supply_chain.check import ENVIRONMENT, RUNTIME, TARGET, AuditError, Verdict
from deploy.supply_chain.pins import pins

pytestmark = pytest.mark.audit

TOOLS = TARGET / "tools" / "bin"
PLANTED = f"jinja2==3.1.6 \\\n    --hash=sha256:{'a' * 64}\nidna==3.20 \\\n    --hash=sha256:{'b' * 64}\n"
KNOWN = {
    "id": "GHSA-xxxx-xxxx-xxxx",
    "aliases": ["CVE-2099-1"],
    "summary": "planted",
    "published": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.1.7"}]}],
        }
    ],
}


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "TOOLS", TOOLS)


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    file = tmp_path / "planted.txt"
    file.write_text(PLANTED, "utf-8")
    return file


class _Osv(BaseHTTPRequestHandler):
    """Answers as OSV does: it knows one vulnerability, of jinja2, and breaks where it is asked for that."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"vulns": [KNOWN]} if asked["package"]["name"] == "jinja2" else {}
        body = b"<html>log in</html>" if self.path == "/portal" else json.dumps(answer).encode()
        self.send_response(503 if self.path == "/broken" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Say nothing."""


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Osv) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


# --- advisories ----------------------------------------------------------------------------------------------------


def test_what_a_service_knows_fails_the_check(planted: Path, service: str) -> None:
    made = advisories.check([planted], service=f"{service}/v1/query")

    assert made.verdict is Verdict.FAILED
    assert "planted.txt: jinja2 3.1.6 has CVE-2099-1 = GHSA-xxxx-xxxx-xxxx, mended in 3.1.7" in made.said
    assert not any("no service" in sentence for sentence in (*made.said, made.looked_at))


@pytest.mark.parametrize("path", ["portal", "broken", "closed"])
def test_a_service_that_gives_no_usable_answer_leaves_the_list(planted: Path, service: str, path: str) -> None:
    # Nothing listens on port 9 of a machine without the discard service.
    url = "http://127.0.0.1:9/" if path == "closed" else f"{service}/{path}"
    planted.write_text(PLANTED.replace("3.1.6", "3.1.4"), "utf-8")
    with pytest.raises(UnreachedError):
        advisories.asked(planted, url)
    made = advisories.check([planted], service=url)

    assert made.verdict is Verdict.FAILED
    assert any("jinja2 3.1.4 has CVE-2025-27516, by our list" in sentence for sentence in made.said)
    assert any(sentence.startswith("no service of advisories answers (") for sentence in made.said)


def test_a_file_that_pip_audit_refuses_is_not_a_network_failure(tmp_path: Path, service: str) -> None:
    """A requirements file that pip-audit refuses is an error and is not taken for a network failure."""
    (tmp_path / "unhashed.txt").write_text("jinja2==3.1.6\n", "utf-8")

    with pytest.raises(AuditError, match=r"pip-audit ends with 1: .*hash"):
        advisories.asked(tmp_path / "unhashed.txt", f"{service}/v1/query")


# --- licences ------------------------------------------------------------------------------------------------------


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """The image's packages, with what a test does to them."""
    shutil.copytree(ENVIRONMENT, tmp_path / "runtime", symlinks=True)
    return tmp_path / "runtime"


def test_every_package_in_the_image_has_an_allowed_licence() -> None:
    """Every package in the image has a licence that is allowed."""
    made = licences.check()

    assert (made.verdict, made.said) == (Verdict.PASSED, ())


def test_unknown_forbidden_and_changed_licences_are_found(environment: Path) -> None:
    """An unknown licence, a forbidden licence and a changed licence text are all found."""
    (packages,) = environment.glob("lib/python3*/site-packages")
    for name, says in (
        ("planted_unknown", "License: our own"),
        ("planted_strict", "License-Expression: AGPL-3.0-only"),
    ):
        folder = packages / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{says}\n", "utf-8")
    (text,) = packages.glob("lz4-*.dist-info/licenses/LICENSE")
    text.write_text("All rights reserved.", "utf-8")
    made = licences.check(environment=environment)

    assert made.verdict is Verdict.FAILED
    assert [sentence.split(" (")[0] for sentence in sorted(made.said)] == [
        "lz4: LICENSE does not say '3. Neither the name of Steeve Morin'",
        "planted-strict: AGPL-3.0-only is not allowed",
        "planted-unknown: its licence is not known",
    ]


# --- the bill of materials, and the whole --------------------------------------------------------------------------


def whole(*arguments: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [TOOLS / "python", "-m", "deploy.supply_chain", *arguments]
    return subprocess.run(command, cwd=check.ROOT, capture_output=True, text=True, check=False)  # noqa: S603 (our own command)


@pytest.fixture(scope="module")
def alone() -> subprocess.CompletedProcess[str]:
    """The whole, where no service answers."""
    bom.FILE.unlink(missing_ok=True)
    return whole("--osv-url", "http://127.0.0.1:9/")


def test_the_audit_fails_only_where_a_service_knows_something(
    alone: subprocess.CompletedProcess[str], service: str
) -> None:
    """The whole audit passes without a service and fails where a service knows a vulnerability."""
    written = bom.FILE.read_bytes()
    asked = whole("--osv-url", f"{service}/v1/query")

    assert (alone.returncode, alone.stderr) == (0, "")
    assert [re.split(" {2,}", line)[1] for line in alone.stdout.splitlines()[-4:]] == ["warned", *["passed"] * 3]
    assert (asked.returncode, asked.stderr) == (3, "")
    assert "vulnerabilities: runtime.txt: jinja2 3.1.6 has CVE-2099-1 = GHSA-xxxx-xxxx-xxxx" in asked.stdout
    assert bom.FILE.read_bytes() == written, "the same pins give the same bytes"


@pytest.mark.usefixtures("alone")
def test_components_match_the_pins_of_the_image() -> None:
    """The components are exactly the image's pins, each with its licence, digests and URL."""
    made = json.loads(bom.FILE.read_text("utf-8"))
    wanted = {(pin.name, pin.version): set(pin.hashes) for pin in pins(RUNTIME) if pin.applies}
    held = {
        (canonicalize_name(one["name"]), Version(one["version"])): {
            digest["content"] for told in one["externalReferences"] for digest in told.get("hashes", [])
        }
        for one in made["components"]
    }

    assert held == wanted
    urls = {tuple(one["purl"].removeprefix("pkg:pypi/").split("@")) for one in made["components"]}
    assert {(canonicalize_name(name), Version(version)) for name, version in urls} == wanted.keys()
    assert all(one["licenses"][0]["expression"] for one in made["components"])
    assert made["metadata"]["component"]["name"] == "dli-authorization"
    assert "timestamp" not in made["metadata"]
    assert "serialNumber" not in made


def test_a_bill_of_materials_that_is_not_valid_is_told() -> None:
    said = (
        "from deploy.supply_chain.bom import mistakes\n"
        'print(mistakes(\'{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "a"}]}\'))\n'
        'print(mistakes(\'{"bomFormat": "CycloneDX", "specVersion": "1.6"}\'))\n'
    )
    command: list[str | Path] = [TOOLS / "python", "-c", said]
    done = subprocess.run(command, cwd=check.ROOT, capture_output=True, text=True, check=False)  # noqa: S603 (as above)

    assert done.stdout.splitlines() == ["""["it is not valid CycloneDX 1.6: 'type' is a required property"]""", "[]"]


# --- our code ------------------------------------------------------------------------------------------------------


def test_an_open_finding_and_a_stale_answer_fail_the_check(tmp_path: Path) -> None:
    """A planted finding fails the check, and so does an answer whose finding is gone."""
    folder = tmp_path / "workers"
    (folder / "target").mkdir(parents=True)
    (folder / "target" / "others.py").write_text("import pickle\n", "utf-8")
    (folder / "bad.py").write_text("import os\n\nos.system(input())  # nosec\n", "utf-8")
    answers = tmp_path / "findings.yaml"
    gone = {"test": "B605", "file": "workers/gone.py", "code": "os.system", "why": "it was"}
    answers.write_text(json.dumps({"findings": [gone]}), "utf-8")
    made = code.check(root=tmp_path, folders=["workers"], given=answers)

    assert made.verdict is Verdict.FAILED
    open_one, left = made.said
    assert open_one.startswith("workers/bad.py:3: B605, ")
    assert left == "workers/gone.py: B605 is answered, and not found any more: os.system"

    answers.write_text(json.dumps({"findings": [gone | {"file": "workers/bad.py"}]}), "utf-8")
    assert code.check(root=tmp_path, folders=["workers"], given=answers).verdict is Verdict.PASSED


def test_a_file_that_cannot_be_read_as_python_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "odd.py").write_text("def\n", "utf-8")

    with pytest.raises(AuditError, match=r"odd.py: bandit could not read it"):
        code.findings(tmp_path, ["workers"])


def test_every_finding_in_our_code_is_answered() -> None:
    assert code.check().said == ()
