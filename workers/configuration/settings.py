"""Settings: one place that reads the environment.

A command's flag wins over `DLI_…` in the environment, that over `.env`, that over files in the folder of mounted
secrets (`dli_…`, one value each; `/run/secrets`, or what `DLI_SECRETS_DIR` names), and all over the defaults below.
"""

import json
import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as SourceError

from events.topics import DECISIONS_KEPT
from policy_core.history.library import PACKAGED
from workers.console.errors import DliError

_BY_TOKEN = "OAUTHBEARER"  # noqa: S105 (a mechanism's name)
_LOGIN = ("sasl_username", "sasl_password")
_TOKENS = ("oauth_token_file", "oauth_token_url", "oauth_client_id", "oauth_client_secret", "oauth_scope")


def secrets() -> Path | None:
    """The folder of mounted secrets, if any."""
    folder = Path(os.environ.get("DLI_SECRETS_DIR", "/run/secrets"))
    return folder if folder.is_dir() else None


_PAIRS = (
    ("gateway_certificate", "gateway_key"),
    ("gateway_oauth_issuer", "gateway_oauth_audience"),
    ("gateway_oauth_issuer", "gateway_oauth_keys"),
)
"""Settings that are both there or both missing."""
_FILE = ".env"
_NO_TEXT = "is no UTF-8"
_LAST_PORT = 65_535
_CHARACTERS = "letters, digits, dots, dashes and underscores"


class Delivery(StrEnum):
    """The delivery guarantee for consumers when workers crash."""

    EXACTLY_ONCE = "exactly_once"
    """For consumers with `isolation_level=read_committed`."""
    AT_LEAST_ONCE = "at_least_once"
    """The last batch of a partition may repeat, as the same bytes."""


class SettingsError(DliError):
    """Invalid settings; the message names each with its problem."""


