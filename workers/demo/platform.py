"""The demo's claims platform: it speaks FHIR PAS and X12 278, and is answered in them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from events.topics import PAS_REQUESTS, PAS_RESPONSES, X12_REQUESTS, X12_RESPONSES
from workers.configuration.settings import Settings
from workers.demo.run import PATIENCE_SECONDS, DemoError, running_worker
from workers.dev_brokers import free_ports
from workers.kafka.reader import kept, records
from workers.kafka.records import OutgoingRecord

MESSAGES = Path(__file__).parent / "messages"
PARTNER = MESSAGES / "partner.yaml"
PAUSE_SECONDS = 0.2
INTEGRATION = ("workers.main", "integration")


class Message(NamedTuple):
    """One message of the platform."""

    says: str
    topic: str
    responses: str
    file: str


CLAIM = Message("a PAS bundle without the clinical facts", PAS_REQUESTS, PAS_RESPONSES, "claim.json")
ANSWERS = Message("the same with the answers to the questions", PAS_REQUESTS, PAS_RESPONSES, "claim-answers.json")
REQUEST = Message("an X12 278 request", X12_REQUESTS, X12_RESPONSES, "request.edi")


class Exchanged(NamedTuple):
    """A message and its answer."""

    message: Message
    response: bytes


@contextmanager
def running_integration(found: Settings, folder: Path) -> Iterator[None]:
    """The integration agents in a process of their own, stopped on exit.

    Raises:
        DemoError: They do not become ready.
    """
    own = found.model_copy(
        update={"web_port": (port := free_ports().client), "integration_port": port, "partners": PARTNER}
    )
    with running_worker(own, folder / "integration.log", INTEGRATION):
        yield


def exchanged(found: Settings, message: Message, publish: Callable[[OutgoingRecord], None]) -> Exchanged:
    """Publish a message, and wait for its answer.

    Raises:
        DemoError: It does not come in time.
    """
    before = _responses(found, message)
    value = (MESSAGES / message.file).read_bytes()
    publish(OutgoingRecord(found.topic(message.topic), b"", value))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        new = [value for position, value in _responses(found, message).items() if position not in before]
        if new:
            return Exchanged(message, new[0])
        time.sleep(PAUSE_SECONDS)
    raise DemoError(f"{message.says} was not answered in {PATIENCE_SECONDS:.0f} seconds")


def _responses(found: Settings, message: Message) -> dict[tuple[int, int], bytes]:
    """The answers so far, by partition and offset."""
    read = records(found, kept(found, [found.topic(message.responses)]))
    return {(record.partition, record.offset): record.value for record in read}
