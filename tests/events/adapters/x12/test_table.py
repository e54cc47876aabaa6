"""The tables say what is so: each row's part of a message becomes, or does not become, what the row says."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from events.adapters.submission import Submission
from events.adapters.x12 import coverage
from events.adapters.x12.adapter import X12
from events.adapters.x12.table import NOT_STATED, ROWS
from events.request import AuthorizationRequest, Diagnosis, Member, Provider, ServiceLine
from tests.support.x12_messages import PARTNER, RECEIVED, Segment, Style, written
from workers.main.generated_files import stale

OTHER_NPI = "1300000027"
PROVIDER: list[Segment] = [
    ("NM1", "71", "1", "OKAFOR", "NGOZI", "", "", "", "XX", OTHER_NPI),
    ("REF", "1G", "A1"),
    ("N2", "SECOND NAME"),
    ("N3", "1 FIRST STREET"),
    ("N4", "JACKSON", "MS", "39201"),
    ("PER", "IC", "DESK", "TE", "6015550100"),
    ("PRV", "AT", "PXC", "207RH0003X"),
]
WHOLE: dict[str, list[Segment]] = {
    "": [("BHT", "0007", "13", "DHX-1", "20250602", "1405")],
    "2010A": [
        ("HL", "1", "", "20", "1"),
        ("NM1", "X3", "2", "PLAN", "", "", "", "", "PI", "60111"),
        ("PER", "IC", "DESK"),
    ],
    "2010B": [
        ("HL", "2", "1", "21", "1"),
        ("NM1", "1P", "2", "HOSPITAL", "", "", "", "", "XX", "1300000019"),
        *PROVIDER[1:2],
        *PROVIDER[3:],
    ],
    "2010C": [
        ("HL", "3", "2", "22", "1"),
        ("NM1", "IL", "1", "TILLMAN", "ODESSA", "", "", "", "MI", "MHP0044001"),
        ("REF", "1L", "GROUP"),
        ("N3", "1 FIRST STREET"),
        ("N4", "JACKSON", "MS", "39201"),
        ("DMG", "D8", "19790412", "F"),
        ("INS", "Y", "18"),
    ],
    "2010D": [
        ("HL", "4", "3", "23", "1"),
        ("NM1", "QC", "1", "TILLMAN", "ARLO"),
        ("REF", "1L", "GROUP"),
        ("N3", "1 FIRST STREET"),
        ("N4", "JACKSON", "MS", "39201"),
        ("DMG", "D8", "20160229", "M"),
        ("INS", "N", "19"),
    ],
    "2000E": [
        ("HL", "5", "4", "EV", "1"),
        ("TRN", "1", "TR-1", "9640001112"),
        ("UM", "HS", "I", "2", ("22", "B"), "", "U"),
        ("REF", "BB", "AUTH1"),
        ("DTP", "435", "D8", "20250616"),
        ("HI", ("ABK", "C9202"), ("ABF", "Z9484")),
        ("HSD", "VS", "7"),
        *((name, "1") for name in ("CRC", "CL1", "CR1", "CR2", "CR4", "CR5", "CR6", "CR7", "CR8")),
        ("PWK", "OZ", "EL", "", "", "AC", "ATT-1"),
        ("MSG", "WORDS"),
    ],
    "2010E": [*PROVIDER],
    "2000F": [
        ("HL", "6", "5", "SS", "0"),
        ("TRN", "1", "TR-1-1", "9640001112"),
        ("UM", "HS", "I", "2"),
        ("REF", "XX", "1"),
        ("DTP", "472", "D8", "20250617"),
        ("SV1", ("HC", "38242"), "", "UN", "2"),
        ("HSD", "VS", "3"),
        ("TOO", "JP", "1"),
        ("PWK", "OZ", "EL", "", "", "AC", "ATT-2"),
        ("MSG", "WORDS"),
        ("HI", ("ABF", "C9012")),
    ],
    "2010F": PROVIDER,
}


def _message(loops: dict[str, list[Segment]], style: Style = Style()) -> Submission:  # noqa: B008 (it is frozen)
    [found] = X12.read(written(tuple(s for one in loops.values() for s in one), style=style), PARTNER, RECEIVED)
    return found


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for name, below in value.items():
            yield from _flat(below, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for below in value:
            yield from _flat(below, f"{path}.N")
    else:
        yield path, value


def _stated(found: Submission) -> set[tuple[str, object]]:
    refused = {(error.path, error.message) for error in (found.refused.errors if found.refused else ())}
    return {*_flat(found.request or {}), ("request_id", found.trace), ("supersedes", found.follows), *refused}


def _changed(before: Submission, after: Submission) -> set[str]:
    return {path for path, _ in _stated(before) ^ _stated(after)}


def test_the_whole_message_is_a_request() -> None:
    assert _message(WHOLE).refused is None


SEGMENTS = sorted(
    {(row.loop, row.part) for row in ROWS if row.part.isalpha() or row.part[:-1] in ("SV", "CR", "NM", "CL", "N")}
)
# Those that stand for others of their kind, in messages of their own below.
ELSEWHERE = {
    ("", "HL"),
    ("2000F", "HL"),
    *((loop, name) for loop in ("2000E", "2000F") for name in ("SV1", "SV2", "SV3")),
}


@pytest.mark.parametrize(("loop", "name"), [one for one in SEGMENTS if one not in ELSEWHERE and one[0]])
def test_a_segment_has_the_fate_that_its_row_says(loop: str, name: str) -> None:
    with_it = _message(WHOLE)
    [at] = [index for index, segment in enumerate(WHOLE[loop]) if segment[0] == name]
    without = _message(WHOLE | {loop: WHOLE[loop][:at] + WHOLE[loop][at + 1 :]})
    [*fates] = {row.fate for row in ROWS if row.loop == loop and row.part == name}
    is_read = any(row.fate == "mapped" and row.loop == loop and row.part.startswith(name) for row in ROWS)
    assert ("kept" in fates) == (with_it.echo["levels"] != without.echo["levels"])
    assert is_read or not _changed(with_it, without)
    assert with_it.message != without.message
    assert not [note for note in with_it.notes if "left out" in note]


class Change(NamedTuple):
    """A change of one element, in a message of which other parts are left out or written otherwise."""

    loop: str
    part: str
    segment: int
    element: int
    value: str | tuple[str, ...]
    instead: Callable[[dict[str, list[Segment]]], dict[str, list[Segment]]] = lambda loops: loops


def _without(loop: str, *names: str) -> Callable[[dict[str, list[Segment]]], dict[str, list[Segment]]]:
    return lambda loops: loops | {loop: [one for one in loops[loop] if one[0] not in names]}


def _with(loop: str, *segments: Segment) -> Callable[[dict[str, list[Segment]]], dict[str, list[Segment]]]:
    names = {segment[0] for segment in segments} | ({"SV1"} if segments[0][0] in ("SV2", "SV3") else set())
    return lambda loops: loops | {loop: [*(one for one in loops[loop] if one[0] not in names), *segments]}


def _without_services(loops: dict[str, list[Segment]]) -> dict[str, list[Segment]]:
    return loops | {"2000F": [], "2010F": []}


def _only_in_event(loops: dict[str, list[Segment]]) -> dict[str, list[Segment]]:
    moved = [one for one in loops["2000F"] if one[0] == "SV1"]
    return _without_services(loops | {"2000E": [*(one for one in loops["2000E"]), ("SV1", moved[0][1])]})


CHANGES = [
    Change("", "BHT04, BHT05", 0, 5, "1406"),
    Change("2010A", "NM109", 1, 9, "60112"),
    Change("2010B", "NM108, NM109", 1, 9, OTHER_NPI),
    Change("2010C", "NM108, NM109", 1, 9, "MHP0044002"),
    Change("2010C", "NM109", 1, 9, "R12345678"),
    Change("2010C", "REF*6P", -1, 2, "STATE-1", _with("2010C", ("REF", "6P", "COM-1"))),
    Change("2000E", "TRN02, TRN03", 1, 2, "TR-2"),
    Change("2000E", "UM02", 2, 2, "R"),
    Change("2000E", "UM06", 2, 6, "E"),
    Change("2000E", "REF*BB", 3, 2, "AUTH2"),
    Change("2000E", "REF*NT", -1, 2, "DLI7K2Q2M4TX2", _with("2000E", ("REF", "NT", "OTHER"))),
    Change("2000E", "DTP*472, AAH, 435", 4, 3, "20250618", _without("2000F", "DTP")),
    Change("2000E", "HI", 5, 1, ("ABK", "C9102")),
    Change("2000E", "HSD02", 6, 2, "8", _only_in_event),
    Change("2000F", "UM02", 2, 2, "3"),
    Change(
        "2000F",
        "REF*BB",
        -1,
        2,
        "AUTH2",
        lambda loops: _with("2000F", ("REF", "BB", "A"))(_without("2000E", "REF")(loops)),
    ),
    Change("2000F", "REF*NT", -1, 2, "DLI7K2Q2M4TX2", _with("2000F", ("REF", "NT", "OTHER"))),
    Change("2000F", "DTP*472", 4, 3, "20250618"),
    Change("2000F", "HI", -1, 1, ("ABF", "C9102")),
    Change("2000F", "SV101", 5, 1, ("HC", "S2150")),
    Change("2000F", "SV104", 5, 4, "4"),
    Change("2000F", "SV202", -1, 2, ("HC", "S2150"), _with("2000F", ("SV2", "0819", ("HC", "38242")))),
    Change("2000F", "SV205", -1, 5, "4", _with("2000F", ("SV2", "0819", ("HC", "38242"), "", "UN", "2"))),
    Change("2000F", "SV301", -1, 1, ("AD", "D0120"), _with("2000F", ("SV3", ("AD", "38242")))),
    Change("2000F", "SV306", -1, 6, "4", _with("2000F", ("SV3", ("AD", "D0120"), "", "", "", "", "2"))),
    Change("2000F", "HSD02", -1, 2, "4", _with("2000F", ("SV1", ("HC", "38242")), ("HSD", "VS", "3"))),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: f"{one.loop} {one.part}")
def test_a_mapped_part_changes_its_field_and_no_other(change: Change) -> None:
    loops = change.instead(WHOLE)
    segments = [*loops[change.loop]]
    segment = [*segments[change.segment]]
    segment[change.element] = change.value
    segments[change.segment] = tuple(segment)
    before, after = _message(loops), _message(loops | {change.loop: segments})
    rows = [row for row in ROWS if (row.loop, row.part) == (change.loop, change.part)]
    wanted = {path for row in rows for path in row.path.split(", ")}
    if change.part in ("NM109", "NM108, NM109") and change.loop == "2010C":
        wanted |= {"member.member_id", "member.line_of_business"}
    if change.part == "UM02":
        wanted |= {"supersedes"}
    found = _changed(before, after)
    assert found
    assert found <= wanted


def test_every_mapped_row_has_been_changed_here() -> None:
    """The others have tests of their own: what stands without a service level, the envelope, and the ordinal."""
    mapped = {(row.loop, row.part) for row in ROWS if row.fate == "mapped"}
    assert mapped - {(one.loop, one.part) for one in CHANGES} == {("", "ISA06"), ("2000E", "UM03"), ("2000F", "HL")}


def test_the_sender_is_part_of_a_trace_without_trn() -> None:
    loops = _without("2000E", "TRN")(WHOLE)
    assert _message(loops).trace == "DELTAHOSP:DHX-1"
    assert _message(loops, Style(sender="OTHER")).trace == "OTHER:DHX-1"


def test_a_line_has_the_ordinal_of_its_loop() -> None:
    services = [*WHOLE["2000F"], ("HL", "7", "5", "SS", "0"), ("SV1", ("HC", "86950"))]
    lines = dict(_message(WHOLE | {"2000F": services}).request or {})["service_lines"]
    assert isinstance(lines, list)
    found = [(one["line"], one["code"]) for one in lines if isinstance(one, dict)]
    assert found == [(1, "38242"), (2, "86950")]


def _paths(model: Any, before: str = "") -> Iterator[str]:
    parts: dict[str, Any] = {
        "member": Member,
        "provider": Provider,
        "diagnoses": Diagnosis,
        "service_lines": ServiceLine,
    }
    for name in model.model_fields:
        if name in parts and not before:
            index = ".N" if name in ("diagnoses", "service_lines") else ""
            yield from _paths(parts[name], f"{name}{index}.")
        else:
            yield f"{before}{name}"


def test_every_canonical_field_has_a_row_or_a_reason() -> None:
    covered = {path for row in ROWS for path in row.path.split(", ") if path}
    assert covered.isdisjoint(NOT_STATED)
    assert covered <= set(_paths(AuthorizationRequest)) <= covered | set(NOT_STATED)


def test_the_page_is_what_the_tables_say() -> None:
    assert coverage.PAGE not in stale()
    assert coverage.PAGE.read_text("utf-8") == coverage.text()
