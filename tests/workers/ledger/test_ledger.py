"""The ledger: pointers to every answer, and links judged as a second, naive judge judges them."""

import asyncio
import json
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, get_args

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from events.dead_letter import DeadLetter
from events.origin_headers import RecordPosition
from events.topics import CASE_EVENTS, DEAD_LETTERS, DECISIONS, LEDGER, LINKS, REQUESTS
from tests.support import generator
from tests.support.packaged import packaged_library
from workers.configuration.settings import read
from workers.decide.handler import DecisionHandler
from workers.kafka.records import OutgoingRecord, Record
from workers.ledger.pointers import Kind, Pointer, PointerHandler, Pointers, unpacked
from workers.ledger.supersedes_links import LONGEST_CHAIN, Graph, Judged, Link, LinkRecord, Links, chain, judge, link_of
from workers.state.changelog import Change
from workers.state.request_digests import digest, partition_of
from workers.traffic.commands import as_record

DAY = 24 * 60 * 60 * 1000
SETTINGS = read(topic_prefix="t.")
NOW = 1_750_000_000_000


def topic(name: str) -> str:
    return SETTINGS.topic(name)


# --- pointers ------------------------------------------------------------------------------------------------------

PLACES = st.tuples(st.integers(0, 10_000), st.integers(0, 2**60))


@given(st.sampled_from(get_args(Kind)), PLACES, st.integers(-1, 2**60), st.none() | PLACES)
def test_a_pointer_reads_back_as_it_was_written(
    kind: Kind, where: tuple[int, int], timestamp: int, request: tuple[int, int] | None
) -> None:
    pointer = Pointer(kind, *where, timestamp, request)

    assert unpacked(pointer.packed()) == pointer


@pytest.mark.parametrize("raw", [b"", b"x", b"\x09" + b"\0" * 32, b"\x01" * 200])
def test_what_is_no_pointer_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="no pointer"):
        unpacked(raw)


def test_requests_are_spread_over_the_ledger_evenly() -> None:
    counts: dict[int, int] = defaultdict(int)
    for number in range(12_000):
        counts[partition_of(digest(b"PA-%d" % number), 12)] += 1

    assert sorted(counts) == list(range(12))
    assert min(counts.values()) > 800


def answers_to(lines: Sequence[bytes], key: bytes | None = None) -> list[Record]:
    """What the decision agent sends because of lines, as records of its topics."""
    handler = DecisionHandler(packaged_library(), SETTINGS)
    sent = [as_record(line, topic(REQUESTS)) for line in lines]
    asked = [Record(one.topic, 3, n, NOW, key or one.key or None, one.value, one.headers) for n, one in enumerate(sent)]
    answers = [one for one in handler(asked) if one.topic in (topic(DECISIONS), topic(DEAD_LETTERS))]
    return [Record(one.topic, 3, 100 + n, NOW, one.key, one.value, one.headers) for n, one in enumerate(answers)]


def request(name: str, **changes: object) -> bytes:
    return json.dumps(generator.request(11, 1) | {"request_id": name, "supersedes": None} | changes).encode()


def test_every_answer_gets_a_pointer_under_its_requests_digest() -> None:
    good, bad = request("PA-1"), request("PA-2", urgency="stat")

    rows = PointerHandler(SETTINGS)(answers_to([good, bad]))

    assert [(one.topic, one.key) for one in rows] == [
        (topic(LEDGER), digest(b"PA-1")),
        (topic(LEDGER), digest(b"PA-2")),
    ]
    assert [unpacked(one.value) for one in rows] == [
        Pointer("decision", 3, 100, NOW, (3, 0)),
        Pointer("dead_letter", 3, 101, NOW, (3, 1)),
    ]


def test_a_pointer_says_nothing_of_the_request() -> None:
    [row] = PointerHandler(SETTINGS)(answers_to([request("PA-SECRET")]))

    assert (len(row.key), len(row.value), row.headers) == (16, 33, ())
    assert b"SECRET" not in row.key + row.value


def test_a_dead_letter_with_another_key_is_found_by_both() -> None:
    """A dead letter with another key is found by that key and by its request id."""
    rows = PointerHandler(SETTINGS)(answers_to([request("PA-3", urgency="stat")], key=b"another"))

    assert [one.key for one in rows] == [digest(b"another"), digest(b"PA-3")]
    assert len({one.value for one in rows}) == 1


def test_a_dead_letter_without_a_request_id_can_still_be_found() -> None:
    """A dead letter that shows no request id is found by its key or by its record's place."""
    keyed = PointerHandler(SETTINGS)(answers_to([b"no event"], key=b"PA-4"))
    unkeyed = PointerHandler(SETTINGS)(answers_to([b"no event"]))

    assert [one.key for one in keyed] == [digest(b"PA-4")]
    assert [one.key for one in unkeyed] == [digest(f"{topic(REQUESTS)}/3/0".encode())]


