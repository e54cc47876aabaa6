"""The actions of reviewers, and the action for a whole request that they may be part of."""

from collections.abc import Sequence
from enum import StrEnum

from policy_core.determinations import Action


class Verdict(StrEnum):
    """The X12 code list 306 (HCR01) actions that a reviewer may take on a line."""

    CERTIFIED_IN_TOTAL = "A1"
    NOT_CERTIFIED = "A3"
    MODIFIED = "A6"


ADVERSE = frozenset({Verdict.NOT_CERTIFIED, Verdict.MODIFIED})
"""They refuse care, whole or in part: only a licensed physician takes them."""

_APPROVALS = frozenset({Action.CERTIFIED_IN_TOTAL, Action.CERTIFIED_PARTIAL, Verdict.MODIFIED})


def overall_of(actions: Sequence[str]) -> str:
    """The action for a whole request with these actions on its lines.

    In this order: any pended → pended; all equal → that action; some approved, whole or in part → certified in part;
    some refused → not certified; some of another payer → contact payer; else cancelled.
    """
    kinds = set(actions)
    if Action.PENDED in kinds:
        return Action.PENDED.value
    if len(kinds) == 1:
        return str(actions[0])
    if kinds & _APPROVALS:
        return Action.CERTIFIED_PARTIAL.value
    return next(
        (kind.value for kind in (Verdict.NOT_CERTIFIED, Action.CONTACT_PAYER) if kind in kinds), Action.CANCELLED.value
    )
