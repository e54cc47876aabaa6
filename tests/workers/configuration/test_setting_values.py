"""`dli settings`: every setting with its value and origin, and nothing of a secret."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.support.commands import dli
from tests.support.settings import nothing_from_outside  # noqa: F401 (a fixture)
from workers.configuration.setting_values import (
    HIDDEN,
    Origin,
    SettingValue,
    displayed,
    is_secret,
    values,
    without_login,
)
from workers.configuration.settings import Settings, read, variable

KEYS = {"DLI_POLICY_KEYS": "keys"}
LOGIN = {"DLI_SECURITY_PROTOCOL": "SASL_SSL", "DLI_SASL_USERNAME": "u", "DLI_SASL_PASSWORD": "p"}
TOKEN = {"DLI_SECURITY_PROTOCOL": "SASL_SSL", "DLI_SASL_MECHANISM": "OAUTHBEARER", "DLI_OAUTH_TOKEN_FILE": "t"}
CLIENT = {
    "DLI_SECURITY_PROTOCOL": "SASL_SSL", "DLI_SASL_MECHANISM": "OAUTHBEARER",
    "DLI_OAUTH_TOKEN_URL": "https://host/path", "DLI_OAUTH_CLIENT_ID": "c", "DLI_OAUTH_CLIENT_SECRET": "s",
}  # fmt: skip
TLS = {"DLI_SECURITY_PROTOCOL": "SSL", "DLI_TLS_CERTIFICATE": "c.pem", "DLI_TLS_KEY": "k.pem"}
ISSUER = {f"DLI_GATEWAY_OAUTH_{name}": "https://host/path" for name in ("ISSUER", "AUDIENCE", "KEYS")}
SERVED = {"DLI_GATEWAY_CERTIFICATE": "c.pem", "DLI_GATEWAY_KEY": "k.pem"}
BESIDE = {
    "gateway_oauth_issuer": ISSUER, "gateway_oauth_audience": ISSUER, "gateway_oauth_keys": ISSUER,
    "gateway_certificate": SERVED, "gateway_key": SERVED,
    "security_protocol": LOGIN, "sasl_mechanism": TOKEN, "sasl_username": LOGIN, "sasl_password": LOGIN,
    "oauth_token_file": TOKEN, "oauth_token_url": CLIENT, "oauth_client_id": CLIENT, "oauth_client_secret": CLIENT,
    "oauth_scope": TOKEN, "tls_ca": TLS, "tls_certificate": TLS, "tls_key": TLS, "policy_skip_list": KEYS,
}  # fmt: skip
"""What must be set beside a setting, so that it can be."""
SAMPLES = {
    "bootstrap": "host:9093", "security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER",
    "oauth_token_url": "https://other/path", "partitions": "7", "replication_factor": "3", "policies": '["/a", "/b"]',
    "policy_signed_from": f"4@{'a' * 64}", "policy_notice_days": "9", "mode": "binary", "web_port": "7000",
    "web_names": '["one", "two"]', "exporter_port": "7001", "integration_port": "7002", "dashboard_idle_minutes": "5.5",
    "dashboard_session_hours": "2.5", "delivery": "at_least_once", "duplicates_kept_days": "30",
    "gateway_port": "8444", "gateway_health_port": "6068", "gateway_url": "https://plan.example/fhir",
    "gateway_behind_proxy": "true", "gateway_answer_seconds": "14.5", "gateway_waiting": "50",
    "gateway_body_bytes": "5000", "gateway_retry_hours": "1.5",
    "session_timeout_seconds": "12.5", "stalled_seconds": "30.5", "log_level": "ERROR", "log_format": "console",
}  # fmt: skip
"""A value of each setting that is no plain text; none is its default."""
FROM = [Origin.ENVIRONMENT, Origin.FILE, Origin.MOUNTED]
SECRETS = [name for name in Settings.model_fields if is_secret(name)]


@contextmanager
def standing(where: Mapping[Origin, Mapping[str, str]]) -> Iterator[None]:
    """Settings where they are told: in the environment, in `.env`, in mounted files; in a folder of their own."""
    before = Path.cwd()
    with TemporaryDirectory() as folder:
        mounted = Path(folder) / "secrets"
        mounted.mkdir()
        for name, value in where.get(Origin.MOUNTED, {}).items():
            (mounted / name.lower()).write_text(value, "utf-8")
        lines = (f"{name}='{value}'\n" for name, value in where.get(Origin.FILE, {}).items())
        (Path(folder) / ".env").write_text("".join(lines), "utf-8")
        of_ours = {"DLI_SECRETS_DIR": str(mounted), **where.get(Origin.ENVIRONMENT, {})}
        os.chdir(folder)
        try:
            with patch.dict(os.environ, of_ours):
                yield
        finally:
            os.chdir(before)


def told(name: str) -> SettingValue:
    [one] = [one for one in values(read()) if one.variable == variable(name)]
    return one


def test_without_anything_every_setting_is_its_default() -> None:
    every = values(read())

    assert [one.variable for one in every] == [variable(name) for name in Settings.model_fields]
    assert {one.origin for one in every} == {Origin.DEFAULT}
    assert {one.value for one in every if one.secret} == {"not set"}


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_names_the_first_place_that_has_it(name: str) -> None:
    sample = SAMPLES.get(name, "something")
    beside = {key: value for key, value in BESIDE.get(name, {}).items() if key != variable(name)}
    for number, origin in enumerate(FROM):
        # It stands in every later place too, with another value where it may have one.
        where = {one: {variable(name): sample} for one in FROM[number:]}
        where[Origin.ENVIRONMENT] = {**where.get(Origin.ENVIRONMENT, {}), **beside}
        with standing(where):
            one = told(name)
            read_value = getattr(read(), name)

        assert one.origin is origin
        assert one.value == ("set" if name in SECRETS else displayed(read_value))
        assert one.value != displayed(Settings.model_fields[name].default)


def test_secrets_are_those_of_the_secret_type() -> None:
    kinds = {name for name, one in Settings.model_fields.items() if "SecretStr" in str(one.annotation)}

    assert set(SECRETS) == kinds
    assert {"sasl_password", "log_key", "dashboard_token", "dashboard_act_token"} < kinds


# --- nothing of a secret -------------------------------------------------------------------------------------------

PLAIN = st.text(st.characters(codec="ascii", min_codepoint=33, exclude_characters="'\\$"), min_size=16, max_size=60)


@pytest.mark.parametrize("origin", FROM)
@pytest.mark.parametrize("name", SECRETS)
@settings(max_examples=10)  # of each secret from each place
@given(secret=PLAIN)
def test_what_is_told_is_the_same_whatever_a_secret_says(name: str, origin: Origin, secret: str) -> None:
    beside = BESIDE.get(name, {})
    told = []
    for value in ("another, of no kind that is made up", secret):
        where = {Origin.ENVIRONMENT: {key: one for key, one in beside.items() if key != variable(name)}}
        where[origin] = {**where.get(origin, {}), variable(name): value}
        with standing(where):
            found = read()
            assert getattr(found, name).get_secret_value() == value
            told.append(values(found))

    assert told[0] == told[1]
    assert [one.value for one in told[0] if one.variable == variable(name)] == ["set"]


@pytest.mark.parametrize("origin", FROM)
@pytest.mark.parametrize("output", ["table", "jsonl"])
def test_the_command_shows_no_secret_from_anywhere(output: str, origin: Origin) -> None:
    marked = {variable(name): f"marked-{name}-value-" for name in SECRETS}
    of_tokens = {"DLI_OAUTH_CLIENT_SECRET"}
    with standing({origin: {key: one for key, one in marked.items() if key not in of_tokens} | {
        "DLI_SECURITY_PROTOCOL": "SASL_SSL", "DLI_SASL_USERNAME": "u", "DLI_SOURCE": "https://u:marked@host/a?b=marked",
    }}):  # fmt: skip
        ran = dli("settings", "-o", output)

    assert (ran.code, ran.err) == (0, "")
    assert "marked" not in ran.out
    assert f"https://{HIDDEN}@host/a?{HIDDEN}" in ran.out
    if output == "jsonl":
        rows = [json.loads(line) for line in ran.out.splitlines()]
        assert [row["variable"] for row in rows if row["value"] == "set"] == sorted(
            set(marked) - of_tokens, key=[row["variable"] for row in rows].index
        )
        assert {row["origin"] for row in rows if row["value"] == "set"} == {origin.value}


def test_an_empty_secret_is_not_set() -> None:
    with standing({Origin.ENVIRONMENT: {"DLI_LOG_KEY": ""}}):
        assert told("log_key") == ("DLI_LOG_KEY", "not set", Origin.ENVIRONMENT, True)


PART = st.text(min_size=1, max_size=20)


@given(scheme=st.sampled_from(["https://", "amqp://", "//", ""]), user=PART, password=PART, host=st.just("host/path"))
def test_no_url_shows_who_logs_in_or_how(scheme: str, user: str, password: str, host: str) -> None:
    # Whatever they say, and with every character that means something in a URL.
    nothing = {f"{scheme}{HIDDEN}", HIDDEN}
    login = without_login(f"{scheme}{user}:{password}@{host}")
    query = without_login(f"{scheme}{host}?token={password}")

    assert login in {f"{scheme}{HIDDEN}@{host}", f"{HIDDEN}@{host}"} | nothing
    assert query in {f"{scheme}{host}?{HIDDEN}"} | nothing


@pytest.mark.parametrize("text", ["https://host/path?token=ab@cd", "https://name:pass?word@host", "//host?a:b@cd"])
def test_an_address_in_doubt_shows_nothing(text: str) -> None:
    """A question mark before an at sign is part of a password, or the at sign of a token."""
    assert without_login(text) in {f"https://{HIDDEN}", HIDDEN}


@pytest.mark.parametrize("text", ["host:9092,other:9092", "/claims", f"4@{'a' * 64}", "/a@b/c", "name@host", "a:b"])
def test_what_is_no_login_is_shown(text: str) -> None:
    assert without_login(text) == text


def test_a_value_in_a_list_or_a_path_shows_no_login_either() -> None:
    assert displayed((Path("a"), Path("https://u:p@host/b"))) == ["a", f"{HIDDEN}@host/b"]
    assert displayed(Path("https://u:p@host/b")) == f"{HIDDEN}@host/b"


def test_a_secret_that_is_taken_for_none_does_not_show_either() -> None:
    assert "marked" not in str(displayed(SecretStr("marked")))


# --- as a command --------------------------------------------------------------------------------------------------


def test_what_cannot_be_used_is_a_sentence_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLI_WEB_PORT", "marked")
    ran = dli("settings")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "error: DLI_WEB_PORT: is no whole number; write a whole number from 1 to 65535\n"


def test_a_name_of_no_utf_8_is_a_line_of_json_all_the_same() -> None:
    with standing({Origin.ENVIRONMENT: {"DLI_DATA_DIR": os.fsdecode(b"/a/\xff")}}):
        ran = dli("settings", "-o", "jsonl")

    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 0, ran.err
    assert [os.fsencode(row["value"]) for row in rows if row["variable"] == "DLI_DATA_DIR"] == [b"/a/\xff"]
