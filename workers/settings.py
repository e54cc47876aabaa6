"""Settings: one place that reads the environment.

A command's flag wins over `DLI_…` in the environment, that over `.env`, that over files in the folder of mounted
secrets (`dli_…`, one value each; `/run/secrets`, or what `DLI_SECRETS_DIR` names), and all over the defaults below.
"""

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from events.topics import DECISIONS_KEPT
from policy_core.library import PACKAGED
from workers.records import Delivery


def secrets() -> Path | None:
    """The folder of mounted secrets; None where there is none."""
    folder = Path(os.environ.get("DLI_SECRETS_DIR", "/run/secrets"))
    return folder if folder.is_dir() else None


class SettingsError(Exception):
    """Settings that cannot be used; the message names each with what is wrong."""


class Settings(BaseSettings):
    """How one process runs."""

    model_config = SettingsConfigDict(
        env_prefix="DLI_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (its folder is known too early)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Where values come from, the first that has one wins."""
        mounted = SecretsSettingsSource(settings_cls, secrets_dir=secrets())
        return init_settings, env_settings, dotenv_settings, mounted

    bootstrap: str = Field(default="127.0.0.1:9092", pattern=r"^[^\s,:]+:\d+(,[^\s,:]+:\d+)*$")
    """Kafka's bootstrap servers, host:port, separated by commas."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_SSL"] = "PLAINTEXT"
    """How to get into Kafka; PLAINTEXT on a machine of one's own only. Passwords in the clear are not offered."""
    sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    sasl_username: str | None = Field(default=None, min_length=1)
    sasl_password: SecretStr | None = None
    """Best as a mounted file; see the top of this module."""
    tls_ca: Path | None = None
    """Certificates, in PEM, of those who sign the brokers' certificates; the system's own when absent."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    """A client's own certificate and key, in PEM, where the brokers ask for one."""
    tls_key_password: SecretStr | None = None
    app_id: str = Field(default="dli-authorization", pattern=r"^[A-Za-z0-9._-]{1,200}$")
    """The consumer group, and the prefix of Faust's own topics."""
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,100}$")
    """Put before every topic's name, so that deployments can share a cluster."""
    partitions: int | None = Field(default=None, ge=1, le=10_000)
    """Of requests, decisions and dead letters; the topic table's number when absent."""
    replication_factor: int = Field(default=1, ge=1, le=9)
    """Of topics that are created; 3 in any deployment that matters."""
    policies: tuple[Path, ...] = (PACKAGED,)
    """Folders of policy documents, as a JSON list."""
    default_policy: str = "L.2.03.402"
    """The policy of a request that names none."""
    shadow_policy: Path | None = None
    """A policy document, a draft, that decides beside the one in force; what it would make otherwise is published."""
    source: str = Field(default="/dli-authorization", min_length=1)
    """The CloudEvents source of what is published."""
    mode: Literal["structured", "binary"] = "structured"
    """How events are written to Kafka."""
    web_host: str = "127.0.0.1"
    web_port: int = Field(default=6066, ge=1, le=65535)
    """Where a worker serves its register, health and metrics."""
    web_name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,253}$")
    """The host by which other workers reach this one, to ask for the register; where it serves when absent."""
    web_names: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,253}$")], ...] = ()
    """More names under which workers are asked, as a JSON list; a worker answers to addresses, to its own name and to
    those of its group without being told, and to no other."""
    exporter_port: int = Field(default=9308, ge=1, le=65535)
    """Where `dli exporter` answers."""
    dashboard_token: SecretStr | None = None
    """Opens the dashboard, which needs one where others can reach it; 16 characters at least."""
    data_dir: Path = Path("var/worker")
    """Where a worker keeps its tables; one folder for each worker."""
    delivery: Delivery = Delivery.EXACTLY_ONCE
    """What is promised of a decision when workers crash."""
    duplicates_kept_days: int = Field(default=DECISIONS_KEPT.days, ge=1, le=3650)
    """How long an answered request is remembered: as long as its decision is kept. Where it is less, a request that is
    sent again later is decided again, under the policy of then. The retention of `authorization.answered` bounds it."""
    instance: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """A name that this worker keeps over restarts: it rejoins its group at once."""
    session_timeout_seconds: float = Field(default=10.0, ge=1, le=60)
    """How long a worker may be silent before its partitions go to others; the brokers set the least, 6 by default."""
    stalled_seconds: float = Field(default=20.0, gt=0, le=3600)
    """For how long a partition may stand still, or its broker be silent, before the worker is no longer ready."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
    log_key: SecretStr = SecretStr("")
    """The key under which request ids are hashed in logs, the same for all workers."""

    @model_validator(mode="after")
    def _a_way_into_kafka_that_is_whole(self) -> Self:
        needs = {"SASL_SSL": ("sasl_username", "sasl_password")}.get(self.security_protocol, ())
        lacking = [f"DLI_{name.upper()}" for name in needs if getattr(self, name) is None]
        if lacking:
            raise ValueError(f"DLI_SECURITY_PROTOCOL is {self.security_protocol}, and lacks {' and '.join(lacking)}")
        # Told to log in, but over a protocol that never does: all would travel in the clear, unnoticed.
        logs_in = [name for name in ("sasl_username", "sasl_password") if getattr(self, name) is not None]
        if logs_in and self.security_protocol != "SASL_SSL":
            raise ValueError(f"DLI_{logs_in[0].upper()} is used with DLI_SECURITY_PROTOCOL=SASL_SSL only")
        encrypts = [name for name in ("tls_ca", "tls_certificate", "tls_key") if getattr(self, name) is not None]
        if encrypts and self.security_protocol == "PLAINTEXT":
            raise ValueError(f"DLI_{encrypts[0].upper()} is used with DLI_SECURITY_PROTOCOL=SSL or SASL_SSL only")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("DLI_TLS_CERTIFICATE and DLI_TLS_KEY belong together")
        return self

    def topic(self, name: str) -> str:
        """A declared topic's name in this deployment."""
        return self.topic_prefix + name

    @property
    def archive_group(self) -> str:
        """The group whose committed offsets say what is archived; it has no members."""
        return f"{self.app_id}-archive"

    def environment(self) -> dict[str, str]:
        """The environment of a process that is to run with these settings."""
        values = {f"DLI_{name.upper()}": _as_text(value) for name, value in self if value is not None}
        return dict(os.environ) | values


def _as_text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return json.dumps([str(one) for one in value]) if isinstance(value, tuple) else str(value)


def read(**flags: Any) -> Settings:
    """The settings, with those flags that are not None over everything else.

    Raises:
        SettingsError: One sentence for each setting that is wrong, never with its value.
    """
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise SettingsError("\n".join(_sentence(one["loc"], one["msg"]) for one in found)) from None
    except SourceError as error:
        name = re.search(r'field "(\w+)"', str(error))
        where = (name[1],) if name is not None else ()
        raise SettingsError(_sentence(where, 'is no JSON; a list is written as in ["first", "second"]')) from None


def _sentence(where: tuple[int | str, ...], what: str) -> str:
    # What is wrong between settings has no place of its own, and names them.
    return f"DLI_{'.'.join(map(str, where)).upper()}: {what}" if where else what.removeprefix("Value error, ")
