"""What a decision becomes as a 278 response: by a reader that is not ours, clean and in the sender's words."""

import json
import re
from functools import cache
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.adapters.adapter import Decided
from events.adapters.chain import Requested
from events.adapters.submission import Context, Refusal, SourceError
from events.adapters.x12.adapter import X12
from events.adapters.x12.interchange import USUAL
from events.adapters.x12.writing import LONGEST_MESSAGE, plain
from events.decision import Decision, Determination
from tests.support.composed_decisions import ID, NUMBER, decided_line, decision_of
from tests.support.places import EVENT_EXAMPLES
from tests.support.x12_answers import AT, Answer, answer, requested
from tests.support.x12_messages import PARTNER, RECEIVED, Segment, Style, written

HEADING: list[Segment] = [
    ("BHT", "0007", "13", "DHX-1", "20250602", "1405"),
    ("HL", "1", "", "20", "1"),
    ("NM1", "X3", "2", "PLAN", "", "", "", "", "PI", "60111"),
    ("HL", "2", "1", "21", "1"),
    ("NM1", "1P", "2", "HOSPITAL", "", "", "", "", "XX", "1300000019"),
    ("HL", "3", "2", "22", "1"),
    ("NM1", "IL", "1", "TILLMAN", "ODESSA", "", "", "", "MI", "MHP0044001"),
    ("DMG", "D8", "19790412", "F"),
    ("HL", "4", "3", "EV", "1"),
    ("TRN", "1", "TR-1", "9640001112"),
    ("UM", "HS", "I", "2", ("22", "B")),
    ("HI", ("ABK", "C9202")),
]
FIRST: list[Segment] = [
    ("HL", "5", "4", "SS", "0"),
    ("TRN", "1", "TR-1-1", "9640001112"),
    ("DTP", "472", "D8", "20250616"),
    ("SV1", ("HC", "38242", "59"), "350", "UN", "2"),
    ("HSD", "VS", "2"),
]
SECOND: list[Segment] = [
    ("HL", "6", "4", "SS", "0"),
    ("DTP", "472", "D8", "20250617"),
    ("SV2", "0819", ("HC", "86950"), "350", "UN", "1"),
]


@cache
def _requested(style: Style = Style(), *more: tuple[Segment, ...]) -> Requested:  # noqa: B008 (it is frozen)
    segments = (*HEADING, *FIRST, *SECOND, *(one for part in more for one in part))
    [found] = X12.read(written(segments, style=style), PARTNER, RECEIVED)
    return requested(found)


def _answer(decision: Decision, context: Context | None = None) -> Answer:
    response = answer(X12.answer(context or _requested().context, Decided(decision, AT)))
    assert response.troubles == []
    return response


REVIEW = {"verdict_id": "V-1", "role": "physician", "decided_at": "2025-06-10T09:00:00-05:00"}


def test_the_response_goes_back_to_the_sender_in_the_same_tree() -> None:
    response = _answer(
        decision_of("A1", decided_line(1, "A1", "medically_necessary"), decided_line(2, "A1", "medically_necessary"))
    )
    isa, gs, st = response.segments[:3]
    assert [isa[5], isa[6].strip(), isa[7], isa[8].strip()] == ["ZZ", "MAGNOLIA", "ZZ", "DELTAHOSP"]
    assert gs[1:4] == ["HI", "MAGNOLIA", "DELTAHOSP"]
    assert (st, gs[8]) == (["ST", "278", "0001", "005010X217"], "005010X217")
    assert response.all("BHT") == [["BHT", "0007", "11", "DHX-1", "20250602", "1633", "18"]]
    assert [segment[1:4] for segment in response.all("HL")] == [
        ["1", "", "20"],
        ["2", "1", "21"],
        ["3", "2", "22"],
        ["4", "3", "EV"],
        ["5", "4", "SS"],
        ["6", "4", "SS"],
    ]
    assert response.loop("22").all("DMG") == [["DMG", "D8", "19790412", "F"]]
    assert response.loop("EV").all("TRN") == [["TRN", "2", "TR-1", "9640001112"]]
    assert response.loop("SS").all("TRN") == [["TRN", "2", "TR-1-1", "9640001112"]]


