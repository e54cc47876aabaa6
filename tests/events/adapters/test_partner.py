"""A partner's configuration says how its messages are read, and refuses what cannot be meant."""

from typing import Any

import pytest
from pydantic import ValidationError

from events.adapters.partner import Partner

STATED: dict[str, Any] = {
    "time_zone": "America/Chicago",
    "payer_ids": ["60111"],
    "lines_of_business": [
        {"member_id": r"^R\d{8}$", "is": "fep"},
        {"plan": "^COM-", "is": "commercial"},
        {"payer": "60111", "is": "state_and_school"},
    ],
}


def _partner(**changes: Any) -> Partner:
    return Partner.model_validate(STATED | changes)


@pytest.mark.parametrize(
    ("member", "plans", "payer", "line"),
    [
        ("R12345678", ("COM-PPO",), "60111", "fep"),
        ("MHP1", ("X", "COM-PPO"), "60111", "commercial"),
        ("MHP1", (), "60111", "state_and_school"),
        ("MHP1", ("A-COM-",), None, None),
    ],
)
def test_the_first_rule_that_matches_says_the_line_of_business(
    member: str, plans: tuple[str, ...], payer: str | None, line: str | None
) -> None:
    assert _partner().line_of_business(member, plans, payer) == line


@pytest.mark.parametrize(
    "wrong",
    [
        {"time_zone": "Central"},
        {"time_zone": "../etc/passwd"},
        {"lines_of_business": []},
        {"lines_of_business": [{"is": "fep"}]},
        {"lines_of_business": [{"plan": "a", "payer": "b", "is": "fep"}]},
        {"lines_of_business": [{"plan": "(", "is": "fep"}]},
        {"lines_of_business": [{"plan": "a", "is": "other"}]},
        {"name": "delta hospital"},
        {"absent_quantity": 0},
        {"questionnaire": "Questionnaire/1"},
        {"colour": "blue"},
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _partner(**wrong)


def test_the_digest_changes_with_the_configuration_only() -> None:
    assert _partner().digest == _partner().digest
    assert _partner(absent_quantity=2).digest != _partner().digest
