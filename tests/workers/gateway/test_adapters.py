"""What the gateway takes from partners and policies."""

import json
from pathlib import Path

import pytest

from tests.support.gateways import settings_of
from workers.configuration.settings import Settings, SettingsError
from workers.gateway.adapters import parts
from workers.policies.policy_questionnaire import BASE

NUMBER = "L.2.03.402"
OWN = f"https://plan.example/Questionnaire/{NUMBER}"


def with_partners(folder: Path, **canonicals: str) -> Settings:
    partners = folder / "partners"
    partners.mkdir()
    for name, canonical in canonicals.items():
        written = {
            "time_zone": "UTC",
            "lines_of_business": [{"plan": "X", "is": "commercial"}],
            "questionnaire": canonical,
        }
        (partners / f"{name}.json").write_text(json.dumps(written), "utf-8")
    return settings_of("127.0.0.1:1", "", folder).model_copy(update={"partners": partners})


def test_a_questionnaire_has_the_partners_canonical(tmp_path: Path) -> None:
    """Answers name it by that; one that belongs to no policy of ours is not used."""
    found = parts(with_partners(tmp_path, hospital=OWN, other="https://plan.example/Questionnaire/another"))

    assert [found.questionnaires(name)[NUMBER]["url"] for name in ("hospital", "other")] == [OWN, BASE + NUMBER]
    assert found.questionnaires("hospital")[NUMBER]["item"]


def test_without_partners_there_are_questionnaires_too(tmp_path: Path) -> None:
    found = parts(settings_of("127.0.0.1:1", "", tmp_path))

    assert found.questionnaires("hospital")[NUMBER]["url"] == BASE + NUMBER


def test_a_client_that_is_no_partner_is_named(tmp_path: Path) -> None:
    """The integration would answer none of its messages."""
    with pytest.raises(SettingsError, match="no partner in DLI_PARTNERS is named other"):
        parts(with_partners(tmp_path, hospital=OWN))
