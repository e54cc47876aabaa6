"""What the dashboard changes: in one place, and by who may act alone."""

import ast
from pathlib import Path

import pytest

from tests.support.places import ROOT
from workers.configuration.settings import Settings, read
from workers.dashboard.data.actions import NOT_ALLOWED, OVER, TO_LOOK, ForbiddenError, redrive, refusal
from workers.dashboard.sign_in.record_sign_ins import Records
from workers.dashboard.sign_in.roles import Role, Visitor
from workers.dashboard.sign_in.sessions import Sessions

DASHBOARD = ROOT / "workers/dashboard"
CHANGES = {"redrive", "KafkaProducer", "KafkaAdminClient", "admin", "apply", "commit", "write_text", "unlink"}
"""Names of whatever changes something on Kafka or on a disk."""


def ended() -> Visitor:
    sessions = Sessions(60, 600)
    shown = sessions.begin(Role.ACT)
    session = sessions.find(shown)
    sessions.end(shown)
    return Visitor(Role.ACT, session)


@pytest.mark.parametrize(("visitor", "allowed", "sentence"), [
    (Visitor(Role.ACT), True, None), (Visitor(Role.ACT), False, NOT_ALLOWED), (Visitor(Role.VIEW), True, TO_LOOK),
    (Visitor(Role.NONE), True, TO_LOOK), (ended(), True, OVER),
])  # fmt: skip
def test_who_may_act_may_and_others_are_told_why_not(visitor: Visitor, allowed: bool, sentence: str | None) -> None:
    assert refusal(visitor, allowed) == sentence


@pytest.mark.parametrize("visitor", [Visitor(Role.VIEW), Visitor(Role.NONE), ended()])
def test_the_act_itself_asks_who_it_is(visitor: Visitor) -> None:
    nowhere: Settings = read(bootstrap="127.0.0.1:1")

    with pytest.raises(ForbiddenError):
        redrive(visitor, True, nowhere, [], Records(nowhere))


def test_no_other_module_of_the_dashboard_changes_anything() -> None:
    def names(file: Path) -> set[str]:
        tree = ast.walk(ast.parse(file.read_text("utf-8")))
        return {
            one.attr if isinstance(one, ast.Attribute) else one.id
            for one in tree
            if isinstance(one, ast.Attribute | ast.Name)
        }

    found = {file.relative_to(DASHBOARD).as_posix(): names(file) & CHANGES for file in DASHBOARD.rglob("*.py")}

    assert {name: changes for name, changes in found.items() if changes} == {
        "data/actions.py": {"redrive"},
        "pages/dead_letters.py": {"redrive"},
    }
    # The page asks the act, and not what it stands before.
    assert "post.redrive" not in (DASHBOARD / "pages/dead_letters.py").read_text("utf-8")
