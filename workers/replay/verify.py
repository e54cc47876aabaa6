"""Verification: decides every request again under the document named by its recorded decision, and compares the bytes.

Each request has one expected outcome: a decision, nothing (a duplicate with the same content), or a dead letter. The
recorded key, value and headers are compared with it; the broker's timestamp is not.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from events.dead_letter import SENTENCES, FieldError
from events.decode import RejectedError
from events.origin_headers import cause_of, writer_of
from events.typed_reader import Event
from workers.dead_letters.write import defect, too_large
from workers.decide.duplicates import Entry
from workers.event_log.process_pool import WorkerHandle
from workers.event_log.source import Damage
from workers.kafka.records import Record
from workers.replay.documents import Documents, documents_of
from workers.replay.findings import Findings, ResumedFindings
from workers.replay.partition_replay import News, PartitionReplay, Plan, Task, request_id_of
from workers.replay.redecide import Reading, Redecider, differences, read
from workers.replay.reviewed_decisions import ReviewedDecisions

PATHS_SHOWN = 12

IDENTICAL = ("decision", "final_decision", "duplicate", "dead_letter")
"""Outcomes equal to the record: identical bytes, or no answer for a duplicate. A final decision here is any that was
made from a verdict or an extension."""
KINDS = {
    "different": "recorded otherwise than decided again",
    "missing_decision": "no decision is recorded",
    "second_decision": "one decision too many is recorded",
    "unasked_decision": "no request asked for the decision",
    "missing_dead_letter": "no dead letter is recorded",
    "unexpected_dead_letter": "nothing puts it among the dead letters",
    "not_replayable": "cannot be decided again, or compared",
    "damaged": "cannot be read",
}
"""All other outcomes."""

NOT_THERE = "the log has no topic of {}"
LOST = "its answer may lie in what cannot be read"
BEFORE = "not answered in this range: perhaps before it, where it may have come first"
AFTER = "behind the last answer of its partition: not decided yet when the log was taken, or its answer is missing"
FAILED = "the worker failed on it (internal_error)"
ALTERED = "its dead letter has other bytes than the worker writes"
KEYED = "not answered, and keyed otherwise than by its id: what was answered before cannot be looked up"

UNKNOWN_WRITER = (
    "written by version {} (dli-writer), which is not here: verify it with a version of the software that has it"
)

_HELD_BACK = 10_000


def verify(task: Task, handle: WorkerHandle[News]) -> None:
    """Verify one partition.

    Raises:
        ReplayError: The log cannot be read.
    """
    plan, partition, state = task
    if state is not None and state["done"]:
        return
    replay = PartitionReplay(plan, partition)
    documents = documents_of(plan.source, plan.settings, plan.earlier, plan.writers)
    size = state["judge"]["size"] if state is not None else None
    found = Findings(plan.folder, partition) if size is None else ResumedFindings(plan.folder, partition, size)
    replay.judge = Verifier(plan, replay, documents, found)
    try:
        replay.run(handle, state)
    finally:
        found.close()


class Verifier:
    """Judges the requests of one partition."""

    def __init__(self, plan: Plan, replay: PartitionReplay, documents: Documents, found: Findings) -> None:
        self._plan = plan
        self._replay = replay
        self._documents = documents
        self._findings = found
        self._again = Redecider(documents, plan.settings)
        self.identical: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self.why: Counter[str] = Counter()
        """Reasons for requests that cannot be replayed."""
        self._since_answer: Counter[str] = Counter()
        """Missing answers since the last one found."""
        self._damages: set[tuple[str, int, int]] = set()
        self._first_answer: int | None = None
        self._unclaimed: list[tuple[bytes | None, int]] = []

    # --- called during the replay ---

    def request(self, record: Record, received: Event, key: bytes) -> bool:
        """Compare the decision on a request with the record; returns whether it is decided."""
        # The decision may be that of the same request, sent again after its dead letter.
        beside = self._replay.letters.next_is(record.offset) and not self._decided_next(record, key)
        recorded = self._replay.decisions.take(key) if not beside else None
        try:
            value, headers = self._again.decision(record, received)
        except RejectedError as rejected:
            if recorded is None:
                self._letter(record, rejected, received)
                return False
            return self._closer(record, received, recorded)
        if recorded is None:
            return self._undecided(record, received, key)
        self._answered(recorded)
        if recorded.value == value and recorded.headers == headers:
            self.identical["decision"] += 1
            return True
        return self._closer(record, received, recorded)

    def comes_again(self, record: Record, received: Event, known: Entry, *, same: bool) -> None:
        """Expect no answer for the same content, and a dead letter for other content."""
        key = received.request.request_id.encode()
        second = self._replay.decisions.take(key) if self._replay.decisions.next_is(key) else None
        if second is not None:
            self._note("second_decision", record, second, "its id was answered before")
        elif same:
            letter = self._replay.letters.take(record.offset)
            if letter is not None:
                self._note("unexpected_dead_letter", record, letter, "it is a duplicate with the same content")
            else:
                self.identical["duplicate"] += 1
        else:
            message = f"used before with other content, at offset {known.offset} of this partition"
            error = FieldError(path="request_id", message=message)
            self._letter(record, RejectedError("conflicting_duplicate", [error]), received)

    def rejected(self, record: Record, rejected: RejectedError) -> None:
        """Compare the dead letter of an invalid request with the record."""
        self._letter(record, rejected, None)

    def defect(self, record: Record, received: Event | None, error: Exception) -> None:
        """Expect a dead letter, as the agent would write after a defect."""
        self._note("different", record, None, f"deciding it again fails: {type(error).__name__}")
        self._letter(record, defect(), received)

    def damaged(self, damage: Damage) -> None:
        """Record an unreadable range, once."""
        place = (damage.topic, damage.first, damage.last)
        if place in self._damages:
            return
        self._damages.add(place)
        self.found["damaged"] += 1
        self._findings.add({"kind": "damaged", **damage._asdict()})

    def unclaimed(self, record: Record) -> None:
        """Record an unmatched answer; it is classified later, by the partition's keys."""
        if record.topic == self._replay.letters.topic:
            self._note("unexpected_dead_letter", None, record, "the request at that offset is answered otherwise")
            return
        self._unclaimed.append((record.key, record.offset))
        if len(self._unclaimed) >= _HELD_BACK:
            self._sort_unclaimed()

    # --- comparing with the record ---

    def _answered(self, recorded: Record) -> None:
        self._since_answer.clear()
        if self._first_answer is None and recorded.topic == self._replay.decisions.topic:
            self._first_answer = recorded.offset

    def _decided_next(self, record: Record, key: bytes) -> bool:
        """Whether the next recorded decision answers this very record."""
        decision = self._replay.decisions.next_with(key)
        return decision is not None and cause_of(decision.headers) == record.position

    def _closer(self, record: Record, received: Event, recorded: Record) -> bool:
        """Decide under the document that the decision names; returns whether that gives a decision."""
        reading = read(recorded)
        named = reading.named()
        if named is None or reading.manner is None:
            self._note("different", record, recorded, "what is recorded cannot be read as a decision")
            return True
        writer = writer_of(recorded.headers)
        if writer is not None and not self._again.written_by(writer):
            self._not_replayable(record, recorded, UNKNOWN_WRITER.format(writer))
            return True
        policy = self._documents.named(named)
        if policy is None:
            self._not_replayable(record, recorded, f"made under a document that is not here: {named}")
            return True
        self._again.manner = reading.manner
        self._again.under(policy)
        try:
            value, headers = self._again.decision(record, received)
        except RejectedError as rejected:
            self._note("different", record, recorded, f"decided again it is a dead letter: {rejected.reason}")
            return True
        if recorded.value == value and recorded.headers == headers:
            self.identical["decision"] += 1
        else:
            self._different(record, recorded, reading, recorded._replace(value=value, headers=headers))
        return True

    def _undecided(self, record: Record, received: Event, key: bytes) -> bool:
        """Handle a missing decision, or a dead letter in its place."""
        letter = self._replay.letters.take(record.offset)
        if letter is not None:
            self._answered(letter)
            self._note("different", record, letter, self._instead_of_decision(record, received, letter))
            return False
        if not self._replay.decisions.there:
            self._not_replayable(record, None, NOT_THERE.format("decisions"))
        elif self._replay.decisions.in_doubt:
            self._not_replayable(record, None, LOST)
        elif not self._replay.extent.whole:
            self._not_replayable(record, None, BEFORE)
        elif key != record.key:
            self._not_replayable(record, None, KEYED)
        else:
            self._missing("missing_decision", record)
        return True

    def _instead_of_decision(self, record: Record, received: Event, letter: Record) -> str:
        """What a dead letter in a decision's place is; that of a worker's failure has its own bytes."""
        reading = read(letter)
        reason = reading.data.get("reason")
        if reason != "internal_error":
            known = reason if reason in SENTENCES else "of no known reason"
            return f"recorded as a dead letter ({known}), decided again it is a decision"
        self._again.manner = reading.manner or self._again.manner
        failed = self._again.letter(record, defect(), received)
        refused = self._again.letter(record, too_large(), received, small=True)
        whole = (letter.key, letter.value, letter.headers) in (failed, refused)
        return f"{FAILED}, decided again it is a decision" + ("" if whole else f"; {ALTERED}")

    def _letter(self, record: Record, rejected: RejectedError, received: Event | None) -> None:
        recorded = self._replay.letters.take(record.offset)
        if recorded is None:
            self._no_letter(record, rejected)
            return
        self._answered(recorded)
        expected = self._again.letter(record, rejected, received)
        if (recorded.key, recorded.value, recorded.headers) == expected:
            self.identical["dead_letter"] += 1
            return
        reading = read(recorded)
        self._again.manner = reading.manner or self._again.manner
        key, value, headers = self._again.letter(record, rejected, received)
        if (recorded.key, recorded.value, recorded.headers) == (key, value, headers):
            self.identical["dead_letter"] += 1
        else:
            self._different(record, recorded, reading, recorded._replace(key=key, value=value, headers=headers))

    def _no_letter(self, record: Record, rejected: RejectedError) -> None:
        decision = self._replay.decisions.take(record.key) if self._replay.decisions.next_is(record.key) else None
        if decision is not None:
            self._answered(decision)
            self._note("different", record, decision, f"decided again it is a dead letter: {rejected.reason}")
        elif not self._replay.letters.there:
            self._not_replayable(record, None, NOT_THERE.format("dead letters"))
        elif self._replay.letters.in_doubt:
            self._not_replayable(record, None, LOST)
        else:
            self._missing("missing_dead_letter", record)

    # --- recording ---

    def _missing(self, kind: str, record: Record) -> None:
        self._since_answer[kind] += 1
        self._note(kind, record, None, None)

    def _not_replayable(self, record: Record, recorded: Record | None, why: str) -> None:
        self.why[why] += 1
        self._note("not_replayable", record, recorded, why)

    def _different(self, record: Record, recorded: Record, reading: Reading, expected: Record) -> None:
        paths = differences(reading, read(expected))
        why = "the values of its fields differ" if paths else "the same content in other bytes, key or headers"
        self._note("different", record, recorded, why, paths[:PATHS_SHOWN], len(paths))

    def _note(
        self,
        kind: str,
        record: Record | None,
        recorded: Record | None,
        why: str | None,
        paths: list[str] | None = None,
        differing: int | None = None,
    ) -> None:
        self.found[kind] += 1
        finding: dict[str, Any] = {"kind": kind}
        if record is not None:
            finding |= _place(record)
        if recorded is not None:
            finding |= {"recorded": _place(recorded)}
        either = record or recorded
        asked = self._plan.request_ids and either is not None
        finding |= {"request_id": request_id_of(either) if asked and either is not None else None}
        self._findings.add(finding | {"why": why, "fields": paths, "fields_differing": differing})

    # --- at the end ---

    def end(self) -> None:
        """Separate missing from not yet decided, classify unclaimed decisions, and verify those made from verdicts."""
        self._sort_unclaimed()
        if self._replay.reviewed:
            self._verify_reviewed()
        behind = self._since_answer.total()
        if self._replay.extent.to_end and behind:
            for kind, count in self._since_answer.items():
                self.found[kind] -= count
            self.found["not_replayable"] += behind
            self.why[AFTER] += behind

    def _verify_reviewed(self) -> None:
        plan, replay = self._plan, self._replay
        reviewed = ReviewedDecisions(plan.source, replay.partition, self._documents, plan.settings, self.damaged)
        for one in reviewed.outcomes():
            if one.kind == "final_decision":
                self.identical[one.kind] += 1
            elif one.kind == "not_replayable" and one.why is not None:
                self.why[one.why] += 1
                self._note(one.kind, None, one.recorded, one.why)
            elif one.expected is not None:
                paths = differences(read(one.recorded), read(one.expected))
                why = "the values of its fields differ" if paths else "the same content in other bytes, key or headers"
                self._note(one.kind, None, one.recorded, why, paths[:PATHS_SHOWN], len(paths))
            else:
                self._note(one.kind, None, one.recorded, one.why)

    def _sort_unclaimed(self) -> None:
        waiting, self._unclaimed = self._unclaimed, []
        if not waiting:
            return
        wanted = {key for key, _ in waiting}
        asked = {
            key
            for keys in self._plan.source.keys(self._replay.topic, self._replay.partition)
            for key in keys
            if key in wanted
        }
        topic = self._replay.decisions.topic
        for key, offset in waiting:
            where = Record(topic, self._replay.partition, offset, 0, key, None)
            if key in asked:
                self._note("second_decision", None, where, "its request has another one")
            elif self._within(offset):
                self._note("unasked_decision", None, where, None)

    def _within(self, offset: int) -> bool:
        """Whether a decision's request must be in the range, which may begin late or end early."""
        extent = self._replay.extent
        early = not extent.whole and (self._first_answer is None or offset < self._first_answer)
        return not early and extent.to_end

    # --- saving and resuming ---

    def state(self) -> dict[str, Any]:
        """The findings so far."""
        return {
            "size": self._findings.size(),
            "identical": dict(self.identical),
            "found": dict(self.found),
            "why": dict(self.why),
            "since_answer": dict(self._since_answer),
            "damages": sorted(self._damages),
            "first_answer": self._first_answer,
            "unclaimed": [[key.hex() if key is not None else None, offset] for key, offset in self._unclaimed],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from saved findings."""
        self.identical, self.found = Counter(state["identical"]), Counter(state["found"])
        self.why, self._since_answer = Counter(state["why"]), Counter(state["since_answer"])
        self._damages = {(topic, first, last) for topic, first, last in state["damages"]}
        self._first_answer = state["first_answer"]
        self._unclaimed = [(bytes.fromhex(key) if key is not None else None, at) for key, at in state["unclaimed"]]


def _place(record: Record) -> dict[str, str | int]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}
