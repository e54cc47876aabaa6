"""Makes the golden archive of a version: requests of every kind, and all that any agent answers to them.

    python -m tests.support.golden_archive tests/workers/replay/golden/v1

It is made once, when a version's bytes are settled, and never again: `tests/workers/replay/test_golden.py` holds every
later version to it. What a later version adds goes into an archive of its own beside it.

    what_is_asked    requests and revisions: made with today's generators
    what_is_answered every other topic, from those alone: so a later version makes it again from the archive
"""

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import chain, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from zlib import crc32

from events.envelope import Mode, dumps, loads, written
from events.topics import ANSWERED, DEAD_LETTERS, DECISIONS, LEDGER, LINKS, POLICY_REVISIONS, REQUESTS
from policy_core.evaluate.determine import Policy
from policy_core.history.chain import Chain, PublicationRefusedError, chain_of
from policy_core.history.library import PACKAGED, Library
from policy_core.history.publication_terms import Terms
from policy_core.loading.load import load
from policy_core.publications.publication import Publication, publication
from tests.support import generator
from tests.support.chain_corrections import AT as PUBLISHED
from tests.support.chain_corrections import correction, withdrawal
from tests.support.chains import OTHER, REFUSED, gestational_covered, revised
from tests.support.edits import EDITS, edited
from tests.support.event_logs import FIRST, MemorySource, Remembered, archived
from tests.support.places import ROOT
from tests.support.publishing import next_revision
from tests.support.signed_revisions import signed
from workers.configuration.settings import Settings, read
from workers.dead_letters.write import rejection
from workers.decide.duplicates import unpacked
from workers.decide.handler import DecisionHandler
from workers.decide.shadow import Shadow
from workers.decide.writers import WRITERS, Writers
from workers.event_log.source import Format, Source
from workers.kafka.records import OutgoingRecord, Record
from workers.ledger.pointers import PointerHandler
from workers.ledger.supersedes_links import Links
from workers.policies.history_agent import row_and_attestation
from workers.policies.revision_events import Judging, Outcome, Seen
from workers.policies.revision_events import as_record as record_of_revision
from workers.process import logs
from workers.state.changelog import Change
from workers.state.request_digests import partition_of
from workers.traffic.commands import as_record
from workers.traffic.generate import Generator

MODES: tuple[Mode, ...] = ("structured", "binary")
EXAMPLES = ROOT / "events" / "examples" / "authorization.requested.v1"
PARTITIONS = 2
FIRST_WRITER = Writers(WRITERS.versions[:1])
"""Of this archive; a later version has one of its own."""
DEFAULT = "L.2.03.402"

FAILS, TOO_LARGE = "PA-GOLDEN-FAILS", "PA-GOLDEN-LARGE"
"""The agent fails on the first, as a defect would make it, until it is sent again; Kafka takes no answer to the second.
Both become `internal_error`."""

Log = Mapping[tuple[str, int], Sequence[Record]]
"""By topic and partition."""


# --- what is asked -------------------------------------------------------------------------------------------------


def lines() -> Iterator[bytes]:
    """Every example, generated requests of every kind, malformed ones, duplicates and conflicts, failures, a circle."""
    for folder in ("valid", "invalid"):
        for file in sorted((EXAMPLES / folder).iterdir()):
            yield b" ".join(file.read_bytes().split(b"\n"))
    yield from _monitors(1_902)
    for n in range(120):
        yield generator.encode(generator.request(1_901, n))
    yield from _monitors(1_907)
    yield generator.encode(generator.request(1_904, 1) | {"policy_number": "X.1"})
    envelope = {"specversion": "1.0", "id": "e-1", "source": "/claims", "type": "authorization.requested.v2"}
    yield json.dumps({**envelope, "data": generator.request(1_904, 2)}).encode()
    for name in (FAILS, TOO_LARGE, FAILS):
        yield generator.encode(generator.request(1_905, 1) | {"request_id": name})
    for name, other in (("PA-GOLDEN-1", "PA-GOLDEN-2"), ("PA-GOLDEN-2", "PA-GOLDEN-1")):
        yield generator.encode(generator.request(1_906, 1) | {"request_id": name, "supersedes": other})
    yield from Generator(1_903, duplicates=0.1, conflicts=0.1, malformed=0.1).lines(150)


OF_DIABETES: Sequence[Mapping[str, Any]] = (
    {},
    {"diabetes": {"type": "gestational"}, "monitor": "personal"},
    {"diabetes": {"type": "type_1", "insulin": True}, "trained": True, "monitor": "personal"},
    {"diabetes": {"type": "type_2", "insulin": True}, "trained": False, "monitor": "personal"},
    {"hypoglycemia": ["severe", "at_night"], "diabetes": {"since": "2019-03-01"}},
    {"monitor": "professional"},
)
DAYS_OF_MONITORS = ("2019-05-01", "2021-05-03", "2022-05-03", "2024-05-03", "2025-07-01", "2025-09-01")


