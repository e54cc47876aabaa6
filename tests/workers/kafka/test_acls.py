"""The table of rights: it follows names, covers every topic, and its page says the same."""

from events.topics import TOPICS
from tests.support.commands import dli
from tests.support.places import ROOT
from workers.configuration.settings import Settings
from workers.kafka.acls import ROLES, AclRule, rights

PAGE = ROOT / "deploy" / "security.md"


def row(one: AclRule) -> str:
    name = f"`{one.name}`{'…' if one.is_prefix else ''}"
    return f"| {' | '.join((one.role, ', '.join(one.operations), one.resource, name, one.why))} |"


def test_the_page_has_the_table() -> None:
    section = PAGE.read_text("utf-8").split("\n## Who may do what\n")[1].partition("\n## ")[0]

    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert rows[2:] == [row(one) for one in rights(Settings())]


def test_every_role_has_rights_and_every_topic_is_used() -> None:
    """Every role has rights, and every topic has a reader and a writer."""
    found = [one for one in rights(Settings()) if one.resource == "topic"]

    assert {one.role for one in found} == set(ROLES)
    for topic in TOPICS:
        operations = {operation for one in found if one.name == topic.name for operation in one.operations}
        assert {"READ", "WRITE", "CREATE"} <= operations


def test_nobody_may_delete_and_only_an_operator_may_alter() -> None:
    """Nobody may delete, only an operator may alter topics, and the exporter may only look."""
    found = rights(Settings())

    assert {operation for one in found for operation in one.operations} == {
        "READ",
        "WRITE",
        "CREATE",
        "ALTER",
        "ALTER_CONFIGS",
        "DESCRIBE",
        "DESCRIBE_CONFIGS",
    }
    assert {one.role for one in found if {"ALTER", "ALTER_CONFIGS"} & set(one.operations)} == {"operator"}
    assert {operation for one in found if one.role == "exporter" for operation in one.operations} == {
        "READ",
        "DESCRIBE",
    }


def test_rights_follow_a_deployments_names() -> None:
    found = rights(Settings(topic_prefix="north.", app_id="north-dli"), "worker")

    assert all(one.name.startswith(("north.", "north-dli")) for one in found)
    assert "north-dli-north.authorization.requests-" in {one.name for one in found}


def test_the_command_shows_one_role_or_says_which_there_are() -> None:
    shown, unknown = dli("rights", "--role", "platform"), dli("rights", "--role", "nobody")

    assert shown.code == 0
    assert "claims-platform*" in shown.out
    assert "transactional-id" not in shown.out
    assert unknown.code == 1
    assert (
        "there are worker, integration, exporter, dashboard, archive, gateway, platform, review, policy, operator"
        in " ".join(unknown.err.split())
    )
