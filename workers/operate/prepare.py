"""Make a cluster ready for workers: the topics as declared, and on them what the packaged documents know."""

from typing import NamedTuple

from policy_core.library import load_library
from workers import topics
from workers.packaged import publish_packaged
from workers.settings import Settings


class Prepared(NamedTuple):
    """What was done."""

    topics: topics.Applied
    revisions: int
    """How many revisions of packaged documents were published."""


def prepare(settings: Settings) -> Prepared:
    """Apply the declared topics, then publish what the topic of revisions lacks of the packaged documents.

    Raises:
        TopicsError: The cluster does not answer, or refuses a setting.
        ForkedError: The documents and what is published contradict each other.
        ReadingError: The brokers do not answer, or give no right.
        PolicyDocumentError: A document, or the publishers' keys, cannot be used.
    """
    library = load_library(settings.policies, settings.default_policy)
    applied = topics.apply(settings)
    return Prepared(applied, publish_packaged(settings, library))
