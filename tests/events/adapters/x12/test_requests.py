"""What a 278 becomes: each rule of the mapping, and everything that is wrong at once."""

from typing import Any

import pytest

from events.adapters.partner import Partner
from events.adapters.submission import Submission
from events.adapters.x12.adapter import X12
from events.adapters.x12.reading import code_system
from tests.support.x12_messages import PARTNER, RECEIVED, Segment, written

BEFORE: list[Segment] = [
    ("BHT", "0007", "13", "DHX-1", "20250602", "1405"),
    ("HL", "1", "", "20", "1"),
    ("NM1", "X3", "2", "PLAN", "", "", "", "", "PI", "60111"),
    ("HL", "2", "1", "21", "1"),
    ("NM1", "1P", "2", "HOSPITAL", "", "", "", "", "XX", "1300000019"),
    ("HL", "3", "2", "22", "1"),
    ("NM1", "IL", "1", "TILLMAN", "ODESSA", "", "", "", "MI", "MHP0044001"),
]
EVENT: list[Segment] = [
    ("HL", "4", "3", "EV", "1"),
    ("TRN", "1", "TR-1", "9640001112"),
    ("UM", "HS", "I", "2", ("22", "B")),
    ("HI", ("ABK", "C9202")),
]
SERVICE: list[Segment] = [
    ("HL", "5", "4", "SS", "0"),
    ("DTP", "472", "D8", "20250616"),
    ("SV1", ("HC", "38242"), "", "UN", "1"),
]
WHOLE = BEFORE + EVENT + SERVICE


def _read(segments: list[Segment], partner: Partner = PARTNER) -> Submission:
    [found] = X12.read(written(tuple(segments)), partner, RECEIVED)
    return found


def _request(segments: list[Segment], partner: Partner = PARTNER) -> dict[str, Any]:
    found = _read(segments, partner)
    assert found.request is not None, found.refused
    return dict(found.request)


def _line(segments: list[Segment]) -> dict[str, Any]:
    [line] = _request(segments)["service_lines"]
    return dict(line)


def _errors(segments: list[Segment], partner: Partner = PARTNER) -> list[tuple[str, str, str]]:
    found = _read(segments, partner)
    assert found.refused is not None
    return [(error.path, error.place, error.trouble) for error in found.refused.errors]


def _instead(name: str, *segments: Segment, among: list[Segment] = WHOLE) -> list[Segment]:
    """The message with other segments in place of the last of a name."""
    at = max(index for index, segment in enumerate(among) if segment[0] == name)
    return [*among[:at], *segments, *among[at + 1 :]]


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("I", "initial"),
        ("R", "renewal"),
        ("S", "revision"),
        ("4", "extension"),
        ("3", "cancellation"),
        ("1", "reconsideration"),
        ("2", "reconsideration"),
        ("N", "reconsideration"),
    ],
)
def test_um02_is_the_certification_and_says_whether_it_follows(code: str, wanted: str) -> None:
    found = _read(_instead("UM", ("UM", "HS", code, "2")))
    assert (found.request or {})["certification"] == wanted
    assert found.follows == (code != "I")


@pytest.mark.parametrize("code", ["X", "i", "5", "II"])
def test_another_um02_is_refused(code: str) -> None:
    assert _errors(_instead("UM", ("UM", "HS", code, "2"))) == [("certification", "2000E UM02", "invalid")]


def test_a_message_without_um_is_refused() -> None:
    assert _errors(_instead("UM")) == [("certification", "2000E UM02", "missing")]


@pytest.mark.parametrize(
    ("code", "wanted"), [("U", "expedited"), ("03", "expedited"), ("E", "standard"), ("", "standard")]
)
def test_um06_is_the_urgency(code: str, wanted: str) -> None:
    assert _request(_instead("UM", ("UM", "HS", "I", "2", "", "", code)))["urgency"] == wanted


