"""The words every determination is made of, whatever the policy: fixed, because what follows from them is fixed."""

from enum import StrEnum
from typing import NamedTuple


class Determination(StrEnum):
    """What is found of one service line."""

    MEDICALLY_NECESSARY = "medically_necessary"
    INFORMATION_NEEDED = "information_needed"
    INVESTIGATIONAL = "investigational"
    CRITERIA_NOT_MET = "criteria_not_met"
    NOT_ADDRESSED = "not_addressed"
    POLICY_NOT_ON_RECORD = "policy_not_on_record"
    NO_PRIOR_AUTHORIZATION = "no_prior_authorization"
    REDIRECTED = "redirected"
    INVALID_CODE = "invalid_code"
    CANCELLED = "cancelled"


CODE_NOT_LISTED = "code_not_listed"
"""The one reason that is no document's: the policy's list does not name the code."""


class Action(StrEnum):
    """The X12 code list 306 (HCR01) actions that a machine may take: none of them refuses care.

    A3 (not certified) and A6 (modified) are a physician's to give and have no name here on purpose.
    """

    CERTIFIED_IN_TOTAL = "A1"
    CERTIFIED_PARTIAL = "A2"
    PENDED = "A4"
    CANCELLED = "C"
    CONTACT_PAYER = "CT"


class ActsNext(StrEnum):
    """Who has to do something after a determination."""

    NOBODY = "nobody"
    PROVIDER = "provider"
    PHYSICIAN_REVIEWER = "physician_reviewer"
    MEDICAL_POLICY_REVIEWER = "medical_policy_reviewer"
    CASE_MANAGEMENT = "case_management"
    OTHER_PROGRAM = "other_program"


class Consequence(NamedTuple):
    """What a determination becomes."""

    action: Action
    acts_next: ActsNext


CONSEQUENCES = {
    Determination.MEDICALLY_NECESSARY: Consequence(Action.CERTIFIED_IN_TOTAL, ActsNext.NOBODY),
    Determination.INFORMATION_NEEDED: Consequence(Action.PENDED, ActsNext.PROVIDER),
    Determination.INVESTIGATIONAL: Consequence(Action.PENDED, ActsNext.PHYSICIAN_REVIEWER),
    Determination.CRITERIA_NOT_MET: Consequence(Action.PENDED, ActsNext.PHYSICIAN_REVIEWER),
    Determination.NOT_ADDRESSED: Consequence(Action.PENDED, ActsNext.MEDICAL_POLICY_REVIEWER),
    Determination.POLICY_NOT_ON_RECORD: Consequence(Action.PENDED, ActsNext.MEDICAL_POLICY_REVIEWER),
    Determination.NO_PRIOR_AUTHORIZATION: Consequence(Action.PENDED, ActsNext.CASE_MANAGEMENT),
    Determination.REDIRECTED: Consequence(Action.CONTACT_PAYER, ActsNext.OTHER_PROGRAM),
    Determination.INVALID_CODE: Consequence(Action.PENDED, ActsNext.PROVIDER),
    Determination.CANCELLED: Consequence(Action.CANCELLED, ActsNext.NOBODY),
}
"""One row for every determination; code and not data, so that no document can make the machine refuse care."""


def overall(actions: list[Action]) -> Action:
    """The action of a whole request: alike → that one; any pended → pended; some certified → certified in part.

    A mixture that is neither (a redirected line beside a cancelled one) cannot arise under one request's header; were
    it to, the request is pended, so that a person looks at it.
    """
    kinds = set(actions)
    if len(kinds) == 1:
        return actions[0]
    if Action.PENDED not in kinds and Action.CERTIFIED_IN_TOTAL in kinds:
        return Action.CERTIFIED_PARTIAL
    return Action.PENDED
