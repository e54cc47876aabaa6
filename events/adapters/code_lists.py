"""The code lists that both formats share: what each code says here, and what each of our words is as a code.

X12's lists are licensed, and were not at hand when these were written: every meaning of a code of theirs stands in this
module alone, so that a holder of the licence has one place to compare and correct.
"""

import re
from types import MappingProxyType
from typing import Final

from events.adapters.remembering import remembered
from events.adapters.submission import Trouble
from events.decision import Action, Determination
from events.request import Certification, Urgency

ACTIONS: Final = MappingProxyType[Action, str](
    {
        "A1": "Certified in total",
        "A2": "Certified - partial",
        "A3": "Not Certified",
        "A4": "Pended",
        "A6": "Modified",
        "C": "Cancelled",
        "CT": "Contact Payer",
    }
)
"""List 306, action: HCR01, and `reviewActionCode`."""

INFORMATION_REQUIRED = "0U"
MEDICAL_REVIEW_REQUIRED = "0V"
REASONS: Final = MappingProxyType[str, str](
    {
        "0F": "Not Medically Necessary",
        "0N": "No Prior Approval",
        "0P": "Requested Information Not Received",
        "0Q": "Duplicate Request",
        "0T": "Experimental Service or Procedure",
        INFORMATION_REQUIRED: "Additional Patient Information Required",
        MEDICAL_REVIEW_REQUIRED: "Requires Medical Review",
        "0W": "Disposition Pending Review",
        "14": "Plan/contractual guidelines not followed",
        "25": "Other Errors in Request",
    }
)
"""List 886, decision reason: HCR03, and `reasonCode`. A reviewer may give others."""

PENDED_BECAUSE: Final = MappingProxyType[Determination, str](
    {
        "information_needed": INFORMATION_REQUIRED,
        "invalid_code": INFORMATION_REQUIRED,
        "investigational": MEDICAL_REVIEW_REQUIRED,
        "not_medically_necessary": MEDICAL_REVIEW_REQUIRED,
        "criteria_not_met": MEDICAL_REVIEW_REQUIRED,
        "not_addressed": MEDICAL_REVIEW_REQUIRED,
        "no_prior_authorization": MEDICAL_REVIEW_REQUIRED,
        "policy_not_on_record": MEDICAL_REVIEW_REQUIRED,
    }
)
"""The reason of a line that is pended (A4). Before a reviewer's verdict nothing reads as a denial: never 0F, 0N, 0T."""

CERTIFICATIONS: Final = MappingProxyType[str, Certification](
    {
        "1": "reconsideration",  # appeal, immediate
        "2": "reconsideration",  # appeal, standard
        "3": "cancellation",
        "4": "extension",
        "I": "initial",
        "N": "reconsideration",
        "R": "renewal",
        "S": "revision",
    }
)
"""List 1322, certification type: UM02, and `certificationType`."""
INITIAL = "I"
CANCEL = "3"

LEVELS_OF_SERVICE: Final = MappingProxyType[str, Urgency](
    {
        "03": "expedited",  # emergency
        "E": "standard",  # elective
        "U": "expedited",  # urgent
    }
)
"""List 1338, level of service: UM06, and `levelOfServiceCode`. Another code, and none, is standard."""

_SHAPES: Final = {
    "cpt": re.compile(r"\d{4}[\dFTUM]", re.ASCII),
    "hcpcs": re.compile(r"[A-V]\d{4}", re.ASCII),
    "icd-10-pcs": re.compile(r"[0-9A-Z]{7}", re.ASCII),
}


@remembered
def shape_of(code: str) -> str | None:
    """The only system of procedures whose codes look like this one; None if none has such codes."""
    spelled = code.upper()
    return next((system for system, shape in _SHAPES.items() if shape.fullmatch(spelled)), None)


CORRECT_AND_RESUBMIT = "C"
"""List 889, follow-up action: AAA04, and `errorFollowupAction`."""
REJECTED_BECAUSE: Final = MappingProxyType[Trouble, str](
    {
        "missing": "15",  # required application data missing
        "invalid": "33",  # input errors
        "no_such_provider": "43",  # invalid or missing provider identification
        "no_such_day": "56",  # inappropriate date
        "no_such_procedure": "AG",  # invalid or missing procedure code
    }
)
"""List 901, reject reason: AAA03, and `error.code`."""
UNABLE_TO_RESPOND = "42"
"""List 901: unable to respond at current time."""
NOT_FOUND = "67"
"""List 901: patient not found, which is what an inquiry for an unknown trace is told."""
REQUEST_FOR_INFORMATION = "102089-0"
"""LOINC: questionnaire form definition, which is what is asked for."""
SUPPORTING_DATA = "OZ"
"""List 755, report type: PWK01, and the `category` of what is asked for."""
ELECTRONICALLY = "EL"
"""List 756, report transmission: PWK02, and the `medium` by which answers come."""
