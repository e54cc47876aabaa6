"""The value and the origin of every setting, without a secret."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple, get_args

from pydantic import SecretStr
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource, SecretsSettingsSource

from workers.configuration.settings import Settings, secrets, variable

SET, NOT_SET = "set", "not set"
HIDDEN = "***"

DisplayValue = str | int | float | list[str] | None


class Origin(StrEnum):
    """Where a value comes from, the first that has one wins. No flag is among them: it is of one command alone."""

    ENVIRONMENT = "environment"
    FILE = ".env"
    MOUNTED = "secrets file"
    DEFAULT = "default"


class SettingValue(NamedTuple):
    """A setting as it may be shown to anybody."""

    variable: str
    value: DisplayValue
    """Of a secret, whether there is one; None where nothing is set."""
    origin: Origin
    secret: bool


def is_secret(name: str) -> bool:
    """Whether a setting's value is never shown."""
    annotation = Settings.model_fields[name].annotation
    return SecretStr in (annotation, *get_args(annotation))


def values(found: Settings) -> list[SettingValue]:
    """Every setting, as declared; for settings that `workers.configuration.settings.read` has read without flags."""
    origins = _origins()
    return [
        SettingValue(variable(name), _displayed(name, value), origins.get(name, Origin.DEFAULT), is_secret(name))
        for name, value in found
    ]


def _displayed(name: str, value: Any) -> DisplayValue:
    if not is_secret(name):
        return displayed(value)
    return SET if isinstance(value, SecretStr) and value.get_secret_value() else NOT_SET


def _origins() -> dict[str, Origin]:
    # From the last to the first, so that the first has the last word.
    sources: list[tuple[Origin, Mapping[str, Any]]] = [
        (Origin.MOUNTED, SecretsSettingsSource(Settings, secrets_dir=secrets())()),
        (Origin.FILE, DotEnvSettingsSource(Settings)()),
        (Origin.ENVIRONMENT, EnvSettingsSource(Settings)()),
    ]
    return {name: origin for origin, settings in sources for name in settings}


def displayed(value: Any) -> DisplayValue:
    """A value that is no secret, as it may be shown: of a URL neither login nor query."""
    if isinstance(value, tuple):
        return [without_login(str(item)) for item in value]
    return value if value is None or type(value) in (int, float) else without_login(str(value))


def without_login(text: str) -> str:
    """A text without what a URL in it has before its host or behind a question mark.

    Both signs may be part of a secret. Where a question mark comes first, nobody can tell which is, and nothing of the
    address is shown.
    """
    before, at, after = text.rpartition("@")
    if at and (":" in before or "//" in before):
        scheme, slashes, _ = before.partition("://")
        hidden = f"{scheme}{slashes}{HIDDEN}" if slashes and "?" not in scheme else HIDDEN
        if "?" in before:
            return hidden
        text = f"{hidden}@{after}"
    text, question, _ = text.partition("?")
    return f"{text}?{HIDDEN}" if question else text