class Settings(BaseSettings):
    """How one process runs.

    A field's description gives the valid form, if its type does not.
    """

    model_config = SettingsConfigDict(
        env_prefix="DLI_",
        env_file=_FILE,
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
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (its folder is fixed too early)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources of values; the first with a value wins."""
        mounted = SecretsSettingsSource(settings_cls, secrets_dir=secrets())
        return init_settings, env_settings, dotenv_settings, mounted

    bootstrap: str = Field(
        default="127.0.0.1:9092",
        pattern=r"^[^\s,:]+:[0-9]{1,5}(,[^\s,:]+:[0-9]{1,5})*$",
        description="host:port, several with commas between them, ports from 1 to 65535",
    )
    """Kafka's bootstrap servers, host:port, separated by commas."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_SSL"] = "PLAINTEXT"
    """How to connect to Kafka; PLAINTEXT only on a local machine. Unencrypted passwords are not supported."""
    sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER"] = "SCRAM-SHA-512"
    """The login mechanism for SASL_SSL."""
    sasl_username: str | None = Field(default=None, min_length=1, description="the user's name")
    """For SCRAM and PLAIN: the user name."""
    sasl_password: SecretStr | None = None
    """The user's password; best as a mounted file."""
    oauth_token_file: Path | None = None
    """For OAUTHBEARER: a file with an externally renewed token."""
    oauth_token_url: str | None = Field(
        default=None, pattern=r"^https://[^\s/?#@]+(/[^\s?#]*)?$", description="https://host/path, without a query"
    )
    """For OAUTHBEARER, instead of a file: the token endpoint for client credentials."""
    oauth_client_id: str | None = Field(default=None, min_length=1)
    """The client id for the token endpoint."""
    oauth_client_secret: SecretStr | None = None
    """The client's secret; best as a mounted file."""
    oauth_scope: str | None = Field(default=None, min_length=1)
    """The scope of tokens; by default the endpoint's."""
    tls_ca: Path | None = None
    """CA certificates of the brokers, in PEM; by default the system's."""
    tls_certificate: Path | None = None
    """Our own certificate, in PEM, if the brokers require one."""
    tls_key: Path | None = None
    """The key of that certificate, in PEM."""
    tls_key_password: SecretStr | None = None
    """The password of that key, if it is encrypted; best as a mounted file."""
    app_id: str = Field(
        default="dli-authorization", pattern=r"^[A-Za-z0-9._-]{1,200}$", description=f"1 to 200 {_CHARACTERS}"
    )
    """The consumer group, and the prefix of Faust's own topics."""
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,100}$", description=f"at most 100 {_CHARACTERS}")
    """Prefix of every topic name, so that deployments can share a cluster."""
    partitions: int | None = Field(default=None, ge=1, le=10_000)
    """The number of partitions of requests, decisions and dead letters; by default as declared for the topics."""
    replication_factor: int = Field(default=1, ge=1, le=9)
    """The replication factor of created topics; use 3 in production."""
    policies: tuple[Path, ...] = Field(default=(PACKAGED,), description='a list of folders, as in ["first", "second"]')
    """Folders of policy documents, as a JSON list."""
    default_policy: str = "L.2.03.402"
    """The policy for requests without one."""
    shadow_policy: Path | None = None
    """A draft policy document to evaluate after each decision; differences are published."""
    policy_keys: Path | None = None
    """A folder of YAML files with the public keys of each policy's publishers. Without it, every writer of
    `policy.revisions` may publish."""
    policy_signed_from: str | None = Field(
        default=None,
        pattern=r"^[0-9]{1,18}@[0-9a-f]{64}$",
        description="OFFSET@DIGEST, as `dli policy anchor` prints it",
    )
    """The last record of `policy.revisions` that counts without a signature and regardless of its times, so that
    earlier accepted revisions stay valid."""
    policy_skip_list: Path | None = None
    """A YAML file of publications to skip, each signed with a key of its policy: a last resort."""
    policy_notice_days: int = Field(default=180, ge=0, le=3650)
    """How far ahead a revision's dates may be when published: the notice period of changes."""
    policy_key_passphrase: SecretStr | None = Field(default=None, min_length=1)
    """The passphrase, if any, of the private key for `dli policy sign` and `publish`; best as a mounted file."""
    partners: Path | None = None
    """The trading partners of `dli integration`: a folder with a YAML or JSON file for each, or the file of one."""
    integration_port: int = Field(default=6068, ge=1, le=65535)
    """The port at which `dli integration` serves its health and metrics."""
    source: str = Field(default="/dli-authorization", min_length=1, description="a URI, or a path such as /claims")
    """The CloudEvents source of published events."""
    mode: Literal["structured", "binary"] = "structured"
    """How events are written to Kafka."""
    web_host: str = "127.0.0.1"
    """The address at which a worker listens; by default loopback only."""
    web_port: int = Field(default=6066, ge=1, le=65535)
    """The port at which a worker serves its register, health and metrics."""
    web_name: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9._-]{1,253}$", description="the name or address of a host"
    )
    """The host by which other workers reach this one; by default the serving host."""
    web_names: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,253}$")], ...] = Field(
        default=(), description='names of hosts as a JSON list, such as ["dli-worker"]'
    )
    """Additional host names of workers, as a JSON list; IP addresses, the worker's own name and those of its group are
    always accepted, others are not."""
    exporter_port: int = Field(default=9308, ge=1, le=65535)
    """The port of `dli exporter`."""
    dashboard_token: SecretStr | None = None
    """The dashboard's view token, required if it is reachable by others; at least 16 characters."""
    dashboard_act_token: SecretStr | None = None
    """The dashboard's act token, different from the view token, required for every change."""
    dashboard_idle_minutes: float = Field(default=60, ge=1, le=7 * 24 * 60)
    """How long a dashboard session lasts without activity."""
    dashboard_session_hours: float = Field(default=12, ge=0.1, le=7 * 24)
    """The maximum duration of a session."""
    gateway_port: int = Field(default=8443, ge=1, le=65535)
    """The port of `dli gateway`."""
    gateway_health_port: int = Field(default=6067, ge=1, le=65535)
    """The port at which the gateway serves its health and metrics, at the address `DLI_WEB_HOST`; not for partners."""
    gateway_url: str | None = Field(
        default=None, pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", description="https://host/path, without a query"
    )
    """The gateway's FHIR base address as partners know it; by default its own address and `/fhir`."""
    gateway_clients: Path | None = None
    """A YAML file of the gateway's clients: tokens, OAuth clients and addresses for notifications of each trading
    partner."""
    gateway_oauth_issuer: str | None = Field(default=None, min_length=1)
    """The authorization server whose bearer tokens the gateway accepts, as in their claim `iss`."""
    gateway_oauth_audience: str | None = Field(default=None, min_length=1)
    """The gateway's own name in the claim `aud` of those tokens."""
    gateway_oauth_keys: str | None = Field(
        default=None, min_length=1, description="https://host/path, or a file's path"
    )
    """Where the authorization server's keys (JWKS) are: an address, or a file."""
    gateway_ca: Path | None = None
    """CA certificates of the authorization server and of addresses for notifications, in PEM; by default the
    system's."""
    gateway_certificate: Path | None = None
    """The gateway's certificate, in PEM."""
    gateway_key: Path | None = None
    """The key of that certificate, in PEM, unencrypted."""
    gateway_behind_proxy: bool = Field(default=False, description="true or false")
    """Whether a proxy in front of the gateway encrypts; without it, the gateway needs a certificate to be reachable by
    others."""
    gateway_answer_seconds: float = Field(default=15.0, gt=0, le=60, allow_inf_nan=False)
    """How long the gateway waits for an answer before it responds 504."""
    gateway_waiting: int = Field(default=500, ge=1, le=100_000)
    """How many requests may wait for answers in one gateway, half of them of one partner; the next is refused with
    429."""
    gateway_body_bytes: int = Field(default=1_000_000, ge=1_000, le=1_000_000)
    """The largest message that the gateway accepts."""
    gateway_retry_hours: float = Field(default=24.0, gt=0, le=24 * 14, allow_inf_nan=False)
    """How long a notification is tried before its subscription ends in an error."""
    data_dir: Path = Path("var/worker")
    """The folder of a worker's tables and stores; one per worker."""
    delivery: Delivery = Delivery.EXACTLY_ONCE
    """The delivery guarantee when workers crash."""
    archive_key: Path | None = None
    """The private key for signing archives, Ed25519 in PEM."""
    archive_key_passphrase: SecretStr | None = None
    """The password of that key, if it is encrypted; best as a mounted file."""
    archive_keys: Path | None = None
    """A folder of public keys, `NAME.pem`: archives not signed by one of them are refused."""
    duplicates_kept_days: int = Field(default=DECISIONS_KEPT.days, ge=1, le=3650)
    """How long an answered request is remembered; by default as long as its decision is kept. After that, a repeated
    request is decided again, under the current policy. The retention of `authorization.answered` limits it."""
    instance: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9._-]{1,100}$", description=f"1 to 100 {_CHARACTERS}"
    )
    """A name that this worker keeps across restarts, so that it rejoins its group at once."""
    session_timeout_seconds: float = Field(default=10.0, ge=1, le=60, allow_inf_nan=False)
    """How long a worker may be silent before its partitions are reassigned; the brokers' minimum is 6 by default."""
    stalled_seconds: float = Field(default=20.0, gt=0, le=3600, allow_inf_nan=False)
    """How long a partition may make no progress, or its broker be silent, before the worker is not ready."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The lowest level that is logged."""
    log_format: Literal["json", "console"] = "json"
    """The format of log lines: JSON, or text for reading."""
    log_key: SecretStr = SecretStr("")
    """The key for hashing request ids in logs, the same for all workers."""

    @field_validator("*", mode="before")
    @classmethod
    def _text(cls, value: Any, info: ValidationInfo) -> Any:
        # Non-UTF-8 environment values have lone surrogates: allowed in file names only.
        if isinstance(value, str) and not value.isascii() and not _is_path(info.field_name):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError(_NO_TEXT) from None
        return value

    @field_validator("*")
    @classmethod
    def _paths_that_may_be(cls, value: Any) -> Any:
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Path) and not _may_be(item):
                raise ValueError("is no path")
        return value

    @field_validator("bootstrap")
    @classmethod
    def _ports_that_there_are(cls, value: str) -> str:
        if not all(1 <= int(server.rpartition(":")[2]) <= _LAST_PORT for server in value.split(",")):
            raise ValueError("has a port that there is not")
        return value

    @model_validator(mode="after")
    def _a_way_into_kafka_that_is_whole(self) -> Self:
        needs = self._needed_to_log_in() if self.security_protocol == "SASL_SSL" else ()
        lacking = [variable(name) for name in needs if getattr(self, name) is None]
        if lacking:
            by = f" with DLI_SASL_MECHANISM={self.sasl_mechanism}" if self.sasl_mechanism == _BY_TOKEN else ""
            raise ValueError(
                f"DLI_SECURITY_PROTOCOL is {self.security_protocol}{by}, and lacks {' and '.join(lacking)}"
            )
        # Credentials with a protocol that never uses them: everything would silently be unencrypted.
        logs_in = [name for name in (*_LOGIN, *_TOKENS) if getattr(self, name) is not None]
        if logs_in and self.security_protocol != "SASL_SSL":
            raise ValueError(f"{variable(logs_in[0])} is used with DLI_SECURITY_PROTOCOL=SASL_SSL only")
        strange = [name for name in logs_in if (name in _TOKENS) != (self.sasl_mechanism == _BY_TOKEN)]
        if strange:
            raise ValueError(
                f"{variable(strange[0])} is not used with DLI_SASL_MECHANISM={self.sasl_mechanism}; remove it"
            )
        if self.oauth_token_file is not None and self.oauth_token_url is not None:
            raise ValueError("DLI_OAUTH_TOKEN_FILE and DLI_OAUTH_TOKEN_URL exclude each other; keep one")
        encrypts = [name for name in ("tls_ca", "tls_certificate", "tls_key") if getattr(self, name) is not None]
        if encrypts and self.security_protocol == "PLAINTEXT":
            raise ValueError(f"DLI_{encrypts[0].upper()} is used with DLI_SECURITY_PROTOCOL=SSL or SASL_SSL only")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("DLI_TLS_CERTIFICATE and DLI_TLS_KEY belong together")
        for one, other in _PAIRS:
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(f"{variable(one)} and {variable(other)} belong together")
        if self.policy_skip_list is not None and self.policy_keys is None:
            raise ValueError("DLI_POLICY_SKIP_LIST is used with DLI_POLICY_KEYS only: who may skip must be known")
        return self

    def _needed_to_log_in(self) -> tuple[str, ...]:
        if self.sasl_mechanism != _BY_TOKEN:
            return _LOGIN
        if self.oauth_token_url is not None:
            return ("oauth_client_id", "oauth_client_secret")
        return ("oauth_token_file",)

    def topic(self, name: str) -> str:
        """A declared topic's name in this deployment."""
        return self.topic_prefix + name

    @property
    def integration_id(self) -> str:
        """The consumer group of `dli integration`, and the prefix of what Faust names for it."""
        return f"{self.app_id}-integration"

    @property
    def archive_group(self) -> str:
        """The group with the archived offsets; it has no members."""
        return f"{self.app_id}-archive"

    @property
    def gateway_group(self) -> str:
        """The group of the gateways, and the beginning of the groups of subscriptions."""
        return f"{self.app_id}-gateway"

    def environment(self) -> dict[str, str]:
        """The environment for a process with these settings."""
        values = {f"DLI_{name.upper()}": _as_text(value) for name, value in self if value is not None}
        return dict(os.environ) | values


