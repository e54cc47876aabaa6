"""What becomes of each part of a 278 request: one row for each, from which the code works and the page is made.

    mapped    becomes a field of the canonical request
    kept      goes into the context, and comes back in the answer
    ignored   is let be, and why
    refused   makes a dead letter

The rows of canonical fields say which function reads them. `KEPT` and `KNOWN` are the rows of segments.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from events.adapters.partner import Partner
from events.adapters.submission import Trouble
from events.adapters.x12 import reading
from events.adapters.x12.loops import Line, Message

Fate = Literal["mapped", "kept", "ignored", "refused"]


class Row(NamedTuple):
    """One part of a message."""

    loop: str
    """`2000E`; `2010E` and `2010F` stand for the loops of all providers of their level."""
    part: str
    """A segment or an element: `UM`, `UM02`."""
    fate: Fate
    says: str
    path: str = ""
    """The canonical fields, with N for an index."""


class Field(NamedTuple):
    """A field of the canonical request, and what reads it."""

    path: str
    place: str
    """Where it stands, if the function does not say so itself."""
    trouble: Trouble
    """What a value is that its model refuses."""
    read: Callable[[Message, Partner], Any]


class LineField(NamedTuple):
    """A field of a service line, and what reads it."""

    path: str
    """Within the line; two, if one function reads both."""
    place: str
    """Within the line's loop."""
    trouble: Trouble
    read: Callable[[Message, Line, Partner], Any]


FIELDS: Final = (
    Field("certification", "2000E UM02", "invalid", reading.certification),
    Field("urgency", "2000E UM06", "invalid", reading.urgency),
    Field("submitted_at", "BHT04", "no_such_day", reading.submitted_at),
    Field("prior_authorization_number", "2000E REF02", "invalid", reading.prior_authorization_number),
    Field("policy_number", "", "invalid", lambda _, partner: partner.policy_number),
    Field("channel", "", "invalid", lambda _, partner: partner.channel),
    Field("member.member_id", "2010C NM109", "invalid", reading.member_id),
    Field("member.line_of_business", "2010C NM109", "invalid", reading.line_of_business),
    Field("provider.npi", "2010B NM109", "no_such_provider", reading.npi),
)
"""In the order of the canonical request; diagnoses and lines follow."""
LINE_FIELDS: Final = (
    LineField("code", "SV1", "no_such_procedure", reading.procedure),
    LineField("units", "SV1", "invalid", reading.units),
    LineField("service_date", "DTP03", "no_such_day", reading.service_date),
)

_WORDS = "What people wrote is kept, never read as a fact."
_ADDRESS = "No decision depends on an address."
_OTHERS = "Another provider than the requester; no decision depends on it."
_CLINICAL = "Clinical words of the sender's own: a fact is stated in a questionnaire, never derived here."