@pytest.mark.parametrize(
    ("day", "time", "wanted"),
    [
        ("20250602", "1405", "2025-06-02T14:05:00-05:00"),
        ("20250102", "1405", "2025-01-02T14:05:00-06:00"),
        ("20250602", "140530", "2025-06-02T14:05:30-05:00"),
        ("20250602", "14053025", "2025-06-02T14:05:30.250000-05:00"),
        ("20251102", "0130", "2025-11-02T01:30:00-05:00"),  # the hour comes twice: the earlier
        ("20250309", "0230", "2025-03-09T03:30:00-05:00"),  # the hour is skipped
        ("", "", "2025-06-02T16:33:20-05:00"),
        ("20250602", "", "2025-06-02T16:33:20-05:00"),
    ],
)
def test_the_time_is_in_the_partners_zone_else_the_records(day: str, time: str, wanted: str) -> None:
    assert _request(_instead("BHT", ("BHT", "0007", "13", "DHX-1", day, time)))["submitted_at"] == wanted


@pytest.mark.parametrize(
    ("day", "time", "place", "trouble"),
    [
        ("20250230", "1405", "BHT04", "no_such_day"),
        ("250602", "1405", "BHT04", "no_such_day"),
        ("20250602", "2405", "BHT05", "invalid"),
        ("20250602", "14", "BHT05", "invalid"),
        ("00010101", "0000", "BHT04", "no_such_day"),
        ("99991231", "2359", "BHT05", "invalid"),
    ],
)
def test_a_time_that_is_none_is_refused(day: str, time: str, place: str, trouble: str) -> None:
    segments = _instead("BHT", ("BHT", "0007", "13", "DHX-1", day, time))
    assert _errors(segments) == [("submitted_at", place, trouble)]


def test_the_first_trace_counts_and_all_are_kept() -> None:
    found = _read(_instead("TRN", ("TRN", "1", "TR-1", "9640001112"), ("TRN", "1", "CLH-1", "9876543210")))
    assert found.trace == "9640001112:TR-1"
    assert found.echo["trn"] == ["TR-1", "CLH-1"]


def test_a_trace_without_its_company_does_not_count() -> None:
    assert _read(_instead("TRN", ("TRN", "1", "TR-1"))).trace == "DELTAHOSP:DHX-1"


def test_a_message_without_any_trace_is_refused() -> None:
    segments = [("BHT", "0007", "13", "", "20250602", "1405"), *_instead("TRN")[1:]]
    assert _errors(segments) == [("request_id", "2000E TRN02", "missing")]


@pytest.mark.parametrize("loop", ["E", "F"])
@pytest.mark.parametrize(
    ("qualifier", "number", "follows"),
    [
        ("NT", "DLI7K2Q2M4TXA", True),
        ("BB", "DLI7K2Q2M4TXA", True),
        ("NT", "AUTH1", False),
        ("BB", "AUTH1", False),
        ("ZZ", "DLI7K2Q2M4TXA", False),
    ],
)
def test_a_number_of_ours_says_that_a_message_follows(loop: str, qualifier: str, number: str, follows: bool) -> None:
    reference = ("REF", qualifier, number)
    event = [*EVENT, reference] if loop == "E" else EVENT
    found = _read([*BEFORE, *event, *SERVICE, *([reference] if loop == "F" else [])])
    assert found.follows == follows
    assert ((found.request or {}).get("prior_authorization_number") == number) == (qualifier == "BB")


def test_the_member_is_the_subscriber_for_a_dependent_too() -> None:
    dependent: list[Segment] = [
        ("HL", "4", "3", "23", "1"),
        ("NM1", "QC", "1", "TILLMAN", "ARLO", "", "", "", "MI", "X"),
    ]
    assert _request([*BEFORE, *dependent, *EVENT, *SERVICE])["member"]["member_id"] == "MHP0044001"


def test_a_member_of_no_line_of_business_is_refused() -> None:
    narrow = Partner.model_validate(
        {"time_zone": "UTC", "lines_of_business": [{"member_id": "^Z", "is": "commercial"}]}
    )
    assert _errors(WHOLE, narrow) == [("member.line_of_business", "2010C NM109", "invalid")]