def _as_text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return json.dumps([str(item) for item in value]) if isinstance(value, tuple) else str(value)


def read(**flags: Any) -> Settings:
    """Read the settings; options that are not None take precedence.

    Raises:
        SettingsError: One message per invalid setting, never with its value.
    """
    try:
        for name, file in _mounted():
            if name in Settings.model_fields and not file.is_file():
                raise SettingsError(f"{variable(name)}: {file} is no file; mount the secret there")
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise SettingsError("\n".join(map(_sentence, found))) from None
    except SourceError as error:
        named = re.search(r'field "(\w+)"', str(error))
        name = named[1] if named is not None else "policies"
        what = _NO_TEXT if isinstance(error.__cause__, UnicodeDecodeError) else "is no JSON"
        raise SettingsError(f"{variable(name)}: {what}; write {wanted(name)}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{_FILE}: is no text in UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{error.filename}: {error.strerror}") from None


def _is_path(field: str | None) -> bool:
    annotation = Settings.model_fields[field or ""].annotation
    return Path in (annotation, *get_args(annotation))


def _may_be(path: Path) -> bool:
    """Whether this is a valid path."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def mounted(name: str, value: SecretStr) -> Path | None:
    """The mounted file that a setting's value came from, if any."""
    for found, file in _mounted():
        if found == name:
            return file if _content(file) == value.get_secret_value() else None
    return None


