"""Every word of ours has its code, and none reads as a denial before a verdict."""

from typing import get_args

from events.adapters.code_lists import (
    ACTIONS,
    CERTIFICATIONS,
    LEVELS_OF_SERVICE,
    PENDED_BECAUSE,
    REASONS,
    REJECTED_BECAUSE,
)
from events.adapters.submission import Trouble
from events.decision import Action, Determination
from events.request import Certification, Urgency


def test_every_action_has_its_meaning() -> None:
    assert set(ACTIONS) == set(get_args(Action))


def test_every_certification_and_urgency_has_a_code() -> None:
    assert set(CERTIFICATIONS.values()) == set(get_args(Certification))
    assert set(LEVELS_OF_SERVICE.values()) == set(get_args(Urgency))


def test_every_trouble_has_a_reason() -> None:
    assert set(REJECTED_BECAUSE) == set(get_args(Trouble))


def test_what_may_be_pended_is_so_for_information_or_review() -> None:
    answered_otherwise = {"medically_necessary", "redirected", "cancelled"}
    assert set(PENDED_BECAUSE) == set(get_args(Determination)) - answered_otherwise
    assert set(PENDED_BECAUSE.values()) == {"0U", "0V"}
    assert set(PENDED_BECAUSE.values()) < set(REASONS)