def test_a_message_without_parties_names_each() -> None:
    assert [path for path, _, _ in _errors([BEFORE[0], *EVENT, *SERVICE])] == ["member.member_id", "provider.npi"]


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        (("NM1", "1P", "2", "HOSPITAL", "", "", "", "", "46", "4420017"), "no_such_provider"),
        (("NM1", "1P", "2", "HOSPITAL", "", "", "", "", "XX", "1300000018"), "no_such_provider"),
        (("NM1", "1P", "2", "HOSPITAL", "", "", "", "", "XX", "13000"), "no_such_provider"),
        (("NM1", "1P", "2", "HOSPITAL"), "no_such_provider"),
        (("NM1", "SJ", "2", "HOSPITAL", "", "", "", "", "XX", "1300000019"), "no_such_provider"),
    ],
)
def test_a_requester_without_its_number_is_refused(name: Segment, trouble: str) -> None:
    segments = [name if segment[:2] == ("NM1", "1P") else segment for segment in WHOLE]
    [(path, place, found)] = _errors(segments)
    assert (path, place[:5], found) == ("provider.npi", "2010B", trouble)


def test_a_qualifier_without_its_code_is_refused() -> None:
    segments = _instead("HI", ("HI", ("ABK", "C9202"), ("DR", "014")), ("HI", ("BF", "20400"), ("ABF", "")))
    assert _errors(segments) == [("diagnoses.2.code", "2000E HI02-2", "invalid")]


def test_diagnoses_keep_their_order_and_system() -> None:
    hi: Segment = ("HI", ("ABK", "C9202"), ("ABF", "Z9484", "D8", "20250101"), ("BK", "20510"), ("DR", "014"))
    found = _read(_instead("HI", hi))
    assert (found.request or {})["diagnoses"] == [
        {"system": "icd-10-cm", "code": "C9202"},
        {"system": "icd-10-cm", "code": "Z9484"},
        {"system": "icd-9-cm", "code": "20510"},
    ]
    assert [note.partition(":")[0] for note in found.notes] == ["2000E HI04-2"]


def test_repeated_composites_are_read_too() -> None:
    segments = _instead("HI", ("HI", ("ABK", "C9202^ABF", "Z9484")))
    assert [one["code"] for one in _request(segments)["diagnoses"]] == ["C9202", "Z9484"]


def test_a_diagnosis_that_is_none_is_refused_at_its_place() -> None:
    segments = _instead("HI", ("HI", ("ABK", "C9202"), ("ABF", "C92-02")))
    assert _errors(segments) == [("diagnoses.1.code", "2000E HI02-2", "invalid")]


@pytest.mark.parametrize(
    ("qualifier", "code", "wanted"),
    [
        ("HC", "38242", "cpt"),
        ("HC", "0537T", "cpt"),
        ("HC", "0537t", "cpt"),
        ("HC", "S2150", "hcpcs"),
        ("HC", "38-42", "cpt"),
        ("HC", "SX", "hcpcs"),
        ("AD", "D0120", "hcpcs"),
        ("ZZ", "30233Q1", "icd-10-pcs"),
        ("ID", "9909", "icd-9-pcs"),
        ("", "38242", "cpt"),
        ("N4", "12345678901", None),
        ("", "NONSENSE", None),
    ],
)
def test_a_codes_shape_says_its_system(qualifier: str, code: str, wanted: str | None) -> None:
    assert code_system(qualifier, code) == wanted


@pytest.mark.parametrize(
    ("segments", "wanted"),
    [
        ([("SV1", ("HC", "38242"), "", "UN", "2")], 2),
        ([("SV1", ("HC", "38242"), "", "UN", "2.0")], 2),
        ([("SV1", ("HC", "38242"), "", "UN", "002")], 2),
        ([("SV2", "0819", ("HC", "38242"), "350", "UN", "3")], 3),
        ([("SV3", ("AD", "D0120"), "", "", "", "", "4")], 4),
        ([("SV1", ("HC", "38242")), ("HSD", "VS", "5")], 5),
        ([("SV1", ("HC", "38242"), "", "UN", "2"), ("HSD", "VS", "5")], 2),
        ([("SV1", ("HC", "38242"))], 1),
    ],
)
def test_units_are_of_the_service_else_of_its_rate_else_one(segments: list[Segment], wanted: int) -> None:
    assert _line(_instead("SV1", *segments))["units"] == wanted


@pytest.mark.parametrize("written_", ["0", "0.5", "1.5", "-1", "+1", "A", "1E2", "9" * 19, "0.0"])
def test_a_quantity_that_is_no_whole_number_is_refused(written_: str) -> None:
    segments = _instead("SV1", ("SV1", ("HC", "38242"), "", "UN", written_))
    assert _errors(segments) == [("service_lines.0.units", "2000F[1] SV104", "invalid")]


