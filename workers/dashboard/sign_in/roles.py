"""Two roles, view and act, with a token each."""

import hmac
from dataclasses import dataclass
from enum import IntEnum

from workers.configuration.settings import Settings
from workers.console.errors import DliError
from workers.dashboard.sign_in.sessions import Session
from workers.monitoring.host_header import is_loopback

SHORTEST = 16
"""Minimum length of a token."""
VISITOR = "dli.visitor"
"""The key of the `Visitor` in a request's scope."""


class Role(IntEnum):
    """A role; acting includes viewing."""

    NONE = 0
    VIEW = 1
    ACT = 2


class UnguardedError(DliError):
    """The dashboard would be open to anyone; the message says what to do."""


@dataclass(frozen=True)
class Tokens:
    """The token of each role; without any, only this machine has access."""

    view: str | None = None
    act: str | None = None

    def __bool__(self) -> bool:
        """Whether a token is required."""
        return self.view is not None or self.act is not None

    def role_of(self, presented: str) -> Role | None:
        """The role of a token, compared in constant time."""
        # A header's bytes may not be text.
        given = presented.encode("utf-8", "surrogateescape")
        found = [
            role
            for role, token in ((Role.ACT, self.act), (Role.VIEW, self.view))
            if hmac.compare_digest(given, (token or "").encode()) and token
        ]
        return found[0] if found else None


def tokens_of(settings: Settings) -> Tokens:
    """The tokens from the settings."""
    view, act = (
        token.get_secret_value() if token is not None else None
        for token in (settings.dashboard_token, settings.dashboard_act_token)
    )
    return Tokens(view, act)


def check(host: str, tokens: Tokens, *, allow_redrive: bool) -> None:
    """Check that the dashboard requires tokens if it is reachable by others or allows acts.

    Raises:
        UnguardedError: It does not, or a token is too short.
    """
    for name, token in (("DLI_DASHBOARD_TOKEN", tokens.view), ("DLI_DASHBOARD_ACT_TOKEN", tokens.act)):
        if token is not None and len(token) < SHORTEST:
            raise UnguardedError(f"{name}: shorter than {SHORTEST} characters; make one that cannot be guessed")
    if tokens and tokens.view == tokens.act:
        raise UnguardedError(
            "DLI_DASHBOARD_TOKEN and DLI_DASHBOARD_ACT_TOKEN are the same: whoever may look could act; make another one"
        )
    if not tokens and not is_loopback(host):
        raise UnguardedError(
            f"{host}: others can reach the dashboard there, so it needs a token: set DLI_DASHBOARD_TOKEN, or leave "
            "--host at 127.0.0.1"
        )
    if tokens and allow_redrive and tokens.act is None:
        raise UnguardedError(
            "--allow-redrive: DLI_DASHBOARD_TOKEN is to look only, and nobody has the token to act: set "
            "DLI_DASHBOARD_ACT_TOKEN, or leave --allow-redrive out"
        )


@dataclass(frozen=True)
class Visitor:
    """A visitor: the role and the session; without a session the token came with the request."""

    role: Role
    session: Session | None = None

    def stands(self) -> bool:
        """Whether access is still valid."""
        return self.session is None or self.session.lasts()

    def may(self, role: Role) -> bool:
        """Whether the visitor has a role now."""
        return self.role >= role and self.stands()
