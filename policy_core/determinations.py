"""Determinations, actions and who acts next: the same for every policy, because their consequences are fixed."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Determination(StrEnum):
    """What is found of one service line."""

    MEDICALLY_NECESSARY = "medically_necessary"
    INFORMATION_NEEDED = "information_needed"
    INVESTIGATIONAL = "investigational"
    NOT_MEDICALLY_NECESSARY = "not_medically_necessary"
    CRITERIA_NOT_MET = "criteria_not_met"
    NOT_ADDRESSED = "not_addressed"
    POLICY_NOT_ON_RECORD = "policy_not_on_record"
    NO_PRIOR_AUTHORIZATION = "no_prior_authorization"
    REDIRECTED = "redirected"
    INVALID_CODE = "invalid_code"
    CANCELLED = "cancelled"


CODE_NOT_LISTED = "code_not_listed"
"""The only reason that no document defines: the code is not on the policy's list."""


class Action(StrEnum):
    """The X12 code list 306 (HCR01) actions that software may take: none of them refuses care.

    A3 (not certified) and A6 (modified) are omitted on purpose: only a physician may issue them.
    """

    CERTIFIED_IN_TOTAL = "A1"
    CERTIFIED_PARTIAL = "A2"
    PENDED = "A4"
    CANCELLED = "C"
    CONTACT_PAYER = "CT"


class ActsNext(StrEnum):
    """Who must act after a determination."""

    NOBODY = "nobody"
    PROVIDER = "provider"
    PHYSICIAN_REVIEWER = "physician_reviewer"
    MEDICAL_POLICY_REVIEWER = "medical_policy_reviewer"
    CASE_MANAGEMENT = "case_management"
    OTHER_PROGRAM = "other_program"


class Stage(StrEnum):
    """How far a decision is from its end, by the lines that are pended."""

    RECOMMENDATION = "recommendation"
    """A line waits for a reviewer."""
    OPEN = "open"
    """No line waits for a reviewer, and one waits for the provider."""
    FINAL = "final"


class Consequence(NamedTuple):
    """What follows from a determination."""

    action: Action
    acts_next: ActsNext


CONSEQUENCES = {
    Determination.MEDICALLY_NECESSARY: Consequence(Action.CERTIFIED_IN_TOTAL, ActsNext.NOBODY),
    Determination.INFORMATION_NEEDED: Consequence(Action.PENDED, ActsNext.PROVIDER),
    Determination.INVESTIGATIONAL: Consequence(Action.PENDED, ActsNext.PHYSICIAN_REVIEWER),
    Determination.NOT_MEDICALLY_NECESSARY: Consequence(Action.PENDED, ActsNext.PHYSICIAN_REVIEWER),
    Determination.CRITERIA_NOT_MET: Consequence(Action.PENDED, ActsNext.PHYSICIAN_REVIEWER),
    Determination.NOT_ADDRESSED: Consequence(Action.PENDED, ActsNext.MEDICAL_POLICY_REVIEWER),
    Determination.POLICY_NOT_ON_RECORD: Consequence(Action.PENDED, ActsNext.MEDICAL_POLICY_REVIEWER),
    Determination.NO_PRIOR_AUTHORIZATION: Consequence(Action.PENDED, ActsNext.CASE_MANAGEMENT),
    Determination.REDIRECTED: Consequence(Action.CONTACT_PAYER, ActsNext.OTHER_PROGRAM),
    Determination.INVALID_CODE: Consequence(Action.PENDED, ActsNext.PROVIDER),
    Determination.CANCELLED: Consequence(Action.CANCELLED, ActsNext.NOBODY),
}
"""One row per determination. It is code and not data, so that no document can refuse care."""


def overall(actions: list[Action]) -> Action:
    """The action for a whole request: all equal → that action; any pended → pended; some certified → certified in part.

    Other mixtures, such as redirected with cancelled, cannot occur within one request. They are pended, so that a
    person looks at them.
    """
    kinds = set(actions)
    if len(kinds) == 1:
        return actions[0]
    if Action.PENDED not in kinds and Action.CERTIFIED_IN_TOTAL in kinds:
        return Action.CERTIFIED_PARTIAL
    return Action.PENDED


REVIEWERS = frozenset({ActsNext.PHYSICIAN_REVIEWER, ActsNext.MEDICAL_POLICY_REVIEWER, ActsNext.CASE_MANAGEMENT})


def stage_of(determinations: Iterable[Determination]) -> Stage:
    """The stage of a decision on lines with these determinations."""
    waiting = {CONSEQUENCES[determination].acts_next for determination in determinations}
    if waiting & REVIEWERS:
        return Stage.RECOMMENDATION
    return Stage.OPEN if ActsNext.PROVIDER in waiting else Stage.FINAL
