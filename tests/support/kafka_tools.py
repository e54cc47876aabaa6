"""`dli` on the broker of a test."""

from tests.support.commands import Ran, dli
from workers.configuration.settings import Settings


def run(found: Settings, *command: str) -> Ran:
    return dli(*command, "--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