def test_a_decision_that_supersedes_leaves_a_link_too() -> None:
    _, link = PointerHandler(SETTINGS)(answers_to([request("PA-5", certification="renewal", supersedes="PA-4")]))

    assert (link.topic, link.key) == (topic(LINKS), b"PA-5")
    assert link_of(link.value) == Link("PA-4", RecordPosition(topic(DECISIONS), 3, 100))


def test_old_answers_have_no_request_and_foreign_ones_no_pointer() -> None:
    """An answer older than the headers has no request, and a foreign record gets no pointer."""
    old = Record(topic(DECISIONS), 1, 7, NOW, b"PA-6", b"{}", ())
    tombstone = Record(topic(DECISIONS), 1, 8, NOW, b"PA-6", None, ())
    unkeyed = Record(topic(DECISIONS), 1, 9, NOW, None, b"{}", ())
    elsewhere = Record(topic(DECISIONS), 1, 10, NOW, b"PA-7", b"{}", (("dli-cause", b"other/0/1"),))

    rows = PointerHandler(SETTINGS)([old, tombstone, unkeyed, elsewhere])

    assert [unpacked(one.value).request for one in rows] == [None, None]


# --- what the worker keeps of them ---------------------------------------------------------------------------------


class Log:
    """A topic as the broker has it, in a list."""

    topic = "t.log"

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append(self, sent: Sequence[OutgoingRecord]) -> list[Record]:
        start = len(self.records)
        new = [Record(self.topic, 0, start + n, NOW, one.key, one.value) for n, one in enumerate(sent)]
        self.records += new
        return new

    async def end(self, partition: int) -> int:  # noqa: ARG002 (one partition)
        return len(self.records)

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Change]]:  # noqa: ARG002 (as above)
        for one in self.records[start:end]:
            yield [Change(one.offset, one.key or b"", one.value, one.timestamp)]