def _monitors(seed: int) -> Iterator[bytes]:
    for n, (clinical, day) in enumerate(product(OF_DIABETES, DAYS_OF_MONITORS)):
        yield _monitor(seed, n, clinical, day)


def _monitor(seed: int, n: int, clinical: Mapping[str, Any], day: str) -> bytes:
    made = generator.request(seed, n) | {"policy_number": "EV-12", "diagnoses": [], "clinical": clinical}
    code = {"system": "hcpcs", "code": "E2103" if n % 5 else "A9276", "units": 1, "service_date": day}
    made["service_lines"] = [{"line": 1, **code}, {"line": 2, **code, "code": "E21"}]
    return generator.encode(made)


def in_mode(sent: OutgoingRecord, mode: Mode) -> OutgoingRecord:
    """A platform's record in a mode; what is no event stays as it is."""
    try:
        tree = loads(sent.value)
    except ValueError:
        return sent
    if mode == "structured" or not isinstance(tree, dict) or "data" not in tree:
        return sent
    attributes = {name: value for name, value in tree.items() if name != "data"}
    if not all(isinstance(value, str) for value in attributes.values()):
        return sent
    value, headers = written(attributes, dumps(tree["data"]), mode)
    return sent._replace(value=value, headers=headers)


def _requests(mode: Mode) -> Log:
    topic = _settings(mode).topic(REQUESTS)
    log: dict[tuple[str, int], list[Record]] = {(topic, partition): [] for partition in range(PARTITIONS)}
    for number, line in enumerate(lines()):
        sent = in_mode(as_record(line, topic), mode)
        partition = (crc32(sent.key) if sent.key else number) % PARTITIONS
        mine = log[topic, partition]
        mine.append(Record(topic, partition, len(mine), FIRST + number, sent.key or None, sent.value, sent.headers))
    return log


def never_necessary(tree: dict[str, Any]) -> None:
    """From the new revision on, gestational diabetes is not medically necessary; no packaged policy says so."""
    gestational_covered(tree)
    [first] = [rule for rule in tree["rules"] if rule["id"] == "gestational-diabetes"]
    first["outcomes"][1]["determination"] = "not_medically_necessary"


def publications() -> Iterator[Publication]:
    """Packaged documents; what is refused; a revision, its signed and retroactive correction, that taken back."""
    packaged = chain_of(load(PACKAGED / f"{DEFAULT}.yaml"))
    yield from (*packaged, *OTHER, *(one for _, one, _, _ in REFUSED if _refused(one)))
    wrong = publication(revised(never_necessary), OTHER.known_through, published=PUBLISHED)
    right = signed(correction(chain=OTHER.accept(wrong), of=wrong, retroactive=True))
    yield from (wrong, right, withdrawal(OTHER.accept(wrong).accept(right), right), next_revision(packaged))


def _refused(one: Publication) -> bool:
    try:
        OTHER.accept(one)
    except PublicationRefusedError:
        return True
    return False


def _revisions(mode: Mode) -> Log:
    """The publications; one again under another digest; and no event."""
    found = _settings(mode)
    topic = found.topic(POLICY_REVISIONS)
    made = list(publications())
    sent = [record_of_revision(one, topic, found.source, mode) for one in made]
    sent.append(sent[-1]._replace(value=sent[-1].value.replace(made[-1].digest.encode(), b"0" * 64)))
    sent.append(OutgoingRecord(topic, b"EV-12@2025-06-01", b"{"))
    return {(topic, 0): [_record(one, 0, offset) for offset, one in enumerate(sent)]}


def what_is_asked(mode: Mode) -> Log:
    """Requests, and revisions, in their order."""
    return {**_requests(mode), **_revisions(mode)}


# --- what is answered ----------------------------------------------------------------------------------------------


class _Published(NamedTuple):
    """What the policy-history agent makes of the topic of revisions."""

    before: Library
    """What is known before the first correction."""
    after: Library
    sent: Sequence[OutgoingRecord]
    """Attestations, and dead letters of what is refused."""


def _published(records: Iterable[Record], found: Settings) -> _Published:
    judging = Judging(Terms(), ())
    sent: list[OutgoingRecord] = []
    before: Library | None = None
    for record in records:
        chains = judging.chains
        verdict = judging.take(Seen(record.offset, record.timestamp, record.value, record.headers))
        if verdict.rejected is not None:
            sent.append(rejection(record, verdict.rejected, found))
        elif verdict.outcome is Outcome.ACCEPTED:
            _, attested = row_and_attestation(verdict, found)
            sent += [attested] if attested is not None else []
        if verdict.publication is not None and verdict.publication.corrects is not None and before is None:
            before = _library(chains.values())
    after = _library(judging.chains.values())
    return _Published(before or after, after, sent)


