"""Trading partners' files: what is loaded, and what is said of mistakes."""

import json
from pathlib import Path

import pytest

from events.adapters.partner import Partner
from tests.support.commands import dli
from tests.support.places import ROOT
from tests.support.x12_messages import Style
from tests.support.x12_messages import written as written_interchange
from workers.integration.partners import PartnersError, load

RULES = "lines_of_business: [{payer: '60111', is: commercial}]\n"
GOOD = f"time_zone: America/Chicago\n{RULES}"


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def mistakes(place: Path) -> list[str]:
    with pytest.raises(PartnersError) as raised:
        load(place)
    return [line.replace(f"{place}/", "") for line in str(raised.value).splitlines()]


def test_a_partner_is_named_after_its_file_by_default(tmp_path: Path) -> None:
    found = load(written(tmp_path, delta=GOOD, other=f"name: gulf\n{GOOD}"))

    assert [partner.name for partner in found] == ["delta", "gulf"]


def test_json_is_read_too(tmp_path: Path) -> None:
    stated = {"time_zone": "UTC", "lines_of_business": [{"payer": "1", "is": "fep"}]}
    (tmp_path / "delta.json").write_text(json.dumps(stated))

    assert load(tmp_path / "delta.json").named("delta") is not None


def test_each_mistake_has_its_file_line_and_field(tmp_path: Path) -> None:
    text = "time_zone: Mars/Olympus\ncolour: blue\nlines_of_business:\n  - payer: '60111'\n    is: commercal\n"

    assert mistakes(written(tmp_path, delta=text)) == [
        "delta.yaml:1: time_zone: should be a time zone of the IANA database, as America/Chicago",
        "delta.yaml:5: lines_of_business.0.is: should be 'commercial', 'fep' or 'state_and_school'",
        "delta.yaml:2: colour: no field of a trading partner",
    ]


def test_a_name_and_a_sender_belong_to_one_partner(tmp_path: Path) -> None:
    one = f"name: delta\nsenders: ['ZZ:DELTAHOSP']\n{GOOD}"

    assert mistakes(written(tmp_path, a=one, b=one)) == [
        "b.yaml: name: a.yaml has the same; each trading partner needs its own",
        "b.yaml: senders: a.yaml has ZZ:DELTAHOSP too; an interchange's sender is one trading partner",
    ]


def test_an_empty_folder_is_a_mistake(tmp_path: Path) -> None:
    assert mistakes(tmp_path) == [f"{tmp_path}: has no file of a trading partner; write one, NAME.yaml"]


def sent_by(sender: str) -> bytes:
    return written_interchange(style=Style(sender=sender))


def test_a_message_belongs_to_the_partner_that_it_names(tmp_path: Path) -> None:
    found = load(written(tmp_path, delta=f"senders: ['ZZ:DELTAHOSP']\n{GOOD}", gulf=GOOD))
    message = sent_by("DELTAHOSP")

    assert found.of("x12-278", (("partner", b"gulf"),), message) == found.named("gulf")
    assert found.of("x12-278", (("partner", b"nobody"),), message) is None


def test_without_a_name_the_sender_tells_the_partner(tmp_path: Path) -> None:
    found = load(written(tmp_path, delta=f"senders: ['ZZ:DELTAHOSP']\n{GOOD}", gulf=GOOD))

    assert found.of("x12-278", (), sent_by("DELTAHOSP")) == found.named("delta")
    assert found.of("x12-278", (), sent_by("OTHER")) is None
    assert found.of("pas", (), b"{}") is None


def test_a_single_partner_need_not_be_told(tmp_path: Path) -> None:
    found = load(written(tmp_path, delta=GOOD))

    assert found.of("pas", (), b"{}") == found.of("x12-278", (), sent_by("OTHER")) == found.named("delta")


def test_the_example_is_checked() -> None:
    ran = dli("partners", "check", str(ROOT / "deploy" / "partners"))

    assert ran.code == 0
    assert "delta-hospital" in ran.out


def test_the_setting_names_the_partners_to_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLI_PARTNERS", str(written(tmp_path, delta="colour: blue")))

    ran = dli("partners", "check")

    assert ran.code == 1
    assert "delta.yaml:1: colour" in ran.err
    assert "Traceback" not in ran.err


def test_the_example_states_what_the_schema_knows() -> None:
    schema = json.loads((ROOT / "events" / "schemas" / "partner.json").read_text())

    assert set(schema["properties"]) == set(Partner.model_fields)
