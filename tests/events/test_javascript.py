"""CloudEvents' SDK for JavaScript reads every event that we write; it runs in Node."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from events.envelope import Mode, is_binary
from events.schemas import EVENTS
from tests.support.every_event import TIMES, every_event
from tests.support.places import ROOT
from workers.kafka.records import OutgoingRecord

pytestmark = pytest.mark.node

FOLDER = ROOT / "tests" / "events" / "javascript"
both_modes = pytest.mark.parametrize("mode", ["structured", "binary"])
PATIENCE_SECONDS = 120


def plain(record: OutgoingRecord) -> dict[str, Any]:
    headers = {name: value.decode() for name, value in record.headers if value is not None}
    return {"value": record.value.decode(), "headers": headers}


def read(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the SDK makes of records."""
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules" / "cloudevents").is_dir():
        pytest.skip("Node or its packages are not here; `make test-node` installs the packages")
    ran = subprocess.run(  # noqa: S603 (Node, and the script beside this test)
        [node, FOLDER / "read_events.js"],
        input=json.dumps(records).encode(),
        capture_output=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def data(record: OutgoingRecord) -> Any:
    tree = json.loads(record.value)
    return tree if is_binary(record.headers) else tree["data"]


@both_modes
def test_the_sdk_reads_every_event_with_its_time_and_data(mode: Mode) -> None:
    written = every_event(mode)
    records = list(written.values())

    events = read([plain(one) for one in records])

    assert [event.get("refused") for event in events] == [None] * len(records)
    assert [event["valid"] for event in events] == [True] * len(records)
    assert {event["type"] for event in events} == {kind for kind, _ in EVENTS}
    assert [event["data"] for event in events] == [data(one) for one in records]
    # Its times have milliseconds.
    times = {event["type"]: datetime.fromisoformat(event["time"]) for event in events}
    known = {kind: datetime.fromisoformat(time) for kind, time in TIMES.items() if time is not None}
    assert {kind: times[kind] for kind in known} == known


def without_time(event: Mapping[str, Any]) -> dict[str, Any]:
    tree = json.loads(event["value"])
    del tree["time"]
    return {**event, "value": json.dumps(tree)}


def test_the_sdk_cannot_read_a_structured_event_without_time() -> None:
    """The SDK cannot read a structured event without a time, which is why every event has one."""
    records = [plain(one) for one in every_event("structured").values()]

    events = read([without_time(one) for one in records])

    assert [event.get("refused") for event in events] == ["RangeError: Invalid time value"] * len(records)


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((FOLDER / "package-lock.json").read_text("utf-8"))
    packages = {name: one for name, one in lock["packages"].items() if name}

    assert packages["node_modules/cloudevents"]["version"] == lock["packages"][""]["dependencies"]["cloudevents"]
    assert [name for name, one in packages.items() if "resolved" in one] == []
    assert [name for name, one in packages.items() if not one["integrity"].startswith("sha512-")] == []
