"""The shadow: a draft policy also decides each request, and differences from the policy in force are published.

It cannot affect a decision: it runs after the decision is made, and its failures are only counted. The comparison is
the same as that of `dli replay what-if`.
"""

import structlog

from events.answer import Wrapping, of_draft, wrapped
from events.envelope import Cause
from events.shadow import ShadowDifference, difference_id
from events.topics import SHADOW
from policy_core.compare.strictness import Comparer, Kind, LineChange, undecided, weightiest
from policy_core.document.problems import PolicyDocumentError, Problem
from policy_core.evaluate.determine import Policy
from policy_core.evaluate.facts import ClinicalViolationError
from policy_core.evaluate.plan import Plan, PlannedResult
from policy_core.history.library import Library
from policy_core.loading.load import load
from workers.accounts.batch_counters import BatchCounters
from workers.configuration.settings import Settings
from workers.decide.outcome import Decided
from workers.kafka.records import OutgoingRecord, Record
from workers.process.logs import frames

log = structlog.get_logger(__name__)

FAILED = "failed"
LARGEST = 900_000
"""Largest event in bytes: a draft that exceeds it has excessively many rules."""


class TooLargeError(Exception):
    """A draft's event is larger than `LARGEST`."""


def shadow_of(settings: Settings, library: Library) -> "Shadow | None":
    """The shadow that the settings configure, if any.

    Raises:
        PolicyDocumentError: The draft is invalid, or no policy of its number is loaded.
    """
    if settings.shadow_policy is None:
        return None
    draft = Policy(load(settings.shadow_policy))
    if draft.number not in library.numbers:
        message = f"DLI_SHADOW_POLICY is a draft of `{draft.number}`, but loaded are {', '.join(library.numbers)}"
        raise PolicyDocumentError(str(settings.shadow_policy), [Problem(("number",), message)])
    return Shadow(draft, settings)


class Shadow:
    """A draft policy evaluated after each decision."""

    def __init__(self, draft: Policy, settings: Settings) -> None:
        """Evaluate `draft` in addition."""
        self.draft = draft
        self._settings = settings
        self._comparer = Comparer()
        self._plan = Plan(draft)
        self._logged: set[tuple[str, ...]] = set()

    def differences(
        self, record: Record, cause: Cause | None, decided: Decided, counters: BatchCounters
    ) -> list[OutgoingRecord]:
        """The event that says how the draft's result differs; none if it is the same.

        Never raises: failures are counted in `counters`, and logged once each.
        """
        if decided.policy.number != self.draft.number:
            return []
        try:
            kind, changes = self._compared(decided)
            sent = [] if kind is Kind.UNCHANGED else [self._event(record, cause, decided, kind, changes)]
        except Exception as error:  # noqa: BLE001 (a draft may fail in any way and must not affect the decision)
            counters.shadow[FAILED] += 1
            self._log_once(error)
            return []
        counters.shadow[kind.value] += 1
        counters.shadow_lines.update(
            (change.kind.value, change.before, change.after) for change in changes if _differs(change)
        )
        return sent

    def _compared(self, decided: Decided) -> tuple[Kind, list[LineChange]]:
        before, after = decided.result, self._determined(decided)
        if after is None:
            changes, evidence = undecided(before, None, len(before.outcome.lines)), False
        else:
            changes = self._comparer.lines(before, after)
            evidence = self._comparer.evidence(before, after)
        return weightiest(changes, evidence=evidence), changes

    def _determined(self, decided: Decided) -> PlannedResult | None:
        try:
            return self._plan.decide(decided.request)
        except ClinicalViolationError:
            return None

    def _event(
        self, record: Record, cause: Cause | None, decided: Decided, kind: Kind, changes: list[LineChange]
    ) -> OutgoingRecord:
        request = decided.request
        lines = [
            {
                "line": line.line,
                "kind": change.kind.value,
                "from": change.before,
                "to": change.after,
                "rules_before": change.rules_before,
                "rules_after": change.rules_after,
            }
            for line, change in zip(request.service_lines, changes, strict=True)
            if _differs(change)
        ]
        fields = {
            "request_id": request.request_id,
            "decision_id": decided.encoded.decision_id,
            "policy_number": self.draft.number,
            "sha256": decided.policy.sha256,
            "known_through": decided.policy.known_through,
            "draft_sha256": self.draft.sha256,
            "kind": kind.value,
            "lines": tuple(lines),
        }
        data = ShadowDifference.model_validate(fields).to_json()
        settings = self._settings
        mark, event_id = of_draft(self.draft.sha256), difference_id(data)
        time = request.submitted
        wrapping = Wrapping(
            settings.source, settings.mode, ShadowDifference.TYPE, event_id, request.request_id, time, mark=mark
        )
        value, headers = wrapped(data, record.position, cause, wrapping)
        if len(value) > LARGEST:
            raise TooLargeError
        return OutgoingRecord(settings.topic(SHADOW), request.request_id.encode(), value, headers)

    def _log_once(self, error: Exception) -> None:
        # The place of the failure, never its message, which may contain personal data.
        at = (type(error).__name__, *frames(error))
        if at not in self._logged:
            self._logged.add(at)
            log.error("shadow_failed", policy=self.draft.number, draft=self.draft.sha256, error=at[0], at=list(at[1:]))


def _differs(change: LineChange) -> bool:
    return change.kind is not Kind.UNCHANGED