@pytest.mark.parametrize(
    ("action", "determination", "wanted"),
    [
        ("A1", "medically_necessary", ["HCR", "A1", NUMBER]),
        ("A4", "information_needed", ["HCR", "A4", "", "0U"]),
        ("A4", "invalid_code", ["HCR", "A4", "", "0U"]),
        ("A4", "investigational", ["HCR", "A4", "", "0V"]),
        ("A4", "criteria_not_met", ["HCR", "A4", "", "0V"]),
        ("A4", "not_addressed", ["HCR", "A4", "", "0V"]),
        ("A4", "no_prior_authorization", ["HCR", "A4", "", "0V"]),
        ("A4", "policy_not_on_record", ["HCR", "A4", "", "0V"]),
        ("A4", "not_medically_necessary", ["HCR", "A4", "", "0V"]),
        ("CT", "redirected", ["HCR", "CT"]),
        ("C", "cancelled", ["HCR", "C"]),
    ],
)
def test_an_action_is_said_of_the_event_and_of_the_line(action: str, determination: str, wanted: list[str]) -> None:
    response = _answer(decision_of(action, decided_line(1, action, determination)))
    assert response.loop("EV").all("HCR") == [wanted]
    assert response.loop("SS").all("HCR") == [wanted]
    numbers = [["REF", "NT", NUMBER]] if action == "A4" else []
    assert response.loop("EV").all("REF") == numbers
    assert response.loop("SS").all("REF") == numbers


def test_nothing_reads_as_a_denial_before_a_verdict() -> None:
    for determination in get_args(Determination):
        response = _answer(decision_of("A4", decided_line(1, "A4", determination)))
        assert {segment[3] for segment in response.all("HCR") if len(segment) > 3} <= {"0U", "0V"}


@pytest.mark.parametrize(("second", "wanted"), [("A4", "19"), ("A1", "18")])
def test_bht06_says_whether_anything_is_pended(second: str, wanted: str) -> None:
    action = "A2" if second == "A4" else "A1"
    lines = decided_line(1, "A1", "medically_necessary"), decided_line(2, second, "information_needed")
    response = _answer(decision_of(action, *lines))
    assert response.all("BHT")[0][6] == wanted
    assert response.loop("EV").all("HCR") == [["HCR", action, NUMBER]]


def test_the_event_asks_for_information_if_any_line_does() -> None:
    response = _answer(
        decision_of("A4", decided_line(1, "A4", "investigational"), decided_line(2, "A4", "information_needed"))
    )
    assert [segment[3] for segment in response.all("HCR")] == ["0U", "0V", "0U"]


def test_questions_are_asked_under_a_control_number() -> None:
    asked = [{"fact": "clinical.malignancy", "question": "What kind: one, or another?"}]
    response = _answer(decision_of("A4", decided_line(1, "A4", "information_needed", missing=asked)))
    line = response.loop("SS")
    assert line.all("HI") == [["HI", "LOI:102089-0"]]
    assert line.all("PWK") == [["PWK", "OZ", "EL", "", "", "AC", NUMBER]]
    assert line.all("TRN", "1") == [["TRN", "1", NUMBER, "9000060111"]]
    assert line.all("MSG") == [["MSG", "Question - What kind one, or another?"]]
    assert not response.loop("SS", 2).all("MSG")


def test_another_program_is_named() -> None:
    program = {"name": "Another program", "says": "Ask it."}
    response = _answer(decision_of("CT", decided_line(1, "CT", "redirected", program=program)))
    assert response.loop("SS").all("MSG") == [["MSG", "Another program - Ask it."]]


