"""What a running worker has committed, and which revisions it knows."""

from events.topics import REQUESTS
from tests.support.running import get, offsets
from workers.configuration.settings import Settings


def all_committed(found: Settings) -> bool:
    committed, ends = offsets(found, REQUESTS)
    return committed == ends and sum(ends.values()) > 0


def revisions_known(found: Settings) -> int:
    return len(get(found, "/policies/L.2.03.402/revisions")[1].get("revisions", []))