class Kept:
    """The pointers of one partition, through takeovers and losses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = Log()
        self.pointers = Pointers(SETTINGS, folder, self.log, 10 * DAY)
        self.committed = 0

    def take_over(self) -> None:
        asyncio.run(self.pointers.assigned(0, self.committed))

    def commit(self, *pointers: tuple[str, Pointer]) -> None:
        records = self.log.append(
            [OutgoingRecord("t.log", digest(name.encode()), one.packed()) for name, one in pointers]
        )
        self.committed = len(self.log.records)
        self.pointers.after_commit(0, records, [], {})

    def offsets(self, name: str) -> list[int] | None:
        found = self.pointers.find(0, name)
        return [one.offset for one in found] if found is not None else None


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    made = Kept(tmp_path / "ledger")
    made.take_over()
    return made


def pointer(offset: int, timestamp: int = NOW) -> Pointer:
    return Pointer("decision", 0, offset, timestamp, (0, offset))


def test_all_pointers_of_a_request_are_found_and_no_others(kept: Kept) -> None:
    kept.commit(("PA-1", pointer(5, NOW + 1)), ("PA-2", pointer(6)), ("PA-1", pointer(7)))

    assert [kept.offsets(name) for name in ("PA-1", "PA-2", "PA-3")] == [[7, 5], [6], []]


def test_a_pointer_written_twice_is_one(kept: Kept) -> None:
    kept.commit(("PA-1", pointer(5)))
    kept.commit(("PA-1", pointer(5)))

    assert kept.offsets("PA-1") == [5]


@pytest.mark.parametrize("lost", [False, True])
def test_a_new_owner_knows_what_was_committed(kept: Kept, lost: bool) -> None:
    """Another owner knows what was committed, whatever happened to the disk."""
    kept.commit(("PA-1", pointer(5)), ("PA-2", pointer(6)))
    kept.pointers.revoked(0)
    assert kept.offsets("PA-1") is None
    if lost:
        shutil.rmtree(kept.folder)

    kept.take_over()

    assert [kept.offsets(name) for name in ("PA-1", "PA-2")] == [[5], [6]]


def test_a_copy_ahead_of_the_commit_is_read_again(kept: Kept) -> None:
    """A copy that knows more than was committed is read again up to the commit."""
    kept.commit(("PA-1", pointer(5)), ("PA-2", pointer(6)))
    kept.pointers.revoked(0)
    kept.committed = 1

    kept.take_over()

    assert [kept.offsets(name) for name in ("PA-1", "PA-2")] == [[5], []]


def test_a_record_that_is_no_pointer_is_left_out_and_said(kept: Kept) -> None:
    record = Record("t.log", 0, 0, NOW, b"key", b"value")

    with capture_logs() as logs:
        kept.pointers.after_commit(0, [record], [], {})

    assert [(one["event"], one["offset"]) for one in logs] == [("ledger_record_unreadable", 0)]


def test_expired_pointers_leave_the_disk(kept: Kept) -> None:
    """Pointers leave the disk when what they point to is no longer kept."""
    kept.commit(("PA-1", pointer(5, NOW)), ("PA-2", pointer(6, NOW + 10 * DAY)))
    later = pointer(7, NOW + 10 * DAY + 1)
    kept.commit(("PA-3", later), *((f"PA-4 {n}", later) for n in range(200)))

    assert [kept.offsets(name) for name in ("PA-1", "PA-2", "PA-3")] == [[], [6], [7]]


# --- links, and the naive judge ------------------------------------------------------------------------------------


class InMemory(dict[bytes, bytes]):
    """Entries as RocksDB has them."""

    def beginning_with(self, prefix: bytes) -> Mapping[bytes, bytes]:
        return {key: value for key, value in sorted(self.items()) if key.startswith(prefix)}

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        for key, value in changes.items():
            self.pop(key, None)
            if value is not None:
                self[key] = value


class Naive(NamedTuple):
    """What the naive judge says: for every request, its link that stands, and the links that are refused."""

    standing: dict[str, tuple[str, int]]
    refused: dict[str, str]


def naive(names: Sequence[tuple[str, str]]) -> Naive:
    """Every link is tried by walking all that stand, from scratch."""
    standing: dict[str, tuple[str, int]] = {}
    refused: dict[str, str] = {}
    for offset, (newer, older) in enumerate(names):
        if standing.get(newer, ("",))[0] == older or refused.get(newer) == older:
            continue
        standing.pop(newer, None)
        refused.pop(newer, None)
        reached = {older}
        while True:
            more = reached | {standing[one][0] for one in reached if one in standing}
            if more == reached:
                break
            reached = more
        if newer in reached:
            refused[newer] = older
        else:
            standing[newer] = (older, offset)
    return Naive(standing, refused)


def component(found: Naive, request: str) -> set[str]:
    reached = {request}
    while True:
        more = reached | {older for newer, (older, _) in found.standing.items() if newer in reached}
        more |= {newer for newer, (older, _) in found.standing.items() if older in reached}
        if more == reached:
            return reached
        reached = more


def newest(found: Naive, members: set[str]) -> str:
    named = {older for older, _ in found.standing.values()}
    return max(members - named, key=lambda one: found.standing.get(one, ("", -1))[1])


def saying(names: Sequence[tuple[str, str]]) -> list[LinkRecord]:
    # One decision for each pair: the same pair again is the same link, read once more.
    return [
        LinkRecord(n, newer, Link(older, RecordPosition("d", 0, hash((newer, older)) % 1000)))
        for n, (newer, older) in enumerate(names)
    ]


IDS = [f"r{number}" for number in range(8)]
LINKS_SAID = st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)), max_size=30)


@given(LINKS_SAID, st.lists(st.integers(0, 30), max_size=4))
def test_links_are_judged_as_by_the_naive_judge(names: list[tuple[str, str]], cuts: list[int]) -> None:
    """Links are judged as the naive judge judges them, however they are batched."""
    entries = InMemory()
    refused: list[LinkRecord] = []
    bounds = sorted({0, len(names), *(cut for cut in cuts if cut < len(names))})
    for start, end in pairwise(bounds):
        judgement = judge(entries, saying(names)[start:end])
        entries.apply(judgement.changes)
        refused += judgement.refused

    expected = naive(names)
    graph = Graph(entries)
    for name in IDS:
        link = graph.link(name)
        standing = expected.standing.get(name)
        assert graph.superseded(name) == (standing and standing[0])
        assert (link.supersedes if link is not None and link.refused else None) == expected.refused.get(name)
        members = chain(graph, name)
        assert {one.request_id for one in members} == component(expected, name)
        assert [one.request_id for one in members if one.newest] == [newest(expected, component(expected, name))]
        order = [one.request_id for one in members]
        assert all(
            order.index(one.supersedes) < order.index(one.request_id)
            for one in members
            if one.supersedes is not None and not one.refused
        )
    assert set(expected.refused) <= {one.request for one in refused}


def test_the_naive_judge_finds_a_circle() -> None:
    assert naive([("a", "b"), ("b", "c"), ("c", "a")]).refused == {"c": "a"}


def test_a_link_to_itself_is_a_circle() -> None:
    assert [one.request for one in judge(InMemory(), saying([("a", "a")])).refused] == ["a"]


def test_a_long_chain_is_told_by_its_end() -> None:
    entries = InMemory()
    names = [(f"r{number + 1}", f"r{number}") for number in range(1000)]
    entries.apply(judge(entries, saying(names)).changes)

    members = chain(Graph(entries), "r17")

    assert len(members) == LONGEST_CHAIN
    assert (members[-1].request_id, members[-1].newest) == ("r1000", True)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[]",
        b"{}",
        b'{"supersedes":1,"decision":"d/0/1"}',
        b'{"supersedes":"a"}',
        b'{"supersedes":"\\ud800","decision":"d/0/1"}',
        b"\xff",
    ],
)
def test_what_is_no_link_is_none(value: bytes | None) -> None:
    assert link_of(value) is None


class Judge:
    """The links' partition, through takeovers and losses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = Log()
        self.links = Links(SETTINGS, folder, self.log)
        self.committed = 0

    def take_over(self) -> None:
        asyncio.run(self.links.assigned(0, self.committed))

    def say(self, *names: tuple[str, str]) -> list[Record]:
        return self.log.append(
            [OutgoingRecord("t.log", one.request.encode(), one.link.written()) for one in saying(names)]
        )

    def commit(self, records: Sequence[Record]) -> list[OutgoingRecord]:
        sent = self.links(records)
        self.committed = records[-1].offset + 1
        self.links.after_commit(0, records, sent, {})
        return sent


