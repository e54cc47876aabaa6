"""Makes the golden archive of a version: requests of every kind, and all that is answered to them.

    python -m tests.support.golden_archive tests/workers/replay/golden/v1

It is made once, when a version's bytes are settled, and never again: `tests/workers/replay/test_golden.py` holds every
later version to it. What a later version adds goes into an archive of its own beside it.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from events.topics import SHADOW
from policy_core.evaluate.determine import Policy
from policy_core.history.library import PACKAGED, Library, load_library
from policy_core.loading.load import load
from tests.support import generator
from tests.support.edits import EDITS, edited
from tests.support.event_logs import MemorySource, archived, publishing, recorded
from tests.support.places import POLICIES, ROOT
from workers.configuration.settings import read
from workers.decide.handler import DecisionHandler
from workers.decide.shadow import Shadow
from workers.event_log.source import Format
from workers.process import logs
from workers.traffic.generate import Generator

MODES = ("structured", "binary")
EXAMPLES = ROOT / "events" / "examples" / "authorization.requested.v1"


def lines() -> Iterator[bytes]:
    """Every example, generated requests of every kind, malformed ones, duplicates and conflicts."""
    for folder in ("valid", "invalid"):
        for file in sorted((EXAMPLES / folder).iterdir()):
            yield b" ".join(file.read_bytes().split(b"\n"))
    for n in range(120):
        yield generator.encode(generator.request(1_901, n))
    for n in range(30):
        yield generator.encode(generator.request(1_902, n) | {"policy_number": "EV-12", "clinical": {}})
    yield generator.encode(generator.request(1_904, 1) | {"policy_number": "X.1"})
    envelope = {"specversion": "1.0", "id": "e-1", "source": "/claims", "type": "authorization.requested.v2"}
    yield json.dumps({**envelope, "data": generator.request(1_904, 2)}).encode()
    yield from Generator(1_903, duplicates=0.1, conflicts=0.1, malformed=0.1).lines(150)


def library(policies: Path) -> Library:
    """The packaged policy, and the golden archive's own."""
    return load_library([PACKAGED, policies], "L.2.03.402")


def log(policies: Path, mode: str) -> MemorySource:
    """The requests with their answers, and the revisions that they were decided under."""
    known = library(policies)
    made = recorded(list(lines()), known, mode=mode)
    return publishing(made, chain.from_iterable(known.chain(number) for number in known.numbers))


def shadowed(policies: Path, draft: Path) -> list[bytes]:
    """What the draft would make of the requests otherwise."""
    found = read(topic_prefix="t.")
    handler = DecisionHandler(library(policies), found, shadow=Shadow(Policy(load(draft)), found))
    source = log(policies, "structured")
    requests = [record for (topic, _), some in source.records.items() if topic.endswith("requests") for record in some]
    return [answer.value for answer in handler(requests) if answer.topic == found.topic(SHADOW)]


def main(folder: Path) -> None:
    """Make it in a new folder."""
    policies = folder / "policies"
    policies.mkdir(parents=True)
    shutil.copy(POLICIES / "EV-12.yaml", policies)
    draft = edited(folder, *EDITS["a presumption less"])
    for mode in MODES:
        archived(log(policies, mode), folder / mode, Format.JSONL_ZSTD)
    (folder / "shadow.jsonl").write_bytes(b"\n".join(shadowed(policies, draft)) + b"\n")


if __name__ == "__main__":
    logs.configure(level="ERROR", form="console")
    main(Path(sys.argv[1]))