def _content(file: Path) -> str | None:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _mounted() -> Iterator[tuple[str, Path]]:
    """Names that look like settings, with their files in the folder of mounted secrets."""
    folder = secrets()
    for file in sorted(folder.iterdir()) if folder is not None else ():
        if file.name.lower().startswith("dli_"):
            yield file.name.lower().removeprefix("dli_"), file


# --- messages about settings --------------------------------------------------------------------------------------

_WRONG = {
    "int_parsing": "is no whole number",
    "int_parsing_size": "is no whole number",
    "int_from_float": "is no whole number",
    "float_parsing": "is no number",
    "finite_number": "is no number",
    "greater_than": "is too small",
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
    "string_pattern_mismatch": "has not its form",
    "string_too_short": "is empty",
    "literal_error": "is none of its choices",
    "enum": "is none of its choices",
    "tuple_type": "is no list",
    "path_type": "is no path",
}
"""The problem, by validation error type."""


def _sentence(error: ErrorDetails) -> str:
    ours = error["msg"].removeprefix("Value error, ") if error["type"] == "value_error" else None
    if not error["loc"]:  # errors across settings name them
        return ours or "the settings cannot be used together"
    name, *entry = error["loc"]
    where = "".join(f"entry {number + 1} " for number in entry if isinstance(number, int))
    what = ours or _WRONG.get(error["type"], "is nothing that is taken")
    return f"{variable(name)}: {where}{what}; write {wanted(name)}"