def test_a_quantity_that_is_not_stated_may_be_refused() -> None:
    strict = PARTNER.model_copy(update={"absent_quantity": None})
    segments = _instead("SV1", ("SV1", ("HC", "38242")))
    assert _errors(segments, strict) == [("service_lines.0.units", "2000F[1] SV104", "missing")]


@pytest.mark.parametrize(
    ("event", "service", "wanted"),
    [
        ([], [("DTP", "472", "D8", "20250616")], "2025-06-16"),
        ([], [("DTP", "472", "RD8", "20250616-20250618")], "2025-06-16"),
        ([("DTP", "472", "D8", "20250601")], [("DTP", "472", "D8", "20250616")], "2025-06-16"),
        (
            [("DTP", "435", "D8", "20250603"), ("DTP", "AAH", "D8", "20250602"), ("DTP", "472", "D8", "20250601")],
            [],
            "2025-06-01",
        ),
        ([("DTP", "435", "D8", "20250603"), ("DTP", "AAH", "D8", "20250602")], [], "2025-06-02"),
        ([("DTP", "435", "RD8", "20250603-20250604")], [], "2025-06-03"),
    ],
)
def test_a_line_has_its_own_date_else_the_events(event: list[Segment], service: list[Segment], wanted: str) -> None:
    segments = [*BEFORE, *EVENT, *event, SERVICE[0], *service, SERVICE[2]]
    assert _line(segments)["service_date"] == wanted


@pytest.mark.parametrize(
    ("stated", "place", "trouble"),
    [
        ([("DTP", "472", "D8", "20250230")], "2000F[1] DTP03", "no_such_day"),
        ([("DTP", "472", "D8", "202506")], "2000F[1] DTP03", "no_such_day"),
        ([("DTP", "472", "TM", "1405")], "2000F[1] DTP02", "invalid"),
        ([], "2000F[1] DTP03", "missing"),
    ],
)
def test_a_line_without_a_day_is_refused(stated: list[Segment], place: str, trouble: str) -> None:
    assert _errors(_instead("DTP", *stated)) == [("service_lines.0.service_date", place, trouble)]


@pytest.mark.parametrize(
    ("services", "place"),
    [
        ([], "2000F[1] SV1"),
        ([("SV2", "0819")], "2000F[1] SV202-2"),
        ([("SV1", "HC")], "2000F[1] SV101-2"),
        ([("SV1", ("HC", "38242")), ("SV2", "0819", ("HC", "86950"))], "2000F[1] SV101-2"),
        ([("SV1", ("N4", "12345678901"))], "2000F[1] SV101-2"),
    ],
)
def test_a_line_without_one_procedure_is_refused(services: list[Segment], place: str) -> None:
    assert _errors(_instead("SV1", *services)) == [("service_lines.0.code", place, "no_such_procedure")]


def _services(*certifications: str) -> list[Segment]:
    segments: list[Segment] = []
    for number, code in enumerate(certifications, start=5):
        segments += [("HL", str(number), "4", "SS", "0"), ("UM", "HS", code), *SERVICE[1:]]
    return segments


def test_a_cancelled_line_is_left_out_and_known() -> None:
    found = _read([*BEFORE, *EVENT, *_services("I", "3", "I")])
    assert found.cancelled_lines == (2,)
    assert found.follows
    assert [line["line"] for line in _request([*BEFORE, *EVENT, *_services("I", "3", "I")])["service_lines"]] == [1, 3]


def test_a_cancelled_line_needs_neither_code_nor_date() -> None:
    segments = [*BEFORE, *EVENT, *SERVICE, ("HL", "6", "4", "SS", "0"), ("UM", "HS", "3")]
    assert _read(segments).cancelled_lines == (2,)


def test_a_request_with_all_lines_cancelled_is_a_cancellation() -> None:
    found = _read([*BEFORE, *EVENT, *_services("3", "3")])
    assert (found.request or {})["certification"] == "cancellation"
    assert found.cancelled_lines == ()
    assert found.follows
    assert len(_request([*BEFORE, *EVENT, *_services("3", "3")])["service_lines"]) == 2


