"""Settings: which source wins, and what a wrong one says."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from workers import settings
from workers.settings import Settings, SettingsError, read


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"DLI_{name.upper()}", raising=False)


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    default = read().app_id
    (tmp_path / ".env").write_text("DLI_APP_ID=from-file\n", "utf-8")
    from_file = read().app_id
    monkeypatch.setenv("DLI_APP_ID", "from-environment")
    from_environment = read().app_id

    assert (default, from_file, from_environment, read(app_id="from-flag").app_id) == (
        "dli-authorization",
        "from-file",
        "from-environment",
        "from-flag",
    )


def test_a_mounted_secret_is_read_from_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "dli_log_key").write_text("mounted\n", "utf-8")
    monkeypatch.setitem(Settings.model_config, "secrets_dir", tmp_path)

    assert read().log_key.get_secret_value() == "mounted"


def test_a_wrong_setting_is_named_and_its_value_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLI_WEB_PORT", "marked-value")
    monkeypatch.setenv("DLI_MODE", "marked-value")

    with pytest.raises(SettingsError) as wrong:
        read()

    assert {line.split(":")[0] for line in str(wrong.value).splitlines()} == {"DLI_WEB_PORT", "DLI_MODE"}
    assert "marked-value" not in str(wrong.value)


def test_a_process_started_with_the_environment_of_settings_has_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(app_id="a", partitions=5, log_key=SecretStr("k"), policies=(Path("p"), Path("q")), instance="i")
    for name, value in first.environment().items():
        monkeypatch.setenv(name, value)

    assert read() == first


def test_a_secret_does_not_show() -> None:
    assert "hidden" not in repr(read(log_key=SecretStr("hidden")))


def test_a_mounted_secret_is_read_where_nothing_else_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dli_log_key").write_text("mounted", "utf-8")
    monkeypatch.setenv("DLI_SECRETS_DIR", str(tmp_path))
    mounted = read().log_key.get_secret_value()
    monkeypatch.setenv("DLI_LOG_KEY", "in the environment")

    assert mounted == "mounted"
    assert read().log_key.get_secret_value() == "in the environment"


def test_without_a_folder_of_secrets_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLI_SECRETS_DIR", str(tmp_path / "nowhere"))

    assert settings.secrets() is None
    assert read().log_key.get_secret_value() == ""


@pytest.mark.parametrize("value", ["/some/folder", "a,b", "", "[", "{"])
def test_a_list_that_is_no_json_is_a_sentence_without_its_value(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLI_POLICIES", value)

    with pytest.raises(settings.SettingsError, match=r"^DLI_POLICIES: is no JSON; a list is written as in"):
        read()
