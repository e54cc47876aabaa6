"""Keeps the accounts and metrics of the decision handler's partitions; both cover only what Kafka has."""

import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from workers.accounts.account import Account, read_note
from workers.accounts.batch_counters import Answers, BatchCounters
from workers.kafka.records import BatchReport, Lost, OutgoingRecord, PartitionListener, Record
from workers.process import metrics

log = structlog.get_logger(__name__)


class AccountingListener(PartitionListener):
    """Keeps the accounts and updates the metrics; delegates the rest to the wrapped listener.

    Args:
        memory: The wrapped listener.
        decisions: The topic of decisions.
        dead_letters: The topic of dead letters.
        clock: Seconds since the epoch; for latencies only, not for decisions.
    """

    def __init__(
        self, memory: PartitionListener, decisions: str, dead_letters: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._memory = memory
        self.first = memory.first
        self._decisions = decisions
        self._dead_letters = dead_letters
        self._clock = clock
        self._accounts: dict[int, Account] = {}
        self._noted: dict[int, Account] = {}

    async def assigned(self, partition: int, start: int) -> None:
        """Bring the memory up to date, and record the duration."""
        with metrics.RECOVERY.labels("answered").time():
            await self._memory.assigned(partition, start)

    def resumed(self, partition: int, offset: int, note: str) -> None:
        """Continue the committed account, or open a new one."""
        self._memory.resumed(partition, offset, note)
        account = read_note(note)
        if account is None:
            account = Account(offset)
            log.info("account_opened", partition=partition, offset=offset)
        self._accounts[partition] = account

    def passing_over(self, partition: int, lost: Lost) -> str:
        """The account including the lost records."""
        self._memory.passing_over(partition, lost)
        noted = self._noted[partition] = self._accounts[partition].losing(lost)
        return noted.note()

    def passed_over(self, partition: int, lost: Lost) -> None:
        """Count the lost requests."""
        self._accounts[partition] = self._noted.pop(partition)
        metrics.REQUESTS_LOST.inc(lost.count)
        self._memory.passed_over(partition, lost)

    def note(self, partition: int, records: Sequence[Record], outputs: Sequence[OutgoingRecord]) -> str:
        """The account including this batch."""
        topics = [output.topic for output in outputs]
        counters = outputs.counters if isinstance(outputs, Answers) else BatchCounters()
        noted = self._noted[partition] = self._accounts[partition].after(
            len(records),
            topics.count(self._decisions),
            counters.duplicates,
            topics.count(self._dead_letters),
            counters.under,
        )
        return noted.note()

    def after_commit(
        self, partition: int, records: Sequence[Record], outputs: Sequence[OutgoingRecord], ends: Mapping[str, int]
    ) -> None:
        """Publish the batch's counters, then notify the memory."""
        self._accounts[partition] = self._noted.pop(partition)
        now = self._clock() * 1000
        # -1 means no timestamp: the latency is unknown.
        dated = [record.timestamp for record in records if record.timestamp >= 0]
        metrics.END_TO_END.observe_many([max(now - timestamp, 0) / 1000 for timestamp in dated])
        metrics.REQUESTS.inc(len(records))
        metrics.COMMITS.inc()
        if isinstance(outputs, Answers):
            outputs.counters.publish()
        self._memory.after_commit(partition, records, outputs, ends)

    def on_batch(self, report: BatchReport) -> None:
        """Record the batch's durations."""
        metrics.EVALUATION.observe_many([report.handler_seconds / report.records] * report.records)
        metrics.DELIVERY.observe(report.delivery_seconds)
        self._memory.on_batch(report)

    def failed(self, partition: int, stage: str, error: BaseException) -> None:
        """Count the error by its type, never its message."""
        metrics.ERRORS.labels(stage, type(error).__name__).inc()
        if stage == "deliver":
            metrics.COMMIT_FAILURES.inc()
        self._memory.failed(partition, stage, error)

    def revoked(self, partition: int) -> None:
        """Drop the partition's account: its next owner reads it from the broker."""
        self._accounts.pop(partition, None)
        self._noted.pop(partition, None)
        self._memory.revoked(partition)