ROWS: Final = (
    Row("", "ISA05-ISA08", "kept", "Swapped in the answer; ISA05 and ISA06 name the partner."),
    Row("", "ISA06", "mapped", "With BHT03, the trace of a message that has no TRN.", "request_id"),
    Row("", "ISA11, ISA12, ISA15, ISA16", "kept", "The answer has the sender's delimiters, version and usage."),
    Row("", "ISA01-ISA04, ISA09, ISA10, ISA13, ISA14", "ignored", "Of this interchange alone."),
    Row("", "GS02, GS03", "kept", "Swapped in the answer."),
    Row("", "GS01, GS04-GS08", "ignored", "Senders write other versions here; ST and BHT say what it is."),
    Row("", "ST01", "refused", "`unsupported_type` unless 278."),
    Row("", "ST02, ST03", "ignored", "Of this interchange alone."),
    Row("", "BHT02", "refused", "`unsupported_type` unless 13, a request."),
    Row("", "BHT03", "kept", "Comes back in the answer."),
    Row(
        "",
        "BHT04, BHT05",
        "mapped",
        "In the partner's zone; of a repeated hour the earlier, a skipped one as if it had "
        "not been skipped. Without a time, when the record was received.",
        "submitted_at",
    ),
    Row("", "BHT01, BHT06", "ignored", "They say nothing of the request."),
    Row("", "SE, GE, IEA", "ignored", "Counts and control numbers are often wrong. A set without an end is refused."),
    Row("", "HL", "kept", "The answer has the same tree, numbered anew. A second 22, 23 or EV is refused."),
    Row("2010A", "NM1", "kept", "The payer."),
    Row("2010A", "NM109", "mapped", "One of the ways to tell the line of business.", "member.line_of_business"),
    Row("2010A", "PER", "ignored", "How to reach us."),
    Row("2010B", "NM1", "kept", "The requester: 1P or FA."),
    Row("2010B", "NM108, NM109", "mapped", "XX and the number.", "provider.npi"),
    Row("2010B", "REF", "ignored", "Other numbers of the requester."),
    Row("2010B", "N3", "ignored", _ADDRESS),
    Row("2010B", "N4", "ignored", _ADDRESS),
    Row("2010B", "PER", "ignored", "The answer goes back the way the request came."),
    Row("2010B", "PRV", "ignored", "No decision depends on the requester's specialty."),
    Row("2010C", "NM1", "kept", "The subscriber: IL."),
    Row("2010C", "NM108, NM109", "mapped", "MI and the number; for a dependent too.", "member.member_id"),
    Row("2010C", "NM109", "mapped", "The first rule of the partner that matches.", "member.line_of_business"),
    Row("2010C", "REF*6P", "mapped", "The plan or group, by which a rule may tell it.", "member.line_of_business"),
    Row("2010C", "REF", "ignored", "Other numbers of the subscriber."),
    Row("2010C", "N3", "ignored", _ADDRESS),
    Row("2010C", "N4", "ignored", _ADDRESS),
    Row("2010C", "DMG", "kept", "Comes back in the answer."),
    Row("2010C", "INS", "kept", "Comes back in the answer."),
    Row("2010D", "NM1", "kept", "The dependent: QC. The member is the subscriber."),
    Row("2010D", "REF", "ignored", "Other numbers of the dependent."),
    Row("2010D", "N3", "ignored", _ADDRESS),
    Row("2010D", "N4", "ignored", _ADDRESS),
    Row("2010D", "DMG", "kept", "Comes back in the answer."),
    Row("2010D", "INS", "kept", "Comes back in the answer."),
    Row("2000E", "TRN", "kept", "All come back, as TRN*2."),
    Row("2000E", "TRN02, TRN03", "mapped", "Of the first, the trace; without one, ISA06 and BHT03.", "request_id"),
    Row("2000E", "UM", "kept", "Comes back in the answer."),
    Row("2000E", "UM02", "mapped", "By list 1322; another code is refused.", "certification"),
    Row(
        "2000E",
        "UM03",
        "mapped",
        "Without a 2000F, line 1 of system `service-type`.",
        "service_lines.N.system, service_lines.N.code",
    ),
    Row("2000E", "UM06", "mapped", "By list 1338; without it, standard.", "urgency"),
    Row("2000E", "REF*BB", "mapped", "The number of an earlier decision.", "prior_authorization_number"),
    Row(
        "2000E",
        "REF*NT",
        "mapped",
        "One of ours says that the message follows an earlier one, as does UM02 unless I.",
        "supersedes",
    ),
    Row("2000E", "REF", "ignored", "Other numbers."),
    Row(
        "2000E",
        "DTP*472, AAH, 435",
        "mapped",
        "In this order, for lines without a date.",
        "service_lines.N.service_date",
    ),
    Row("2000E", "DTP", "kept", "472 and 435 come back; no decision depends on the others."),
    Row(
        "2000E",
        "HI",
        "mapped",
        "ABK, ABF, ABJ are ICD-10-CM, BK, BF, BJ ICD-9-CM. Others are noted.",
        "diagnoses.N.system, diagnoses.N.code",
    ),
    Row("2000E", "HSD", "kept", "Comes back in the answer."),
    Row("2000E", "HSD02", "mapped", "The quantity, if there is no 2000F.", "service_lines.N.units"),
    Row("2000E", "CRC", "ignored", _CLINICAL),
    Row("2000E", "CL1", "ignored", "No decision depends on the kind of admission."),
    Row("2000E", "CR1", "ignored", _CLINICAL),
    Row("2000E", "CR2", "ignored", _CLINICAL),
    Row("2000E", "CR4", "ignored", _CLINICAL),
    Row("2000E", "CR5", "ignored", _CLINICAL),
    Row("2000E", "CR6", "ignored", _CLINICAL),
    Row("2000E", "CR7", "ignored", _CLINICAL),
    Row("2000E", "CR8", "ignored", _CLINICAL),
    Row("2000E", "SV1", "kept", "Without a 2000F, as there."),
    Row("2000E", "SV2", "kept", "Without a 2000F, as there."),
    Row("2000E", "SV3", "kept", "Without a 2000F, as there."),
    Row("2000E", "PWK", "kept", "Names an attachment, which is not here; never read as a fact."),
    Row("2000E", "MSG", "kept", _WORDS),
    Row("2010E", "NM1", "kept", _OTHERS),
    Row("2010E", "REF", "ignored", _OTHERS),
    Row("2010E", "N2", "ignored", _OTHERS),
    Row("2010E", "N3", "ignored", _ADDRESS),
    Row("2010E", "N4", "ignored", _ADDRESS),
    Row("2010E", "PER", "ignored", _OTHERS),
    Row("2010E", "PRV", "ignored", _OTHERS),
    Row("2000F", "HL", "mapped", "Its ordinal among the service levels.", "service_lines.N.line"),
    Row("2000F", "TRN", "kept", "All come back, as TRN*2."),
    Row("2000F", "UM", "kept", "Comes back in the answer."),
    Row(
        "2000F",
        "UM02",
        "mapped",
        "3 cancels the line: it is left out and answered C. All: a cancellation.",
        "certification",
    ),
    Row("2000F", "REF*BB", "mapped", "If the event has none.", "prior_authorization_number"),
    Row("2000F", "REF*NT", "mapped", "As that of the event.", "supersedes"),
    Row("2000F", "REF", "ignored", "Other numbers."),
    Row("2000F", "DTP*472", "mapped", "D8, or the first day of RD8.", "service_lines.N.service_date"),
    Row("2000F", "DTP", "kept", "472 comes back; no decision depends on the others."),
    Row("2000F", "HI", "mapped", "As that of the event.", "diagnoses.N.system, diagnoses.N.code"),
    Row("2000F", "SV1", "kept", "Comes back in the answer."),
    Row(
        "2000F",
        "SV101",
        "mapped",
        "The system by the code's shape, then by the qualifier.",
        "service_lines.N.system, service_lines.N.code",
    ),
    Row("2000F", "SV104", "mapped", "Then HSD02, then what the partner's configuration says.", "service_lines.N.units"),
    Row("2000F", "SV2", "kept", "Comes back in the answer."),
    Row(
        "2000F",
        "SV202",
        "mapped",
        "As SV101; a revenue code alone is no procedure.",
        "service_lines.N.system, service_lines.N.code",
    ),
    Row("2000F", "SV205", "mapped", "As SV104.", "service_lines.N.units"),
    Row("2000F", "SV3", "kept", "Comes back in the answer."),
    Row("2000F", "SV301", "mapped", "As SV101.", "service_lines.N.system, service_lines.N.code"),
    Row("2000F", "SV306", "mapped", "As SV104.", "service_lines.N.units"),
    Row("2000F", "HSD", "kept", "Comes back in the answer."),
    Row("2000F", "HSD02", "mapped", "The quantity, if SV has none.", "service_lines.N.units"),
    Row("2000F", "TOO", "ignored", "No decision depends on a tooth."),
    Row("2000F", "PWK", "kept", "Names an attachment, which is not here; never read as a fact."),
    Row("2000F", "MSG", "kept", _WORDS),
    Row("2010F", "NM1", "kept", _OTHERS),
    Row("2010F", "REF", "ignored", _OTHERS),
    Row("2010F", "N2", "ignored", _OTHERS),
    Row("2010F", "N3", "ignored", _ADDRESS),
    Row("2010F", "N4", "ignored", _ADDRESS),
    Row("2010F", "PER", "ignored", _OTHERS),
    Row("2010F", "PRV", "ignored", _OTHERS),
)
"""In the order of the message. A segment that has no row is let be and noted."""

