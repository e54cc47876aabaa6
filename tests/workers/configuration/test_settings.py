"""Settings: which source wins, and what a wrong one says."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError as SourceError

from tests.support.commands import dli
from tests.support.settings import nothing_from_outside  # noqa: F401 (a fixture)
from workers.configuration import settings
from workers.configuration.settings import Settings, SettingsError, read
from workers.main.cli import cli


def test_a_flag_wins_over_environment_file_and_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A flag wins over the environment, which wins over the file, which wins over the default."""
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

    assert str(wrong.value).splitlines() == [
        "DLI_MODE: is none of its choices; write structured or binary",
        "DLI_WEB_PORT: is no whole number; write a whole number from 1 to 65535",
    ]
    assert "marked-value" not in str(wrong.value)


def test_a_process_started_with_our_environment_has_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is started with the environment of some settings has the same settings."""
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

    with pytest.raises(settings.SettingsError, match=r"^DLI_POLICIES: is no JSON; write "):
        read()


# --- what is refused, and how it is said ---------------------------------------------------------------------------

BAD = [
    "",
    " ",
    "marked value",
    "-1",
    "0",
    "1.5",
    "99999999",
    "9" * 5_000,
    "nan",
    "inf",
    "1e999",
    "\u0663",
    "[1]",
    '{"marked": 1}',
    '["marked", null]',
    '["marked\\u0000"]',
    '["marked\\ud800"]',
    "tcp://10.0.0.1:8080",
    "host:99999",
    "host:0",
    "host:\u0663",
    "host:9092,",
    "marked\udcff",
    "m" * 300,
]
ANYTHING = {"default_policy", "web_host", "sasl_password", "tls_key_password", "log_key", "dashboard_token", "source"}
"""Settings that may be any text."""
PATHS = {
    *("data_dir", "shadow_policy", "policy_keys", "archive_key", "archive_keys", "partners"),
    *("gateway_ca", "gateway_clients"),
}
"""Settings that may be any path; those of files for TLS are refused here, for nothing else asks for it."""


def refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """What is said of a value; None where it is taken."""
    monkeypatch.setenv(f"DLI_{name.upper()}", value)
    try:
        read()
    except SettingsError as error:
        return str(error)
    return None


def librarys() -> list[str]:
    """What the libraries below say of the settings as they are."""
    try:
        Settings()
    except ValidationError as error:
        return [one["msg"] for one in error.errors() if one["loc"]]
    except SourceError as error:
        return [str(error)]
    return []


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_a_refused_setting_is_named_with_its_fault_and_remedy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused setting is reported with its name, what is wrong and what to write."""
    sentence = rf"DLI_{name.upper()}: (entry \d+ )?(is|has) [^;\n]+; write [^;\n]+"
    between = rf"DLI_{name.upper()} is used with .*|DLI_[A-Z_]+ and DLI_[A-Z_]+ belong together"
    for value in BAD:
        said = refused(name, value, monkeypatch)
        theirs = librarys()
        assert (said is None) == (not theirs) or re.fullmatch(between, said or ""), value
        lines = (said or "").splitlines()
        assert all(re.fullmatch(f"{sentence}|{between}", line) for line in lines), (value, said)
        assert not [one for one in (*theirs, "marked", "pydantic") if one in (said or "")], (value, said)


