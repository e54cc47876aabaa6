"""What becomes of each part of a PAS request: one row for each, from which the code works and the page is made.

    mapped    becomes a field of the canonical request
    kept      goes into the context, and comes back in the answer
    ignored   is let be, and why
    refused   makes a dead letter

The rows of canonical fields say which function reads them.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from events.adapters.partner import Partner
from events.adapters.pas import reading
from events.adapters.pas.reading import Line, Message
from events.adapters.submission import Trouble

Fate = Literal["mapped", "kept", "ignored", "refused"]


class Row(NamedTuple):
    """One part of a message."""

    resource: str
    """Of the Bundle."""
    part: str
    """An element; several, if the same becomes of them. Extensions by their names."""
    fate: Fate
    says: str
    path: str = ""
    """The canonical field, with N for an index."""


class Field(NamedTuple):
    """A field of the canonical request, and what reads it."""

    path: str
    place: str
    """Where it stands, if the function does not say so itself."""
    loop: str
    """Where a 278 has it, as `errorElement` says it."""
    trouble: Trouble
    """What a value is that its model refuses."""
    read: Callable[[Message, Partner], Any]


class LineField(NamedTuple):
    """A field of a service line, and what reads it."""

    path: str
    """Within the line; `code` gives its system too."""
    element: str
    """Within the item."""
    loop: str
    trouble: Trouble
    read: Callable[[Message, Line, Partner], Any]


FIELDS: Final = (
    Field("certification", "Claim.extension(certificationType)", "2000E-UM02", "invalid", reading.certification),
    Field("urgency", "Claim.extension(levelOfServiceCode)", "2000E-UM06", "invalid", reading.urgency),
    Field("submitted_at", "Bundle.timestamp", "BHT04", "no_such_day", reading.submitted_at),
    Field(
        "prior_authorization_number",
        "Claim.extension(authorizationNumber)",
        "2000E-REF02",
        "invalid",
        reading.prior_authorization_number,
    ),
    Field("policy_number", "", "", "invalid", lambda _, partner: partner.policy_number),
    Field("channel", "", "", "invalid", lambda _, partner: partner.channel),
    Field("member.member_id", "Patient.identifier", "2010C-NM109", "invalid", reading.member_id),
    Field("member.line_of_business", "Coverage", "2010C-NM109", "invalid", reading.line_of_business),
    Field("provider.npi", "Claim.provider", "2010B-NM109", "no_such_provider", reading.npi),
)
"""In the order of the canonical request; diagnoses, past procedures, lines and answers follow."""
LINE_FIELDS: Final = (
    LineField("line", "sequence", "2000F-HL01", "invalid", reading.number),
    LineField("code", "productOrService", "2000F-SV101", "no_such_procedure", reading.procedure),
    LineField("units", "quantity", "2000F-SV104", "invalid", reading.units),
    LineField("service_date", "servicedDate", "2000F-DTP03", "no_such_day", reading.service_date),
)
OTHER_LOOPS: Final = {
    "request_id": "2000E-TRN02",
    "diagnoses": "2000E-HI01",
    "procedures": "2000E-HI01",
    "service_lines": "2000F-SV101",
    "member": "2010C-NM109",
    "provider": "2010B-NM109",
}
"""Where a 278 has the fields that no row above reads."""

_WORDS = "What people wrote is never read as a fact."
_OTHERS = "No decision depends on it."
_NOT_PAID = "No decision depends on money."
_CLINICAL = "A fact is stated in our questionnaire, never derived here."

ROWS: Final = (
    Row("Bundle", "type, id, entry.search", "ignored", "It is read as it is."),
    Row("Bundle", "meta", "ignored", "An inquiry's profile, here or of the Claim, makes it one; so do Parameters."),
    Row("Bundle", "entry", "refused", "`unsupported_type` unless the first is a Claim."),
    Row("Bundle", "entry.fullUrl", "kept", "The answer's resources have the same, if they are absolute."),
    Row("Bundle", "identifier", "mapped", "With interchangeSenderID, the trace of a Claim without one.", "request_id"),
    Row("Bundle", "timestamp", "mapped", "A time without an offset is in the partner's zone.", "submitted_at"),
    Row("Claim", "use", "refused", "`unsupported_type` unless preauthorization."),
    Row(
        "Claim",
        "identifier",
        "mapped",
        "The first with an organization (`urn:trnorg:`, else the assigner's identifier) is the trace. All come back.",
        "request_id",
    ),
    Row(
        "Claim", "TransmissionIdentifiers", "mapped", "interchangeSenderID, as said of Bundle.identifier.", "request_id"
    ),
    Row(
        "Claim",
        "certificationType",
        "mapped",
        "By list 1322; else the items', if they agree; else by `related`. Another code is refused.",
        "certification",
    ),
    Row("Claim", "levelOfServiceCode", "mapped", "By list 1338; without it, standard.", "urgency"),
    Row("Claim", "priority", "ignored", "Senders write normal everywhere."),
    Row("Claim", "created", "mapped", "If it has a time, and the Bundle has none.", "submitted_at"),
    Row("Claim", "authorizationNumber", "mapped", "The number of an earlier decision.", "prior_authorization_number"),
    Row(
        "Claim", "administrationReferenceNumber", "mapped", "One of ours: it follows an earlier message.", "supersedes"
    ),
    Row("Claim", "related", "mapped", "It follows an earlier message.", "supersedes"),
    Row("Claim", "type", "kept", "Comes back in the answer."),
    Row(
        "Claim",
        "status",
        "refused",
        "Cancelled, entered in error or draft, without certification type 3: asks for nothing. Others count as active.",
        "certification",
    ),
    Row("Claim", "subType, fundsReserve, prescription, originalPrescription", "ignored", _OTHERS),
    Row("Claim", "enterer, facility, payee, referral, accident, billablePeriod, encounter", "ignored", _OTHERS),
    Row("Claim", "conditionCode, homeHealthCareInformation", "ignored", _CLINICAL),
    Row("Claim", "careTeam", "ignored", "Other providers than the requester; no decision depends on them."),
    Row("Claim", "total", "ignored", _NOT_PAID),
    Row("Claim", "patient", "mapped", "Leads to the member. Without it the message is refused.", "member.member_id"),
    Row("Claim", "insurance", "mapped", "The focal one's coverage, else the first.", "member.line_of_business"),
    Row("Claim", "insurer", "mapped", "One of the ways to tell the line of business.", "member.line_of_business"),
    Row(
        "Claim",
        "provider",
        "mapped",
        "An Organization or Practitioner; of a PractitionerRole its practitioner's, then its organization's number.",
        "provider.npi",
    ),
    Row(
        "Claim",
        "diagnosis",
        "mapped",
        "ICD-10-CM and ICD-9-CM, of the concept or of the Condition that is named. Others are noted.",
        "diagnoses.N.code",
    ),
    Row(
        "Claim",
        "procedure",
        "mapped",
        "Past procedures; those planned, not completed or without a known code are noted.",
        "procedures.N.code",
    ),
    Row(
        "Claim",
        "supportingInfo.patientEvent",
        "mapped",
        "Of items without a date.",
        "service_lines.N.service_date",
    ),
    Row("Claim", "supportingInfo.additionalInformation", "mapped", "A QuestionnaireResponse of ours.", "clinical"),
    Row("Claim", "supportingInfo.freeFormMessage", "ignored", _WORDS),
    Row("Claim", "supportingInfo (other), infoChanged", "ignored", _OTHERS),
    Row("Claim", "supportingInfo.infoCancelled", "mapped", "Its answers are taken back.", "clinical"),
    Row("Claim.item", "sequence", "mapped", "", "service_lines.N.line"),
    Row(
        "Claim.item",
        "productOrService",
        "mapped",
        "The system by the code's shape, then by the system stated. Only a service type: `service-type`.",
        "service_lines.N.code",
    ),
    Row(
        "Claim.item",
        "category",
        "mapped",
        "The service type, if productOrService has no code, or says only why not.",
        "service_lines.N.code",
    ),
    Row("Claim.item", "quantity", "mapped", "Else what the partner's configuration says.", "service_lines.N.units"),
    Row(
        "Claim.item", "servicedDate, servicedPeriod", "mapped", "Of a period the start.", "service_lines.N.service_date"
    ),
    Row(
        "Claim.item",
        "requestedService",
        "mapped",
        "The order's occurrence, if neither item nor event has a date.",
        "service_lines.N.service_date",
    ),
    Row("Claim.item", "certificationType", "mapped", "See Claim; 3 cancels the item.", "certification"),
    Row(
        "Claim.item",
        "infoCancelled, itemCancelled",
        "mapped",
        "The item is left out and answered C. All items: a cancellation.",
        "certification",
    ),
    Row("Claim.item", "authorizationNumber", "mapped", "If the Claim has none.", "prior_authorization_number"),
    Row("Claim.item", "itemTraceNumber", "kept", "Comes back in the answer."),
    Row("Claim.item", "administrationReferenceNumber", "mapped", "As the Claim's.", "supersedes"),
    Row("Claim.item", "modifier", "kept", "Comes back with what is granted instead, if it is one of CPT or HCPCS."),
    Row("Claim.item", "serviceItemRequestType, location, revenue, infoChanged", "ignored", _OTHERS),
    Row("Claim.item", "unitPrice, factor, net, programCode, udi, bodySite, subSite", "ignored", _NOT_PAID),
    Row(
        "Claim.item", "careTeamSequence, diagnosisSequence, procedureSequence, informationSequence", "ignored", _OTHERS
    ),
    Row("Claim.item", "encounter, detail", "ignored", _OTHERS),
    Row(
        "Claim.item", "epsdtIndicator, nursingHome…, revenueUnitRateLimit, productOrServiceCodeEnd", "ignored", _OTHERS
    ),
    Row("Patient", "identifier", "mapped", "MB; else the coverage's; else its only one.", "member.member_id"),
    Row("Patient", "name, gender, birthDate", "kept", "Come back in the answer."),
    Row("Patient", "(other)", "ignored", _OTHERS),
    Row("Coverage", "identifier, subscriberId", "mapped", "If the patient has no MB.", "member.member_id"),
    Row("Coverage", "class", "mapped", "Plan and group, by which a rule may tell it.", "member.line_of_business"),
    Row("Coverage", "payor", "mapped", "If the Claim's insurer is not here.", "member.line_of_business"),
    Row("Coverage", "status, type, subscriber, beneficiary, relationship", "kept", "Come back in the answer."),
    Row("Coverage", "(other)", "ignored", _OTHERS),
    Row("Organization", "identifier", "mapped", "us-npi of the requester; any of the insurer.", "provider.npi"),
    Row("Organization", "active, type, name", "kept", "Come back in the answer."),
    Row("Organization", "(other)", "ignored", _OTHERS),
    Row("Practitioner", "identifier", "mapped", "us-npi.", "provider.npi"),
    Row("Practitioner", "name", "kept", "Comes back with its role; alone it is named by its number."),
    Row("Practitioner", "(other)", "ignored", _OTHERS),
    Row("PractitionerRole", "practitioner, organization", "mapped", "In this order.", "provider.npi"),
    Row("PractitionerRole", "(other)", "ignored", _OTHERS),
    Row("Condition", "code", "mapped", "As a diagnosis's own concept.", "diagnoses.N.code"),
    Row("Condition", "(other)", "ignored", _CLINICAL),
    Row("Procedure", "code, performed[x]", "mapped", "Of a past procedure that names it.", "procedures.N.code"),
    Row("ServiceRequest …", "occurrence[x]", "mapped", "See Claim.item.", "service_lines.N.service_date"),
    Row("ServiceRequest …", "(other)", "ignored", "The item says what is asked for."),
    Row(
        "QuestionnaireResponse",
        "questionnaire",
        "mapped",
        "Ours, of any version; answers to another are noted. Also inside a Bundle.",
        "clinical",
    ),
    Row(
        "QuestionnaireResponse",
        "item",
        "mapped",
        "The link id is the fact's path; valueCoding's code, valueBoolean, valueDate. Other answers are noted.",
        "clinical",
    ),
    Row("QuestionnaireResponse", "subject", "mapped", "Another than the Claim's patient: left out.", "clinical"),
    Row("QuestionnaireResponse", "(other)", "ignored", _OTHERS),
    Row("DocumentReference", "(all)", "ignored", _WORDS),
    Row(
        "(resources that come back)",
        "(all)",
        "kept",
        "Those that the profiles of 2.2.1 accept; others are named by address or number.",
    ),
    Row("(other resources)", "(all)", "ignored", _OTHERS),
)
"""In the order of the message."""

_NOT_TESTED = "No policy that platforms are connected to tests it."
NOT_STATED: Final = {
    "service_lines.N.performed_on": "Of our questionnaire, by the link id `service_lines.LINE.performed_on`.",
    "member.birth_date": _NOT_TESTED,
    "member.sex": _NOT_TESTED,
    "provider.specialty": _NOT_TESTED,
    "service_lines.N.place_of_service": _NOT_TESTED,
    "service_lines.N.modifiers": _NOT_TESTED,
    "service_lines.N.clinical": "Answers to our questionnaire are facts of the whole request.",
    "first_submitted_at": "That of the message's chain.",
    "supersedes": "The newest request of the message's chain, if it says that it follows one.",
}
"""Canonical fields that no part of a Claim becomes."""