_NOT_TESTED = "No policy that platforms are connected to tests it."
NOT_STATED: Final = {
    "clinical": "A 278 states no facts: they come as a PAS QuestionnaireResponse.",
    "service_lines.N.performed_on": "Nor whom a service is performed on: the member.",
    "member.birth_date": _NOT_TESTED,
    "member.sex": _NOT_TESTED,
    "provider.specialty": _NOT_TESTED,
    "service_lines.N.place_of_service": _NOT_TESTED,
    "service_lines.N.modifiers": _NOT_TESTED,
    "service_lines.N.clinical": "A 278 states no facts: they come as a PAS QuestionnaireResponse.",
    "procedures": "A 278 states what is asked for, not what was done.",
    "policy_number": "Of the partner's configuration.",
    "channel": "Of the partner's configuration.",
    "first_submitted_at": "That of the message's chain.",
}
"""Canonical fields that no part of the message becomes."""


def _loops(letter: str) -> set[str]:
    return {f"2000{letter}", f"2010{letter}"}


def _segments(letter: str, *fates: Fate) -> frozenset[str]:
    return frozenset(
        row.part for row in ROWS if row.loop in _loops(letter) and row.part.isalnum() and row.fate in fates
    )


KEPT: Final = {letter: _segments(letter, "kept") | {"HL"} for letter in "ABCDEF"}
"""The segments that go into the context, by the last letter of their level's loops."""
KNOWN: Final = {letter: KEPT[letter] | _segments(letter, "mapped", "ignored", "refused") for letter in "ABCDEF"}
"""The segments that have a row, likewise."""
NOTED: Final = {"PWK", "MSG"}
"""Kept, but noted wherever they stand: their sender may expect that they are read."""
