"""What-if: decides a log under another document and compares it line by line with the log's own documents.

The log's own documents are evaluated again, as in `verify`, with rules, facts and statements behind each determination.
Differences from the recorded determinations are reported.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from events.decode import RejectedError
from events.request_parts import RequestParts
from events.typed_reader import Event
from policy_core.compare.strictness import Comparer, Kind, LineChange, undecided, weightiest
from policy_core.evaluate.determine import Policy
from policy_core.evaluate.facts import ClinicalViolationError
from policy_core.evaluate.plan import Plan as DecisionPlan
from policy_core.evaluate.plan import PlannedResult
from workers.decide.duplicates import Entry
from workers.event_log.process_pool import WorkerHandle
from workers.event_log.source import Damage
from workers.kafka.records import Record
from workers.replay.documents import Documents, Named, documents_of
from workers.replay.findings import Findings, ResumedFindings
from workers.replay.partition_replay import News, PartitionReplay, Plan, Task
from workers.replay.publish_decisions import Publisher
from workers.replay.redecide import read

_KNOWN = b'"known_through":"'
_SHA_AT = -len('","known_through":"') - 64 + len('"known_through":"')
_DETERMINATIONS = re.compile(rb'"code":"(?:[^"\\]|\\.)*","determination":"([a-z_]+)"')

ABSENT = "made under a document that is not here"
UNRECORDED = "without a recorded decision: compared with what is in force"
UNREADABLE = "recorded otherwise than as a decision that can be read"

OR = " or "
"""Separates rules that may each decide, given the known facts."""

Pair = tuple[str, str, str]
"""Kind of change, determination before, and after."""


@dataclass
class ChangeCounts:
    """Counts of one partition, or of all."""

    requests: Counter[str] = field(default_factory=Counter)
    """Requests by the weightiest change among their lines."""
    lines: Counter[Pair] = field(default_factory=Counter)
    of_requests: Counter[Pair] = field(default_factory=Counter)
    """Requests with a line of the pair."""
    rules: Counter[tuple[str, str, str, str, str]] = field(default_factory=Counter)
    """Lines of each pair by the deciding rules before and after."""
    months: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Lines by month of service and kind."""
    businesses: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Lines by line of business and kind."""
    beside: Counter[str] = field(default_factory=Counter)
    """What was not compared, and why; deviations of the record."""

    def as_json(self) -> dict[str, list[list[Any]]]:
        """For a saved state."""
        return {
            name: [[*(key if isinstance(key, tuple) else (key,)), count] for key, count in sorted(counter.items())]
            for name, counter in vars(self).items()
        }

    @classmethod
    def of(cls, written: Mapping[str, Sequence[Sequence[Any]]]) -> "ChangeCounts":
        """From a saved state."""
        made = cls()
        for name, rows in written.items():
            counter = getattr(made, name)
            for *key, count in rows:
                counter[tuple(key) if len(key) > 1 else key[0]] = count
        return made

    def add(self, other: "ChangeCounts") -> None:
        """Add another's counts."""
        for name, counter in vars(self).items():
            counter.update(getattr(other, name))


def what_if(task: Task, handle: WorkerHandle[News]) -> None:
    """Compare one partition.

    Raises:
        ReplayError: The log cannot be read.
    """
    plan, partition, state = task
    if state is not None and state["done"]:
        return
    replay = PartitionReplay(plan, partition)
    size = state["judge"]["size"] if state is not None else None
    found = Findings(plan.folder, partition) if size is None else ResumedFindings(plan.folder, partition, size)
    documents = documents_of(plan.source, plan.settings, plan.earlier)
    publisher = Publisher(plan.settings, plan.publish, draft_of(plan)) if plan.publish is not None else None
    replay.judge = Comparison(plan, replay, documents, draft_of(plan), found, publisher)
    try:
        replay.run(handle, state)
    finally:
        found.close()
        if publisher is not None:
            publisher.close()


_drafts: dict[str, Policy] = {}


def draft_of(plan: Plan) -> Policy:
    """The plan's policy, compiled once per process."""
    name = str(plan.draft)
    if name not in _drafts:
        if plan.draft is None:
            raise ValueError("the plan has no draft")
        _drafts[name] = plan.draft.policy(documents_of(plan.source, plan.settings, plan.earlier))
    return _drafts[name]


