"""The account of verdicts: every one consumed has one outcome, is held, or is on its way; else it is missing."""

from collections.abc import Mapping

import pytest

from events.topics import CASE_EVENTS, LEDGER, VERDICTS
from workers.accounts.accounts_text import review_sentence
from workers.accounts.review_account import ReviewAccount, review_account
from workers.accounts.tally import Tally
from workers.configuration.settings import Settings
from workers.kafka.lag import Lag, Look
from workers.kafka.reader import Extent

FOUND = Settings(topic_prefix="")


def lag(topic: str, partition: int, consumed: int, counts: Mapping[str, int], waiting: int = 0) -> Lag:
    note = Tally(0, consumed, counts).note()
    return Lag(FOUND.app_id, topic, partition, consumed, note, Extent(0, consumed, consumed), waiting, 0.0)


def account(*lags: Lag) -> ReviewAccount:
    return review_account(Look(list(lags), {}, {}, {}), FOUND)


BALANCED = (
    lag(VERDICTS, 0, 7, {"routed": 6, "refused": 1}),
    lag(VERDICTS, 1, 3, {"routed": 3}),
    lag(LEDGER, 0, 40, {"came": 9, "went": 7, "unknown": 1}),
    lag(CASE_EVENTS, 0, 90, {"final": 2, "partial": 1, "opened": 20, "closed": 15}),
    lag(CASE_EVENTS, 1, 90, {"extended": 1, "refused": 2, "duplicate": 1, "opened": 10, "closed": 2}),
)


def test_every_verdict_has_one_outcome_or_is_held() -> None:
    found = account(*BALANCED)
    assert (found.final, found.partial, found.extended, found.refused, found.duplicates) == (2, 1, 1, 4, 1)
    assert (found.consumed, found.held, found.on_their_way, found.missing) == (10, 1, 0, 0)
    assert (found.opened, found.closed, found.open, found.problem) == (30, 17, 13, None)
    assert review_sentence(found).startswith("verdicts: 10 consumed = 2 final + 1 partial + 1 extended + 4 refused")


@pytest.mark.parametrize("topic", [LEDGER, CASE_EVENTS])
def test_what_is_routed_and_not_read_yet_is_on_its_way(topic: str) -> None:
    lost = {LEDGER: {"came": 8, "went": 7}, CASE_EVENTS: {"partial": 0, "final": 2}}[topic]
    kept = [one for one in BALANCED if one.topic != topic or one.partition]
    counts = lost if topic == LEDGER else {"final": 2, "opened": 20, "closed": 15}
    waits = account(*kept, lag(topic, 0, 9, counts, waiting=1))
    assert (waits.on_their_way, waits.missing, waits.problem) == (1, 0, None)
    missing = account(*kept, lag(topic, 0, 9, counts))
    assert (missing.on_their_way, missing.missing) == (0, 1)
    assert missing.problem is not None
    assert "≠" in review_sentence(missing)


def test_two_outcomes_of_one_verdict_show() -> None:
    twice = account(*BALANCED[:3], lag(CASE_EVENTS, 0, 9, {"final": 8}, waiting=4))
    assert twice.missing == -1
    assert twice.problem is not None


def test_an_unused_group_balances() -> None:
    assert account().problem is None