@given(LINKS_SAID.filter(bool), st.data())
@hypothesis_settings(max_examples=30, deadline=None)
def test_whoever_takes_over_judges_as_if_nothing_had_happened(
    names: list[tuple[str, str]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        calm, troubled = Judge(Path(folder) / "calm"), Judge(Path(folder) / "troubled")
        for one in (calm, troubled):
            one.take_over()
        refused = [letter for record in calm.say(*names) for letter in calm.commit([record])]
        again: list[OutgoingRecord] = []
        for record in troubled.say(*names):
            trouble = data.draw(st.sampled_from(["none", "void batch", "takeover", "lost disk", "late copy"]))
            if trouble == "void batch":
                troubled.links([record])
            if trouble == "late copy":
                sent = troubled.links([record])
                troubled.committed = record.offset + 1
            else:
                sent = []
            if trouble in ("takeover", "lost disk", "late copy"):
                troubled.links.revoked(0)
                if trouble == "lost disk":
                    shutil.rmtree(troubled.folder)
                troubled.take_over()
            again += sent if trouble == "late copy" else troubled.commit([record])

        assert [one.value for one in again] == [one.value for one in refused]
        assert [troubled.links.find(0, name) for name in IDS] == [calm.links.find(0, name) for name in IDS]
        calm.links.revoked(0)
        troubled.links.revoked(0)


def test_a_refused_link_is_a_dead_letter_with_request_and_field(tmp_path: Path) -> None:
    """A refused link is a dead letter that names its request and its field."""
    judge_ = Judge(tmp_path)
    judge_.take_over()

    with capture_logs() as logs:
        sent = judge_.commit(judge_.say(("PA-2", "PA-1"), ("PA-1", "PA-2")))

    judged = [one for one in sent if one.topic == topic(CASE_EVENTS)]
    assert [(one.key, json.loads(one.value)["stands"]) for one in judged] == [(b"PA-2", True), (b"PA-1", False)]
    [letter] = [one for one in sent if one not in judged]
    data = DeadLetter.model_validate_json(json.dumps(json.loads(letter.value)["data"]))
    assert (letter.topic, letter.key) == (topic(DEAD_LETTERS), b"PA-1")
    assert (data.reason, data.request_id, data.errors[0].path) == ("circular_link", "PA-1", "supersedes")
    assert (data.original.topic, data.original.offset) == ("t.log", 1)
    assert "PA-" not in str(logs)


def test_a_record_that_is_no_link_is_left_out_said_and_put_aside(tmp_path: Path) -> None:
    judge_ = Judge(tmp_path)
    judge_.take_over()
    records = judge_.log.append(
        [OutgoingRecord("t.log", b"\xff", b"{}"), OutgoingRecord("t.log", b"PA-1", b"nonsense")]
    )

    with capture_logs() as logs:
        letters = judge_.links(records)

    assert [json.loads(one.value)["data"]["reason"] for one in letters] == ["undecodable", "undecodable"]
    assert [one["event"] for one in logs] == ["link_unreadable", "link_unreadable"]


def test_judged_links_read_back(tmp_path: Path) -> None:
    judge_ = Judge(tmp_path)
    judge_.take_over()
    judge_.commit(judge_.say(("PA-é", "PA-1")))

    found = judge_.links.find(0, "PA-é")

    assert found is not None
    assert [(one.request_id, one.supersedes, one.newest) for one in found] == [
        ("PA-1", None, False),
        ("PA-é", "PA-1", True),
    ]
    assert Judged(**json.loads(Judged("a", "d/0/1", 3, refused=True).packed())).refused