def test_guidance_and_the_day_that_is_due_are_told() -> None:
    more = {
        "due_at": "2025-06-05T14:05:00-05:00",
        "references": [{"id": "G1", "says": "Keep it."}, {"id": "S1", "says": "Another part."}],
    }
    response = _answer(decision_of("A4", decided_line(1, "A4", "not_addressed", guidance=["G1"]), **more))
    assert response.loop("SS").all("MSG") == [["MSG", "Keep it."]]
    assert response.loop("EV").all("MSG") == [["MSG", "A decision is due by 2025-06-05 at 1405 (UTC -0500)."]]


def test_an_approval_says_until_when_it_is_valid() -> None:
    response = _answer(decision_of("A1", decided_line(1, "A1", "medically_necessary", valid_through="2025-12-02")))
    assert response.loop("SS").all("DTP", "AAH") == [["DTP", "AAH", "RD8", "20250602-20251202"]]
    assert response.loop("SS").all("DTP", "472") == [["DTP", "472", "D8", "20250616"]]


def test_a_denial_has_its_reviewers_reasons_and_words() -> None:
    review = REVIEW | {"reasons": ["0F", "14"], "text": "Not shown to help."}
    response = _answer(
        decision_of("A3", decided_line(1, "A3", "not_medically_necessary", review=review), stage="final")
    )
    assert response.loop("SS").all("HCR") == [["HCR", "A3", "", "0F^14"]]
    assert response.loop("SS").all("MSG") == [["MSG", "Not shown to help."]]
    assert response.loop("EV").all("HCR") == [["HCR", "A3"]]


def test_what_is_granted_in_part_stands_in_its_place() -> None:
    granted = {"code": "38243", "units": 1, "from": "2025-06-20", "through": "2025-06-30"}
    line = decided_line(1, "A6", "criteria_not_met", review=REVIEW, authorized=granted)
    service = _answer(decision_of("A6", line, stage="final")).loop("SS")
    assert service.all("HCR") == [["HCR", "A6", NUMBER]]
    assert service.all("SV1") == [["SV1", "HC:38243:59", "350", "UN", "1"]]
    assert service.all("HSD") == [["HSD", "VS", "1"]]
    assert service.all("DTP") == [
        ["DTP", "472", "RD8", "20250620-20250630"],
        ["DTP", "AAH", "RD8", "20250620-20250630"],
    ]


def test_a_cancelled_line_is_answered_without_a_decision() -> None:
    cancelled = (("HL", "7", "4", "SS", "0"), ("UM", "HS", "3"), FIRST[3])
    context = _requested(Style(), cancelled).context
    response = _answer(
        decision_of("A4", decided_line(1, "A4", "not_addressed"), decided_line(2, "A4", "not_addressed")), context
    )
    assert [response.loop("SS", n).all("HCR")[0][1] for n in (1, 2, 3)] == ["A4", "A4", "C"]


EXAMPLES = [
    file
    for folder in ("valid", "after-review")
    for file in sorted((EVENT_EXAMPLES / "authorization.decided.v1" / folder).glob("*.json"))
]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: f"{file.parent.name} {file.stem}")
def test_every_example_of_a_decision_is_answered_cleanly(file: Any) -> None:
    decision = Decision.model_validate_json(json.dumps(json.loads(file.read_bytes())["data"]))
    more = [(("HL", str(n), "4", "SS", "0"), *FIRST[2:]) for n in range(7, 7 + len(decision.lines))]
    response = _answer(decision, _requested(Style(), *more).context)
    assert response.loop("EV").all("HCR")[0][1] == decision.action
    for line in decision.lines:
        assert response.loop("SS", line.line).all("HCR")[0][1] == line.action


@given(st.text(max_size=700), st.sampled_from(["*:^~", "|>!\x1e", "=-.,", "/;'(", "&\x1f\x1d\x1c"]))
def test_any_words_are_told_in_the_characters_of_the_standard(words: str, delimiters: str) -> None:
    review = REVIEW | {"reasons": ["0F"], "text": f"said {words}"}
    context = _requested(Style(*delimiters)).context
    response = _answer(decision_of("A3", decided_line(1, "A3", "not_medically_necessary", review=review)), context)
    told = [segment[1] for segment in response.loop("SS").all("MSG")]
    assert told
    assert all(0 < len(text) <= LONGEST_MESSAGE for text in told)
    assert all(re.fullmatch(r"""[A-Za-z0-9 !"&'()*+,\-./:;?=%@\[\]_{}\\|<>~^`#$]+""", text) for text in told)


