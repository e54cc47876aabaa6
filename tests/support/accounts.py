"""How accounts are shown by the command."""

from tests.support.commands import dli
from workers.configuration.settings import Settings


def show(found: Settings, *arguments: str) -> tuple[int, str]:
    where = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix, "--app-id", found.app_id)
    ran = dli("accounts", *where, *arguments)
    assert "Traceback" not in ran.err, ran.err
    return ran.code, " ".join(ran.out.split())