def variable(field: int | str) -> str:
    """The name of a setting in the environment."""
    return f"DLI_{field}".upper()


def wanted(field: int | str) -> str:
    """The valid form."""
    declared = Settings.model_fields[str(field)]
    if declared.description is not None:
        return declared.description
    if _is_path(str(field)):
        return "the path of a file or folder"
    bounds = {
        what: getattr(part, what) for part in declared.metadata for what in ("ge", "gt", "le") if hasattr(part, what)
    }
    kinds = get_args(declared.annotation) or (declared.annotation,)
    if bounds:
        low = f"from {bounds['ge']} to" if "ge" in bounds else f"above {bounds['gt']}, up to"
        return f"a {'' if float in kinds else 'whole '}number {low} {bounds['le']}"
    if isinstance(declared.annotation, type) and issubclass(declared.annotation, Enum):
        kinds = tuple(declared.annotation)
    choices = [str(kind) for kind in kinds if isinstance(kind, str)]
    return " or ".join([", ".join(choices[:-1]), choices[-1]]) if choices else "text in UTF-8"


def unknown() -> str | None:
    """A warning that names unknown settings, from any source; None if there are none.

    They are not errors: the configuration may be for a later version. Kubernetes' service variables are ignored.
    """
    there = {name.upper() for name in os.environ if name.upper().startswith("DLI_")}
    services = {name.removesuffix("SERVICE_HOST") for name in there if name.endswith("_SERVICE_HOST")}
    there = {
        name
        for name in there
        if not any(name.startswith((f"{service}SERVICE_", f"{service}PORT")) for service in services)
    }
    written = DotEnvSettingsSource(Settings).env_vars
    there |= {name.upper() for name in written if name.upper().startswith("DLI_")}
    there |= {variable(name) for name, _ in _mounted()}
    names = sorted(there - {*map(variable, Settings.model_fields), "DLI_SECRETS_DIR"})
    hints = [get_close_matches(name.removeprefix("DLI_").lower(), Settings.model_fields, n=1) for name in names]
    described = [
        f"{name} (did you mean {variable(hint[0])}?)" if hint else name for name, hint in zip(names, hints, strict=True)
    ]
    return f"no such setting, and not read: {', '.join(described)}" if described else None
