"""A policy that changes while two workers decide, on Apache Kafka: each answer is explained by what it says it knew."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any

import pytest

from events.attestation import PolicyAttestation
from events.decode import decode
from events.request_parts import parts_of
from events.topics import DEAD_LETTERS, DECISIONS, POLICY_ATTESTATIONS, POLICY_REVISIONS
from policy_core.history.library import Library
from tests.support import naive
from tests.support.packaged import packaged_library
from tests.support.publishing import DAY, next_revision
from tests.support.requests import EXAMPLES
from tests.support.running import PATIENCE_SECONDS, eventually, everything_on, get, publish, settings_for, worker
from tests.support.running_workers import all_committed, revisions_known
from workers.configuration.settings import Settings
from workers.decide.handler import Decider
from workers.policies.revision_events import as_record
from workers.topics import apply_topics
from workers.traffic.commands import sent

pytestmark = [pytest.mark.broker, pytest.mark.kafka]

NUMBER = "L.2.03.402"
COUNT = 1_000
PER_SECOND = 50
Json = dict[str, Any]


def complete_requests(seed: int) -> Iterator[Json]:
    """Requests with every fact stated, for services around the day of the new revision."""
    rng = Random(seed)
    template = json.loads((EXAMPLES / "policy-named.json").read_text("utf-8"))["data"]
    for n in range(COUNT):
        made: Json = json.loads(json.dumps(template))
        day = DAY + timedelta(days=rng.randint(-60, 60))
        code = rng.choice(["38242", "86812", "99999"])
        made |= {"request_id": f"LIVE-{n}", "submitted_at": "2025-10-01T09:00:00-05:00", "diagnoses": []}
        made["member"]["line_of_business"] = rng.choice(["commercial"] * 4 + ["fep"])
        made["service_lines"] = [
            {"line": 1, "system": "cpt", "code": code, "units": 1, "service_date": day.isoformat()}
        ]
        made["clinical"] = clinical({path: rng.choice(values) for path, values in naive.FACTS.items()}, rng)
        yield made


def clinical(facts: Mapping[str, naive.Value], rng: Random) -> Json:
    likely = {naive.MALIGNANCY: "hematologic", naive.TRANSPLANT: "allogeneic", naive.MODIFICATION: "none"}
    likely |= {naive.ORIGINAL: "medically_necessary", naive.STATUS: "relapsed"}
    # Most of the space is decided by a few facts alone; half of the stream is where the new rule decides.
    chosen = {**facts, **likely, naive.SAME_DONOR: True} if rng.random() < 0.5 else facts
    found: Json = {}
    for path, value in chosen.items():
        *above, name = path.split(".")[1:]
        place = found
        for key in above:
            place = place.setdefault(key, {})
        place[name] = sorted(value) if isinstance(value, frozenset) else value
    return found


def stream(found: Settings, lines: Sequence[bytes], half: Event) -> None:
    """Publish at a steady pace, and set the event after one half."""
    begun = time.monotonic()
    for start in range(0, len(lines), PER_SECOND // 5):
        time.sleep(max(0.0, begun + start / PER_SECOND - time.monotonic()))
        publish(found, lines[start : start + PER_SECOND // 5])
        if start >= len(lines) // 2:
            half.set()


def data(found: Settings, topic: str) -> list[Any]:
    return [json.loads(one.value)["data"] for one in everything_on(found, topic)]


def claimed(attested: PolicyAttestation, request: Json) -> tuple[str | None, str | None] | None:
    """The two determinations that an attestation gives for a complete request; None where it says that none changes."""
    [line] = request["service_lines"]
    day = date.fromisoformat(line["service_date"])
    for change in attested.changes:
        concerned = any(
            any((days.since or date.min) <= day < (days.until or date.max) for days in where.days)
            and request["member"]["line_of_business"] in (where.lines_of_business or ("commercial", "fep"))
            and f"cpt {line['code']}" in (where.codes or (f"cpt {line['code']}",))
            and where.unauthorized in (None, False)
            for where in change.where
        )
        held = any(all(_has(request, fact.fact, fact.values) for fact in cube) for cube in change.conditions)
        if concerned and held:
            return change.before.determination, change.after.determination
    return None


def _has(request: Json, path: str, values: Sequence[Any]) -> bool:
    value: Any = request
    for key in path.split("."):
        value = value[key]
    if isinstance(value, list):
        # Of a set, an attestation has the elements alone that some condition asks for.
        return any(set(one) == set(value) & {naive.PREVENT, naive.CONVERT} for one in values)
    return value in values


def check_answers(lines: Sequence[bytes], answers: Mapping[str, Json], before: Library, after: Library) -> None:
    """Every answer is what the document and the knowledge that it names give."""
    deciders = {one.known_through: Decider(library) for library in (before, after) for one in library}
    for line in lines:
        request = parts_of(decode(line, bare_allowed=True).request)
        answer = answers[request.request_id]
        [(through, sha256)] = [(one["known_through"], one["sha256"]) for one in answer["policies"]]
        known = after.knowing(NUMBER, through)
        assert known is not None
        assert sha256 == known.sha256
        assert json.loads(deciders[through].decide(request).encoded.data) == answer


def check_order(records: Sequence[Any], before: str, after: str) -> None:
    """Each partition went over from the one knowledge to the other once, and both were at work."""
    order: dict[int, list[str]] = {}
    for one in records:
        [policy] = json.loads(one.value)["data"]["policies"]
        order.setdefault(one.partition, []).append(policy["known_through"])
    assert {one for some in order.values() for one in some} == {before, after}
    for some in order.values():
        assert some == sorted(some, key=[before, after].index)


def check_attestation(
    requests: Sequence[Json],
    answers: Mapping[str, Json],
    attested: PolicyAttestation,
    before: Library,
    after: Library,
) -> None:
    """The attestation names exactly the requests that the two documents answer differently."""
    known = [library[NUMBER].known_through for library in (before, after)]
    assert [attested.before.digest, attested.after.digest] == known
    deciders = [Decider(library) for library in (before, after)]
    changed = []
    for one in requests:
        request = parts_of(decode(json.dumps(one).encode(), bare_allowed=True).request)
        was, is_ = (decider.decide(request).result.outcome.lines[0].answer for decider in deciders)
        pair = was.determination.value, is_.determination.value
        changed.append(pair if pair[0] != pair[1] else None)
    assert [claimed(attested, one) for one in requests] == changed
    otherwise = {one["request_id"] for one, pair in zip(requests, changed, strict=True) if pair}
    assert len(otherwise) > COUNT / 20
    assert known[1] in {answers[name]["policies"][0]["known_through"] for name in otherwise}


def test_a_revision_mid_stream_changes_answers_from_then_on(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """A revision mid-stream changes answers from then on, and each says under which it was made."""
    found = settings_for(bootstrap, prefix, tmp_path / "one")
    other = settings_for(bootstrap, prefix, tmp_path / "two")
    for one in (found, other):
        one.data_dir.parent.mkdir()
    apply_topics.apply(found)
    library = packaged_library()
    new = next_revision(library.chain(NUMBER))
    later = library.knowing_also(library.chain(NUMBER).accept(new))
    requests = list(complete_requests(2026))
    lines = [json.dumps(one).encode() for one in requests]

    with worker(found, tmp_path), worker(other, tmp_path, "other"):
        half = Event()
        publisher = Thread(target=stream, args=(found, lines, half))
        publisher.start()
        assert half.wait(PATIENCE_SECONDS)
        revision = as_record(new, found.topic(POLICY_REVISIONS), found.source, found.mode)
        list(sent([revision], found))
        publisher.join()
        assert eventually(lambda: all_committed(found))
        assert eventually(lambda: revisions_known(found) == 20)
        registers = [get(one, f"/policies/{NUMBER}/revisions")[1] for one in (found, other)]
        records = everything_on(found, DECISIONS)
        letters, attestations = data(found, DEAD_LETTERS), data(found, POLICY_ATTESTATIONS)

    answers = {one.key.decode(): json.loads(one.value)["data"] for one in records}
    assert letters == []
    assert Counter(one.key for one in records) == Counter(one["request_id"].encode() for one in requests)
    check_answers(lines, answers, library, later)
    check_order(records, library[NUMBER].known_through, later[NUMBER].known_through)
    check_attestation(requests, answers, PolicyAttestation.model_validate(attestations[-1]), library, later)

    # Either worker answers for the register, and it outlasts the disks.
    assert registers[0] == registers[1]
    assert sum(one["decisions"] for one in registers[0]["revisions"]) == COUNT
    for one in (found, other):
        shutil.rmtree(one.data_dir)
    with worker(other, tmp_path, "rebuilt"):
        assert eventually(lambda: revisions_known(other) == 20)
        _, rebuilt = get(other, f"/policies/{NUMBER}/revisions")
        again = data(found, POLICY_ATTESTATIONS)

    assert rebuilt == registers[0]
    assert again == attestations