@pytest.mark.parametrize("services", [[], [("HL", "5", "4", "SS", "0"), ("UM", "HS", "3")], [SERVICE[0], SERVICE[2]]])
def test_a_cancellation_may_leave_its_lines_to_the_trace(services: list[Segment]) -> None:
    found = _read([*BEFORE, *_instead("UM", ("UM", "HS", "3", "2"), among=EVENT), *services])
    assert "service_lines" not in (found.request or {"service_lines": []})


def test_a_request_without_services_asks_for_a_kind_of_service() -> None:
    assert _line([*BEFORE, *EVENT, ("DTP", "435", "D8", "20250616"), ("HSD", "VS", "6")]) == {
        "line": 1,
        "system": "service-type",
        "code": "2",
        "units": 6,
        "service_date": "2025-06-16",
    }


def test_without_an_event_level_the_patients_levels_say_it() -> None:
    usual = _request(WHOLE)
    assert _request([segment for segment in WHOLE if segment[0] != "HL" or segment[3] != "EV"]) == usual


@pytest.mark.parametrize(("twice", "path"), [(BEFORE[5:], "member"), (EVENT[:1], "service_lines")])
def test_a_message_for_two_members_or_events_is_refused(twice: list[Segment], path: str) -> None:
    assert path in [one[0] for one in _errors([*BEFORE, *twice, *EVENT, *SERVICE])]


def test_more_lines_than_a_request_may_have_are_refused() -> None:
    cancelled: list[Segment] = [("HL", "5", "4", "SS", "0"), ("UM", "HS", "3")]
    assert _errors([*BEFORE, *EVENT, *SERVICE, *(cancelled * 198)]) == [("service_lines", "2000F HL", "invalid")]
    assert ("service_lines", "2000F HL", "invalid") in _errors([*BEFORE, *EVENT, *(SERVICE * 500)])


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        (b"ST*278", b"ST*270", "ST01"),
        (b"BHT*0007*13", b"BHT*0007*11", "BHT02"),
        (b"BHT*0007*13*", b"XYZ*0007*13*", "BHT02"),
    ],
)
def test_what_is_no_278_request_is_of_an_unsupported_type(before: bytes, after: bytes, place: str) -> None:
    [found] = X12.read(written(tuple(WHOLE)).replace(before, after), PARTNER, RECEIVED)
    assert found.refused is not None
    assert (found.refused.reason, [error.place for error in found.refused.errors]) == ("unsupported_type", [place])


def test_a_response_is_refused_and_not_answered() -> None:
    found = _read([BEFORE[0][:2] + ("11",) + BEFORE[0][3:], *WHOLE[1:]])  # noqa: RUF005 (one element of a tuple)
    assert found.refused is not None
    assert X12.refuse(found, found.refused, 0) == b""


def test_everything_that_is_wrong_is_said_at_once_in_order() -> None:
    segments = _instead("SV1", ("SV1", ("HC", "38242"), "", "UN", "0.5"), *SERVICE[:1], ("UM", "HS", "I", "3"))
    segments = _instead("UM", ("UM", "HS", "I"), among=segments)
    segments = [("UM", "HS", "X") if one == EVENT[2] else one for one in segments]
    segments = [("DTP", "472", "D8", "20250230") if one[0] == "DTP" else one for one in segments]
    segments = [(*one[:8], "46", "1") if one[:2] == ("NM1", "1P") else one for one in segments]
    assert [path for path, _, _ in _errors(segments)] == [
        "certification",
        "provider.npi",
        "service_lines.0.service_date",
        "service_lines.0.units",
        "service_lines.1.code",
        "service_lines.1.service_date",
    ]


def test_the_partners_policy_and_channel_are_the_requests() -> None:
    partner = PARTNER.model_copy(update={"policy_number": "L.2.03.402", "channel": "portal"})
    found = _request(WHOLE, partner)
    assert (found["policy_number"], found["channel"]) == ("L.2.03.402", "portal")


def test_modifiers_are_kept_by_line() -> None:
    segments = _instead("SV1", ("SV1", ("HC", "A0428", "RX", "59"), "", "UN", "1"))
    assert _read(segments).echo["modifiers"] == {"1": ["RX", "59"]}
