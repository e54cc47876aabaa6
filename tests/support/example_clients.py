"""The example clients of deploy/clients, run as a platform would; and answers of our own making for them to read."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from kafka import KafkaProducer

from events.decision import content_id
from events.envelope import Attributes, write
from events.topics import DECISIONS
from tests.support.places import ROOT
from workers.configuration.settings import Settings
from workers.kafka import connect

FOLDER = ROOT / "deploy" / "clients"
JAVA = FOLDER / "java" / "target"
COMMANDS = {
    "java": ("java", "-XX:TieredStopAtLevel=1", "-cp", f"{JAVA}/libs/*:{JAVA}/classes", "AuthorizationClient"),
    "javascript": ("node", str(FOLDER / "javascript" / "authorization_client.js")),
    "python": (str(ROOT / ".venv" / "bin" / "python"), str(FOLDER / "python" / "authorization_client.py")),
}
BUILT = {"java": JAVA / ".ready", "javascript": FOLDER / "javascript" / "node_modules" / ".ready"}
PATIENCE_SECONDS = 150


class Outcome(NamedTuple):
    """What a client said, and how it ended."""

    code: int
    lines: list[dict[str, Any]]
    """Its standard output: a JSON object for each line."""
    err: str

    @property
    def passed_over(self) -> list[str]:
        """Why records were not used."""
        marked = (line for line in self.err.splitlines() if line.startswith("passed over "))
        return [line.split(": ", 1)[1] for line in marked]


class Client(NamedTuple):
    """One client."""

    language: str
    folder: Path
    """Where it finds the request."""

    def ask(self, found: Settings, request: Any, since: str | None = None, seconds: int = 60) -> Outcome:
        """Send a request and say what came of it; a text is the file's as it is."""
        file = self.folder / "request.json"
        file.write_text(request if isinstance(request, str) else json.dumps(request), "utf-8")
        environment = {
            "PATH": os.environ["PATH"],
            "KAFKA_BOOTSTRAP_SERVERS": found.bootstrap,
            "TOPIC_PREFIX": found.topic_prefix,
            "TIMEOUT_SECONDS": str(seconds),
        }
        if found.security_protocol != "PLAINTEXT":
            environment |= {
                "KAFKA_SECURITY_PROTOCOL": found.security_protocol,
                "KAFKA_SASL_MECHANISM": found.sasl_mechanism,
                "KAFKA_SASL_USERNAME": found.sasl_username or "",
                "KAFKA_SASL_PASSWORD": found.sasl_password.get_secret_value() if found.sasl_password else "",
                "KAFKA_SSL_CA": str(found.tls_ca),
            }
        command = (*COMMANDS[self.language], str(file), *((since,) if since is not None else ()))
        ran = subprocess.run(  # noqa: S603 (a client of ours)
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
        )
        return Outcome(ran.returncode, [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr)


def client(language: str, folder: Path) -> Client:
    """The client in a language, if it is built."""
    program = COMMANDS[language][0]
    if shutil.which(program) is None or not BUILT.get(language, ROOT).exists():
        pytest.skip(f"the client in {language} is not built here: `make clients` builds it")
    return Client(language, folder)


def correlation_of(request: Any) -> str:
    """The correlationid that every client gives to a request."""
    text = json.dumps(request, ensure_ascii=False, separators=(",", ":"))
    return f"claim-{sha256(text.encode()).hexdigest()[:32]}"


def identified(decision: Mapping[str, Any]) -> dict[str, Any]:
    """A decision with the id that its content has."""
    rest = {name: value for name, value in decision.items() if name != "decision_id"}
    text = json.dumps(rest, ensure_ascii=False, separators=(",", ":"))
    return {"decision_id": content_id(text.encode()), **rest}


class Written(NamedTuple):
    """A record for a topic that clients read."""

    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def answer(request: Any, data: Any, mode: Literal["structured", "binary"] = "structured", **attributes: Any) -> Written:
    """An event that answers a request, as we would write it."""
    stated = {
        "id": data["decision_id"] if isinstance(data, dict) and "decision_id" in data else "an-event",
        "source": "/dli-authorization",
        "type": "authorization.decided.v1",
        "specversion": "1.0",
        "subject": request["request_id"],
        "datacontenttype": "application/json",
        "correlationid": correlation_of(request),
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    return Written(*write(Attributes.model_validate(stated | attributes), "2026-01-05T12:00:00Z", text, mode))


def put(found: Settings, request: Any, *records: Written, topic: str = DECISIONS, then: str = "commit") -> None:
    """Write records with a request's key, in one transaction that is committed or aborted."""
    producer = KafkaProducer(**connect.client(found), transactional_id=f"{found.app_id}-others")
    try:
        producer.init_transactions()
        producer.begin_transaction()
        for one in records:
            producer.send(
                found.topic(topic), key=request["request_id"].encode(), value=one.value, headers=list(one.headers)
            )
        producer.flush()
        if then == "commit":
            producer.commit_transaction()
        else:
            producer.abort_transaction()
    finally:
        producer.close()