def _library(chains: Iterable[Chain]) -> Library:
    library = Library((), DEFAULT)
    for one in chains:
        library = library.knowing_also(one)
    return library


class _Answers:
    """The topics that are written, record by record."""

    def __init__(self) -> None:
        self.log: dict[tuple[str, int], list[Record]] = defaultdict(list)

    def add(self, sent: OutgoingRecord, partition: int) -> None:
        there = self.log[sent.topic, partition]
        # Now and then a transaction's end takes an offset of its own.
        offset = there[-1].offset + 1 + (len(there) % 50 == 0) if there else 0
        there.append(_record(sent, partition, offset))

    def of(self, topic: str) -> list[Record]:
        return [one for place in sorted(self.log) if place[0] == topic for one in self.log[place]]


def what_is_answered(asked: Log, mode: Mode, draft: Path) -> Log:
    """All that the agents write: the first half of each partition is decided before the first correction is known."""
    found = _settings(mode)
    answers = _Answers()
    published = _published(asked[found.topic(POLICY_REVISIONS), 0], found)
    shadow = Shadow(Policy(load(draft)), found)
    for partition in range(PARTITIONS):
        requests = asked[found.topic(REQUESTS), partition]
        half, memory = len(requests) // 2, Remembered([FAILS])
        for library, some in ((published.before, requests[:half]), (published.after, requests[half:])):
            handler = DecisionHandler(library, found, memory, shadow, FIRST_WRITER)
            for sent in chain.from_iterable(_decided(handler, [one], found) for one in some):
                if sent.topic == found.topic(ANSWERED):
                    memory.entries[partition, sent.key] = unpacked(sent.value)
                answers.add(sent, partition)
    for sent in published.sent:
        answers.add(sent, crc32(sent.key) % PARTITIONS if sent.topic == found.topic(DEAD_LETTERS) else 0)
    _keep_ledger(answers, found)
    return dict(answers.log)


def _decided(handler: DecisionHandler, records: Sequence[Record], found: Settings) -> Iterable[OutgoingRecord]:
    if records[0].key == TOO_LARGE.encode():
        return handler.instead(records[0], frozenset({found.topic(DECISIONS)}))
    return handler(records)


def _keep_ledger(answers: _Answers, found: Settings) -> None:
    """Pointers to all answers, the links of decisions, and the dead letters of links that would close a circle."""
    point = PointerHandler(found)
    for sent in point(answers.of(found.topic(DECISIONS))):
        answers.add(sent, partition_of(sent.key, PARTITIONS) if sent.topic == found.topic(LEDGER) else 0)
    links = answers.of(found.topic(LINKS))
    with TemporaryDirectory() as folder:
        judge = Links(found, Path(folder), _NoChangelog())
        asyncio.run(judge.assigned(0, 0))
        for sent in judge(links):
            answers.add(sent, crc32(sent.key) % PARTITIONS)
        judge.revoked(0)
    for sent in point(answers.of(found.topic(DEAD_LETTERS))):
        answers.add(sent, partition_of(sent.key, PARTITIONS))


class _NoChangelog:
    """Links that are judged for the first time."""

    topic = "t.authorization.links"

    async def end(self, partition: int) -> int:  # noqa: ARG002 (nothing is there)
        return 0

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Change]]:  # noqa: ARG002 (as above)
        empty: Sequence[Sequence[Change]] = ()
        for some in empty:
            yield some


def _record(sent: OutgoingRecord, partition: int, offset: int) -> Record:
    return Record(sent.topic, partition, offset, FIRST, sent.key, sent.value, sent.headers)


def _settings(mode: Mode) -> Settings:
    return read(topic_prefix="t.", mode=mode)


# --- the archive ---------------------------------------------------------------------------------------------------


def read_log(source: Source, topics: Iterable[str]) -> Log:
    """All records of these topics."""
    return {
        (name, partition): [
            record
            for piece in source.read(name, partition, 0)
            if piece.chunk is not None
            for record in piece.chunk.records
        ]
        for name in map(source.topic, topics)
        for partition in source.partitions(name)
    }


def main(folder: Path) -> None:
    """Make it in a new folder."""
    folder.mkdir(parents=True)
    draft = edited(folder, *EDITS["a presumption less"], *EDITS["another determination"])
    for mode in MODES:
        asked = what_is_asked(mode)
        answered = what_is_answered(asked, mode, draft)
        archived(MemorySource({**asked, **answered}), folder / mode, Format.JSONL_ZSTD)


if __name__ == "__main__":
    logs.configure(level="CRITICAL", form="console")
    main(Path(sys.argv[1]))
