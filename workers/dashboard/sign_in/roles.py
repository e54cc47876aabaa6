"""Two roles: to look, and to change something; a token for each."""

import hmac
from dataclasses import dataclass
from enum import IntEnum

from workers.dashboard.sign_in.sessions import Session
from workers.errors import DliError
from workers.monitoring.host_header import is_loopback
from workers.settings import Settings

SHORTEST = 16
"""Characters of a token at least."""
VISITOR = "dli.visitor"
"""Where a request's scope has its `Visitor`."""


class Role(IntEnum):
    """What somebody may; whoever may act may look."""

    NONE = 0
    VIEW = 1
    ACT = 2


class UnguardedError(DliError):
    """The dashboard would answer to anybody, or let anybody act; the message says what to do."""


@dataclass(frozen=True)
class Tokens:
    """What opens the dashboard, for each role; with neither it is this machine's alone."""

    view: str | None = None
    act: str | None = None

    def __bool__(self) -> bool:
        """Whether it needs a token at all."""
        return self.view is not None or self.act is not None

    def role_of(self, shown: str) -> Role | None:
        """Whose token this is; it takes as long whatever is shown."""
        # Not all of what comes is text: a header's bytes may be anything.
        given = shown.encode("utf-8", "surrogateescape")
        found = [
            role
            for role, token in ((Role.ACT, self.act), (Role.VIEW, self.view))
            if hmac.compare_digest(given, (token or "").encode()) and token
        ]
        return found[0] if found else None


def tokens_of(settings: Settings) -> Tokens:
    """The tokens that the settings name."""
    view, act = (
        one.get_secret_value() if one is not None else None
        for one in (settings.dashboard_token, settings.dashboard_act_token)
    )
    return Tokens(view, act)


def check(host: str, tokens: Tokens, *, allow_redrive: bool) -> None:
    """See that the dashboard is guarded where others can reach it, and that acts are.

    Raises:
        UnguardedError: It is not, or by a token that is too short.
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
    """Who asks: a role, and the session that it lasts with; without one it was shown with this very request."""

    role: Role
    session: Session | None = None

    def stands(self) -> bool:
        """Whether they are still let in."""
        return self.session is None or self.session.lasts()

    def may(self, role: Role) -> bool:
        """Whether they may do now what takes this role."""
        return self.role >= role and self.stands()
