"""Every event that is written has the time of what it tells, and all that readers of CloudEvents rely on."""

import json
from typing import Any

import pytest

from events.envelope import Mode, is_binary
from events.field_types import is_instant
from events.schemas import EVENTS
from tests.support.every_event import TIMES, every_event
from workers.kafka.records import OutgoingRecord

both_modes = pytest.mark.parametrize("mode", ["structured", "binary"])


def attributes(record: OutgoingRecord) -> dict[str, Any]:
    if is_binary(record.headers):
        named = {name: value.decode() for name, value in record.headers if value is not None}
        return {name.removeprefix("ce_"): value for name, value in named.items() if name.startswith("ce_")}
    found: dict[str, Any] = json.loads(record.value)
    del found["data"]
    return found


BY_COMMANDS = {"authorization.requested.v1", "authorization.reviewed.v1", "authorization.extended.v1"}


@both_modes
def test_every_type_of_event_is_among_them(mode: Mode) -> None:
    found = every_event(mode)
    assert set(found) == set(TIMES) == {kind for kind, _ in EVENTS}
    assert {kind: attributes(one)["type"] for kind, one in found.items()} == {kind: kind for kind in found}


@both_modes
def test_every_event_has_the_time_of_what_it_tells(mode: Mode) -> None:
    found = {kind: attributes(one)["time"] for kind, one in every_event(mode).items()}

    assert all(map(is_instant, found.values()))
    assert {kind: time for kind, time in found.items() if TIMES[kind]} == {kind: at for kind, at in TIMES.items() if at}


def test_binary_events_have_their_attributes_in_headers() -> None:
    modes = {kind: is_binary(one.headers) for kind, one in every_event("binary").items()}

    assert modes == {kind: kind not in BY_COMMANDS for kind in TIMES}
