"""The clients of the gateway: what each trading partner signs in with, and where it may be notified."""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Self

import structlog
from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from events.field_types import Sha256
from events.personal_types import Model
from workers.configuration.settings import SettingsError
from workers.gateway.access.endpoints import Endpoint
from workers.kafka.reloaded_credentials import state

log = structlog.get_logger(__name__)

_A_LIST = Field(strict=False)
_SETTING = "DLI_GATEWAY_CLIENTS"


class Client(Model):
    """One trading partner at the gateway."""

    partner: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Its name in its configuration."""
    tokens: Annotated[tuple[Sha256, ...], _A_LIST] = ()
    """The SHA-256 of each static token, in hexadecimal digits; two while one replaces the other."""
    oauth_clients: Annotated[tuple[str, ...], _A_LIST] = ()
    """Its ids at the authorization server."""
    endpoints: Annotated[tuple[Endpoint, ...], _A_LIST] = ()
    """The beginnings of addresses at which it may be notified; without any, it cannot subscribe."""
    identifiers: Annotated[tuple[str, ...], _A_LIST] = ()
    """Identifiers of the sending system, `value` or `system|value`: a subscription to one gets all of the partner's
    answers. Any other identifier is that of a requesting provider."""


class Clients(Model):
    """All clients."""

    partners: Annotated[tuple[Client, ...], _A_LIST, Field(min_length=1)]

    @model_validator(mode="after")
    def _unambiguous(self) -> Self:
        for what, named in (
            ("partner", [client.partner for client in self.partners]),
            ("token", [token for client in self.partners for token in client.tokens]),
            ("OAuth client", [one for client in self.partners for one in client.oauth_clients]),
        ):
            if len(set(named)) < len(named):
                raise ValueError(f"the same {what} stands there twice")
        return self

    def by_token(self, presented: str) -> Client | None:
        """The client of a static token; the time it takes does not tell how much of it was right."""
        digest = sha256(presented.encode("utf-8", "surrogateescape")).hexdigest()
        found: Client | None = None
        for client in self.partners:
            for token in client.tokens:
                if hmac.compare_digest(token, digest):
                    found = client
        return found

    def by_oauth_client(self, client_id: str) -> Client | None:
        """The client with an id at the authorization server."""
        return next((client for client in self.partners if client_id in client.oauth_clients), None)

    def of(self, partner: str) -> Client | None:
        """The client of a partner; None if it was removed."""
        return next((client for client in self.partners if client.partner == partner), None)


class ClientsFile:
    """The clients in a YAML file, read again when it changes; an unusable change is logged and not taken."""

    def __init__(self, file: Path) -> None:
        """Read the file.

        Raises:
            SettingsError: It cannot be used.
        """
        self._file, self._seen, self._clients = file, state((file,)), read(file)

    @property
    def current(self) -> Clients:
        """The clients now."""
        seen = state((self._file,))
        if seen != self._seen:
            self._seen = seen
            try:
                self._clients = read(self._file)
            except SettingsError as error:
                log.error("clients_not_reloaded", detail=str(error))  # noqa: TRY400 (the message suffices)
            else:
                log.info("clients_reloaded", partners=len(self._clients.partners))
        return self._clients


def read(file: Path) -> Clients:
    """The clients in a file.

    Raises:
        SettingsError: It cannot be used; the message names the places, and no value.
    """
    try:
        written = YAML(typ="safe").load(file.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{_SETTING}: {file}: {error.strerror}") from None
    except (YAMLError, UnicodeDecodeError):
        raise SettingsError(f"{_SETTING}: {file}: is no YAML") from None
    try:
        return Clients.model_validate(written)
    except ValidationError as error:
        wrong = [
            f"{_place(found['loc'])}: {found['msg'].removeprefix('Value error, ')}"
            for found in error.errors(include_url=False, include_input=False)
        ]
        raise SettingsError(f"{_SETTING}: {file}: " + "; ".join(wrong)) from None


def _place(parts: Iterable[int | str]) -> str:
    return ".".join(map(str, parts)) or "the file"
