"""The dashboard's acts: authorized, audited like commands, and logged.

The only act is to send dead letters again; everything else is reading.
"""

from collections.abc import Sequence

import structlog

from workers.audit.record_acts import acting, letter_ids
from workers.configuration.settings import Settings
from workers.console.errors import DliError
from workers.dashboard.sign_in.record_sign_ins import Records
from workers.dashboard.sign_in.roles import Role, Visitor
from workers.dead_letters import redrive as post
from workers.dead_letters.read import StoredDeadLetter
from workers.dead_letters.redrive import Plan

log = structlog.get_logger(__name__)

NOT_ALLOWED = "Nothing can be sent again from here: `dli dashboard --allow-redrive` would let you."
TO_LOOK = "You are here to look: to send events again, log in with the token to act (DLI_DASHBOARD_ACT_TOKEN)."
OVER = "Your session has ended: log in again."


class ForbiddenError(DliError):
    """The visitor is not authorized; the message says why."""


def refusal(visitor: Visitor, allowed: bool) -> str | None:
    """Why a visitor may not send letters again; None if they may."""
    if not allowed:
        return NOT_ALLOWED
    if not visitor.stands():
        return OVER
    return None if visitor.may(Role.ACT) else TO_LOOK


REASONS = {NOT_ALLOWED: "not_allowed", OVER: "session_over", TO_LOOK: "role"}
"""The cause in the audit log."""


def redrive(
    visitor: Visitor, allowed: bool, settings: Settings, letters: Sequence[StoredDeadLetter], records: Records
) -> list[Plan]:
    """Send letters again; return the results.

    Raises:
        ForbiddenError: The visitor is not authorized.
        ReadingError: The brokers do not respond, or refuse the audit record; then nothing was sent.
        AccessRefusedError: The cluster refuses us.
    """
    refused = refusal(visitor, allowed)
    session = visitor.session.name if visitor.session is not None else None
    if refused is not None:
        log.warning("act_refused", act="redrive", role=visitor.role.name, session=session)
        records.refused("dashboard redrive", visitor, REASONS[refused])
        raise ForbiddenError(refused)
    meant = letter_ids(letter.id for letter in letters)
    who = records.who(visitor)
    with acting(settings, "dashboard redrive", who, letters=meant, count=len(letters), group=settings.app_id) as act:
        plans = post.redrive(settings, letters)
        sent = [plan.letter.id for plan in plans if plan.refusal is None]
        act.note(letters=letter_ids(sent), count=len(sent))
    log.info("letters_sent_again", letters=sent, role=visitor.role.name, session=session)
    return plans