class Comparison:
    """Judges the requests of one partition."""

    def __init__(
        self,
        plan: Plan,
        replay: PartitionReplay,
        documents: Documents,
        draft: Policy,
        found: Findings,
        publisher: Publisher | None = None,
    ) -> None:
        self._plan = plan
        self._replay = replay
        self._documents = documents
        self._draft = draft
        self._findings = found
        self._publisher = publisher
        self._current = documents.current()
        self._names: dict[bytes, Policy | None] = {}
        self._comparer = Comparer()
        self._plans: dict[Policy, DecisionPlan] = {}
        self._damages: set[tuple[str, int, int]] = set()
        self.counts = ChangeCounts()
        self.published = 0

    # --- called during the replay ---

    def request(self, record: Record, received: Event, key: bytes) -> bool:
        """Compare a request's lines; returns whether it is decided."""
        recorded = self._replay.decisions.take(key)
        request = received.request
        before = self._before(request, recorded)
        if before is None:
            return recorded is not None
        if before.number != self._draft.number:
            self.counts.beside["decided under another policy"] += 1
            return True
        ours, theirs = self._determined(before, request), self._determined(self._draft, request)
        if recorded is not None:
            self._compare_with_record(recorded, ours)
        if self._publisher is not None and theirs is not None:
            self._publisher.send(record, received, theirs)
            self.published += 1
        if ours is None or theirs is None:
            changes = undecided(ours, theirs, len(request.service_lines))
            self._count(record, request, changes, evidence=False)
        else:
            self._count(
                record, request, self._comparer.lines(ours, theirs), evidence=self._comparer.evidence(ours, theirs)
            )
        return ours is not None

    def comes_again(self, record: Record, received: Event, known: Entry, *, same: bool) -> None:  # noqa: ARG002 (part of `Judge`)
        """A duplicate is not answered again under any policy."""
        key = received.request.request_id.encode()
        self.counts.beside["duplicates" if same else "conflicting duplicates"] += 1
        if self._replay.decisions.next_is(key):
            self._replay.decisions.take(key)

    def rejected(self, record: Record, rejected: RejectedError) -> None:  # noqa: ARG002 (part of `Judge`)
        """An invalid request is invalid under any policy."""
        self.counts.beside["no requests"] += 1

    def defect(self, record: Record, received: Event | None, error: Exception) -> None:  # noqa: ARG002 (part of `Judge`)
        """Our software fails on it."""
        self.counts.beside[f"deciding it fails: {type(error).__name__}"] += 1

    def damaged(self, damage: Damage) -> None:
        """Record an unreadable range, once."""
        place = (damage.topic, damage.first, damage.last)
        if place not in self._damages:
            self._damages.add(place)
            self.counts.beside["stretches that cannot be read"] += 1
            self._findings.add({"kind": "damaged", **damage._asdict()})

    def unclaimed(self, record: Record) -> None:
        """Ignore: `verify` reports these."""

    def end(self) -> None:
        """Nothing left to do."""

    # --- one request ---

    def _before(self, request: RequestParts, recorded: Record | None) -> Policy | None:
        """The policy that the decision names; without a decision, the current one."""
        if recorded is None:
            self.counts.beside["without a recorded decision: compared with what is in force"] += (
                self._replay.decisions.there
            )
            return self._documents.asked(request.policy_number)
        value = recorded.value or b""
        at = value.find(_KNOWN)
        names = value[at + _SHA_AT : at + len(_KNOWN) + 64] if at > 0 else b""
        if names not in self._names:
            self._names[names] = self._named(recorded)
        found = self._names[names]
        if found is None:
            self.counts.beside[ABSENT if at > 0 else UNREADABLE] += 1
        return found

    def _named(self, recorded: Record) -> Policy | None:
        named: Named | None = read(recorded).named()
        return self._documents.named(named) if named is not None else None

    def _compare_with_record(self, recorded: Record, found: PlannedResult | None) -> None:
        says = _DETERMINATIONS.findall(recorded.value or b"")
        decided = [line.answer.determination.encode() for line in found.outcome.lines] if found is not None else []
        if says != decided:
            self.counts.beside["recorded otherwise than its own document decides: see `dli replay verify`"] += 1

    def _count(self, record: Record, request: RequestParts, changes: Sequence[LineChange], *, evidence: bool) -> None:
        counts = self.counts
        business = request.line_of_business
        pairs: dict[Pair, None] = {}
        for line, change in zip(request.service_lines, changes, strict=True):
            pair = (change.kind.value, change.before, change.after)
            counts.lines[pair] += 1
            day = line.service_date
            counts.months[f"{day.year:04}-{day.month:02}", change.kind.value] += 1
            counts.businesses[business, change.kind.value] += 1
            pairs[pair] = None
            if change.kind is not Kind.UNCHANGED:
                rules = (OR.join(change.rules_before), OR.join(change.rules_after))
                counts.rules[(*pair, *rules)] += 1
                self._note(record, request, line.line, change)
        for pair in pairs:
            counts.of_requests[pair] += 1
        whole = weightiest(changes, evidence=evidence)
        counts.requests[whole.value] += 1
        if evidence and whole is Kind.EVIDENCE and all(change.kind is Kind.UNCHANGED for change in changes):
            counts.beside["with the same lines, and other facts, statements or deadline behind them"] += 1
            self._note(record, request, None, None)

    def _note(self, record: Record, request: RequestParts, line: int | None, change: LineChange | None) -> None:
        self._findings.add(
            {
                "kind": change.kind.value if change is not None else Kind.EVIDENCE.value,
                "from": change and change.before,
                "to": change and change.after,
                "rules_before": change and change.rules_before,
                "rules_after": change and change.rules_after,
                "topic": record.topic,
                "partition": record.partition,
                "offset": record.offset,
                "line": line,
                "request_id": request.request_id if self._plan.request_ids else None,
            }
        )

    # --- saving and resuming ---

    def state(self) -> dict[str, Any]:
        """The findings so far."""
        if self._publisher is not None:
            self._publisher.flush()  # what is reported as done has been delivered
        return {
            "size": self._findings.size(),
            "tally": self.counts.as_json(),
            "damages": sorted(self._damages),
            "published": self.published,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from saved findings."""
        self.counts = ChangeCounts.of(state["tally"])
        self.published = state["published"]
        self._damages = {(topic, first, last) for topic, first, last in state["damages"]}

    def _determined(self, policy: Policy, request: RequestParts) -> PlannedResult | None:
        plan = self._plans.get(policy)
        if plan is None:
            plan = self._plans[policy] = DecisionPlan(policy)
        try:
            return plan.decide(request)
        except ClinicalViolationError:
            return None
