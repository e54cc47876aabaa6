"""The settings and their page are one."""

from pathlib import Path

import pytest

import workers.main.generated_files
from workers.configuration import page
from workers.configuration.settings import Settings, variable


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_page_is_what_the_code_makes() -> None:
    assert page.PAGE.read_text("utf-8") == page.text(), "run `make schemas`"


def test_the_page_has_every_setting_and_no_path_of_a_machine() -> None:
    found = rows(page.text())

    assert [variable_ for variable_, *_ in found] == [f"`{variable(name)}`" for name in Settings.model_fields]
    assert [row for row in found if len(row) != 4 or not row[1] or not row[3]] == []
    assert str(page.ROOT) not in page.text()


@pytest.mark.parametrize(("before", "behind"), [("`6066`", "`6067`"), ("| `DLI_LOG_KEY` ", "| `DLI_LOG_KYE` ")])
def test_a_changed_page_is_stale_until_it_is_written_again(
    before: str, behind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "SETTINGS.md"
    monkeypatch.setattr(page, "PAGE", copy)
    copy.write_text(page.text().replace(before, behind), "utf-8")

    assert workers.main.generated_files.stale() == [copy]
    assert workers.main.generated_files.write() == [copy]
    assert (copy.read_text("utf-8"), workers.main.generated_files.stale()) == (page.text(), [])


def test_a_setting_without_a_meaning_is_noticed() -> None:
    source = 'class One:\n    first: int = 1\n    """Means\n    this."""\n    second: int = 2\n    third: int = 3\n'

    assert page.meanings(source) == {"first": "Means this."}
    with pytest.raises(KeyError):
        page.meanings(source)["second"]