def test_typography_is_spelled_out() -> None:
    typographic = "\u201cNa\u00efve\u201d \u2013 it\u2019s \u2265 2 \u00a73\n\nnext"
    assert plain(typographic, USUAL) == '"Naive" - it\'s >= 2 Sec. 3 next'


@pytest.mark.parametrize(("delimiters", "trace"), [("=-.,", "TR:1"), ("/;'(", "TR-1")])
def test_a_delimiter_that_our_own_values_have_is_replaced(delimiters: str, trace: str) -> None:
    context = _requested(Style(*delimiters)).context
    response = _answer(decision_of("A4", decided_line(1, "A4", "information_needed")), context)
    assert response.loop("SS").all("HI")[0][1].endswith("102089-0")
    assert response.loop("EV").all("TRN")[0][2] == trace


def test_an_answer_is_a_function_of_its_decision() -> None:
    one = decision_of("A1", decided_line(1, "A1", "medically_necessary"))
    other = one.model_copy(update={"decision_id": ID[::-1]})
    first, again, second = (_answer(decision).segments[0][13] for decision in (one, one, other))
    assert first == again
    assert first != second
    assert re.fullmatch("[0-9]{9}", first)


def test_a_later_refusal_is_told_at_the_loop_of_its_path() -> None:
    context = _requested().context
    errors = tuple(
        SourceError(path=path, place="", trouble="invalid", message="is wrong")
        for path in ("clinical.malignancy", "service_lines.1.code", "member.member_id", "")
    )
    value = X12.refuse(context, Refusal(reason="schema_violation", errors=errors), AT)
    response = answer(value)
    assert response.troubles == []
    told = {
        (code, n): response.loop(code, n).all("AAA")
        for code, n in (("20", 1), ("21", 1), ("22", 1), ("EV", 1), ("SS", 1), ("SS", 2))
    }
    rejected = [["AAA", "N", "", "33", "C"]]
    assert {place for place, found in told.items() if found} == {("20", 1), ("22", 1), ("EV", 1), ("SS", 2)}
    assert all(found in ([], rejected) for found in told.values())
    assert not response.all("HCR")


def test_a_refusal_without_details_is_told_all_the_same() -> None:
    response = answer(X12.refuse(_requested().context, Refusal(reason="conflicting_duplicate"), AT))
    assert response.loop("20").all("AAA") == [["AAA", "N", "", "33", "C"]]


def test_an_inquiry_gets_the_newest_decision_or_not_found() -> None:
    context = _requested().context
    [inquiry] = X12.read(written((*HEADING, *FIRST)), PARTNER, RECEIVED)
    decided = Decided(decision_of("A1", decided_line(1, "A1", "medically_necessary")), AT)
    assert X12.report(inquiry, context, decided, AT) == X12.answer(context, decided)
    response = answer(X12.report(inquiry, None, None, AT))
    assert response.troubles == []
    assert response.loop("22").all("AAA") == [["AAA", "N", "", "67", "C"]]


def test_a_tree_that_is_numbered_wrongly_is_numbered_anew() -> None:
    wrong = [("HL", "9", "77", *segment[3:]) if segment[0] == "HL" else segment for segment in (*HEADING, *FIRST)]
    [found] = X12.read(written(tuple(wrong)), PARTNER, RECEIVED)
    response = _answer(decision_of("A1", decided_line(1, "A1", "medically_necessary")), requested(found).context)
    assert [segment[1:] for segment in response.all("HL")] == [
        ["1", "", "20", "1"],
        ["2", "1", "21", "1"],
        ["3", "2", "22", "1"],
        ["4", "3", "EV", "1"],
        ["5", "4", "SS", "0"],
    ]