@pytest.mark.parametrize("name", sorted(set(Settings.model_fields) - ANYTHING - PATHS))
def test_every_setting_that_has_a_form_refuses_what_has_another(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [value for value in BAD if refused(name, value, monkeypatch) is not None]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("BOOTSTRAP", "h:99999", "has a port that there is not; write host:port, several with commas between them, "),
        (
            "BOOTSTRAP",
            "h",
            "has not its form; write host:port, several with commas between them, ports from 1 to 65535",
        ),
        ("TOPIC_PREFIX", "a b", "has not its form; write at most 100 letters, digits, dots, dashes and underscores"),
        ("PARTITIONS", "9" * 5_000, "is no whole number; write a whole number from 1 to 10000"),
        ("PARTITIONS", "0", "is too small; write a whole number from 1 to 10000"),
        ("STALLED_SECONDS", "nan", "is no number; write a number above 0, up to 3600"),
        ("STALLED_SECONDS", "0", "is too small; write a number above 0, up to 3600"),
        ("DELIVERY", "once", "is none of its choices; write exactly_once or at_least_once"),
        ("SASL_USERNAME", "", "is empty; write the user's name"),
        ("POLICIES", "[1]", 'entry 1 is no path; write a list of folders, as in ["first", "second"]'),
        ("POLICIES", "5", 'is no list; write a list of folders, as in ["first", "second"]'),
        ("LOG_KEY", "k\udcff", "is no UTF-8; write text in UTF-8"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(
    name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (refused(name, value, monkeypatch) or "").startswith(f"DLI_{name}: {sentence}")


def test_a_file_of_settings_that_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"DLI_APP_ID=\xff\n")

    with pytest.raises(SettingsError, match=r"^\.env: is no text in UTF-8$"):
        read()


def test_an_unusable_mounted_secret_gives_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mounted secret that is not text or not a file gives a sentence."""
    monkeypatch.setenv("DLI_SECRETS_DIR", str(tmp_path))
    (tmp_path / "dli_log_key").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"^DLI_LOG_KEY: is no UTF-8; write text in UTF-8$"):
        read()

    (tmp_path / "dli_log_key").unlink()
    (tmp_path / "dli_log_key").mkdir()  # as a container's engine does where the file to mount is missing
    with pytest.raises(
        SettingsError, match=rf"^DLI_LOG_KEY: {tmp_path}/dli_log_key is no file; mount the secret there$"
    ):
        read()


# --- names that are no setting's -----------------------------------------------------------------------------------


def test_unknown_setting_names_are_noticed_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that are not settings are noticed wherever they are written."""
    (tmp_path / ".env").write_text("DLI_APPID=marked\nOTHER=1\nDLI_APP_ID=a\n", "utf-8")
    (tmp_path / "dli_log_kye").write_text("marked", "utf-8")
    monkeypatch.setenv("DLI_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("DLI_BOOTSTRAP_SERVERS", "marked")
    monkeypatch.setenv("dli_x", "marked")
    monkeypatch.setenv("dli_mode", "binary")

    assert settings.unknown() == (
        "no such setting, and not read: DLI_APPID (did you mean DLI_APP_ID?), DLI_BOOTSTRAP_SERVERS (did you mean "
        "DLI_BOOTSTRAP?), DLI_LOG_KYE (did you mean DLI_LOG_KEY?), DLI_X"
    )


def test_kubernetes_service_variables_are_no_misspelt_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What Kubernetes says of a service is not taken for a misspelt setting."""
    for name in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8080_TCP", "PORT_8080_TCP_ADDR"):
        monkeypatch.setenv(f"DLI_EXPORTER_SVC_{name}", "tcp://10.0.0.1:8080")
    assert settings.unknown() is None

    monkeypatch.delenv("DLI_EXPORTER_SVC_SERVICE_HOST")
    assert "DLI_EXPORTER_SVC_PORT (did you mean DLI_EXPORTER_PORT?)" in str(settings.unknown())


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_no_setting_is_taken_for_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"DLI_{name.upper()}", "1")

    assert settings.unknown() is None


def test_a_command_warns_of_unread_settings_and_does_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command says in one line which settings it does not read, and does its work."""
    monkeypatch.setenv("DLI_TOPIC_PREFX", "test.")
    ran = dli("topics", "show")

    assert ran.code == 0
    assert ran.err == "warning: no such setting, and not read: DLI_TOPIC_PREFX (did you mean DLI_TOPIC_PREFIX?)\n"


WORDS = {"password", "passphrase", "secret", "token"}
SECRET = {
    name for name, one in Settings.model_fields.items() if SecretStr in (one.annotation, *get_args(one.annotation))
}


def secrets_taken(command: Any, path: str = "dli") -> set[str]:
    """The options and arguments of a command, and of those below it, that a secret would be written behind."""
    below = getattr(command, "commands", {}).items()
    names = {str(one.name) for one in command.params}
    found = {f"{path} {one}" for one in names if one in SECRET or WORDS & set(one.split("_"))}
    return found.union(*(secrets_taken(one, f"{path} {name}") for name, one in below))


def test_no_command_takes_a_secret_that_a_process_list_shows() -> None:
    """No command takes a secret where a list of processes shows it."""
    assert {"sasl_password", "log_key", "dashboard_token"} < SECRET
    assert secrets_taken(typer.main.get_command(cli)) == set()


def test_a_command_that_takes_a_secret_is_found() -> None:
    app = typer.Typer()

    @app.command()
    def one(log_key: str = "", password: str = "", key: str = "") -> None:
        """Take secrets, and the name of a file."""

    @app.command()
    def other() -> None:
        """Take none."""

    assert secrets_taken(typer.main.get_command(app)) == {"dli one log_key", "dli one password"}
