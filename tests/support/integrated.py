"""The integration agents and the decision agent without a broker: what each sends is what the next one gets."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from events.adapters.partner import Partner
from events.adapters.submission import Format
from events.topics import (
    CHAINS,
    CONTEXTS,
    DEAD_LETTERS,
    DECISIONS,
    INTEGRATION_EVENTS,
    PAS_REQUESTS,
    PAS_RESPONSES,
    REQUESTS,
    SUBMISSIONS,
    X12_REQUESTS,
    X12_RESPONSES,
)
from tests.support.decisions import library
from tests.support.requests import Remembering
from workers.accounts.platform_account import PlatformAccount, platform_account
from workers.accounts.tally import Tallied, Tally
from workers.configuration.settings import Settings
from workers.decide.handler import DecisionHandler
from workers.integration.answer_platforms import AnswerPlatforms
from workers.integration.forward_answers import ForwardAnswers
from workers.integration.partners import Partners
from workers.integration.read_messages import ReadMessages
from workers.integration.resolve_traces import ResolveTraces
from workers.kafka.lag import Lag, Look
from workers.kafka.reader import Extent
from workers.kafka.records import Headers, OutgoingRecord, Record

AT = 1_748_900_000_000
RAW: dict[Format, str] = {"pas": PAS_REQUESTS, "x12-278": X12_REQUESTS}


class Integrated:
    """One partition of everything."""

    def __init__(self, *partners: Partner) -> None:
        settings = Settings()
        self.settings = settings
        self.log: dict[str, list[Record]] = defaultdict(list)
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._stored: dict[str, dict[bytes, bytes]] = {CHAINS: {}, CONTEXTS: {}}
        known = Partners(partners)
        self._memory = Remembering()
        decide = DecisionHandler(library(), settings, self._memory)
        self._handlers: dict[str, Callable[[Sequence[Record]], Sequence[OutgoingRecord]]] = {
            PAS_REQUESTS: ReadMessages("pas", known, settings),
            X12_REQUESTS: ReadMessages("x12-278", known, settings),
            SUBMISSIONS: ResolveTraces(settings, lambda _, key: self._stored[CHAINS].get(key)),
            REQUESTS: lambda records: self._decided(decide(records)),
            DECISIONS: ForwardAnswers("decision", settings),
            DEAD_LETTERS: ForwardAnswers("dead_letter", settings),
            INTEGRATION_EVENTS: AnswerPlatforms(settings, lambda _, key: self._stored[CONTEXTS].get(key)),
        }
        self._done: Counter[str] = Counter()

    def _decided(self, sent: Sequence[OutgoingRecord]) -> Sequence[OutgoingRecord]:
        for one in sent:
            if one.topic == self.settings.topic("authorization.answered"):
                self._memory.take([one._replace(topic="t.authorization.answered")])
        return sent

    def send(self, form: Format, message: bytes, *headers: tuple[str, bytes | None]) -> None:
        """A platform publishes a message."""
        self.append(RAW[form], b"", message, headers)

    def append(self, topic: str, key: bytes, value: bytes | None, headers: Headers = ()) -> None:
        """Append a record to a topic."""
        log = self.log[topic]
        log.append(Record(topic, 0, len(log), AT + len(log), key, value, headers))

    def step(self, topic: str, at_most: int = 1_000) -> bool:
        """Let a topic's handler take a batch; whether there was one."""
        waiting = self.log[topic][self._done[topic] : self._done[topic] + at_most]
        if not waiting:
            return False
        sent = self._handlers[topic](waiting)
        self._done[topic] += len(waiting)
        if isinstance(sent, Tallied):
            self.counts[topic].update(sent.counts)
        for one in sent:
            if one.topic in self._stored:
                self._stored[one.topic][one.key] = one.value
            self.append(one.topic, one.key, one.value, one.headers)
        return True

    @property
    def topics(self) -> list[str]:
        """Those that have a handler."""
        return list(self._handlers)

    def account(self) -> PlatformAccount:
        """The account of what was done so far, as the notes of offsets have it."""
        lags = []
        for topic in self.topics:
            done, waiting = self._done[topic], len(self.log[topic]) - self._done[topic]
            note = Tally(0, done, self.counts[topic]).note()
            extent = Extent(0, done + waiting, done + waiting)
            lags.append(Lag(self.settings.integration_id, topic, 0, done, note, extent, waiting, 0.0))
        found = platform_account(Look(lags, {}, {}, {}), self.settings)
        assert found is not None
        return found

    def settle(self) -> None:
        """Let everybody work until nothing is left."""
        while any(self.step(topic) for topic in self.topics):
            pass

    @property
    def responses(self) -> list[Record]:
        """All answers to platforms, by format."""
        return [*self.log[PAS_RESPONSES], *self.log[X12_RESPONSES]]
