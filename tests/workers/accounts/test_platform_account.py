"""The account of platforms' messages: each has one outcome or is on its way; else it is missing."""

from collections.abc import Mapping

import pytest

from events.topics import DEAD_LETTERS, DECISIONS, INTEGRATION_EVENTS, PAS_REQUESTS, SUBMISSIONS, X12_REQUESTS
from workers.accounts.accounts_text import platform_line, platform_sentence
from workers.accounts.platform_account import PlatformAccount, platform_account
from workers.accounts.tally import Tally
from workers.configuration.settings import Settings
from workers.kafka.lag import Lag, Look
from workers.kafka.reader import Extent
from workers.monitoring.exporter import of_platforms

FOUND = Settings(topic_prefix="")


def lag(topic: str, consumed: int, counts: Mapping[str, int], waiting: int = 0, partition: int = 0) -> Lag:
    note, extent = Tally(0, consumed, counts).note(), Extent(0, consumed + waiting, consumed + waiting)
    return Lag(FOUND.integration_id, topic, partition, consumed, note, extent, waiting, 0.0)


BALANCED = {
    PAS_REQUESTS: lag(PAS_REQUESTS, 8, {"submitted": 6, "refused": 2}),
    # Two messages in one record.
    X12_REQUESTS: lag(X12_REQUESTS, 3, {"submitted": 4}, waiting=5, partition=1),
    SUBMISSIONS: lag(SUBMISSIONS, 10, {"requested": 5, "again": 3, "not_known": 1, "refused": 1}),
    DECISIONS: lag(DECISIONS, 70, {"forwarded": 4, "not_ours": 66}),
    DEAD_LETTERS: lag(DEAD_LETTERS, 9, {"forwarded": 1, "not_ours": 8}),
    INTEGRATION_EVENTS: lag(
        INTEGRATION_EVENTS, 13, {"opened": 5, "answered": 4, "refused": 1, "answered_again": 2, "not_answered": 1}
    ),
}


def account(**instead: Lag) -> PlatformAccount:
    lags = {**BALANCED, **{one.topic: one for one in instead.values()}}
    found = platform_account(Look(list(lags.values()), {}, {}, {}), FOUND)
    assert found is not None
    return found


def test_every_message_has_one_outcome() -> None:
    found = account()

    assert found.messages == 12
    assert (found.requested, found.again, found.not_known, found.refused) == (5, 3, 1, 3)
    assert (found.forwarded, found.answered, found.answered_again) == (5, 5, 2)
    assert (found.on_their_way, found.waiting, found.missing, found.problem) == (0, 5, 0, None)
    said = platform_sentence(found)
    assert said.startswith("platforms: 12 messages = 5 requested + 3 again + 1 not known + 3 refused + 0 on their way")
    assert '"problem": null' in platform_line(found)


@pytest.mark.parametrize("topic", [SUBMISSIONS, INTEGRATION_EVENTS])
def test_what_is_sent_and_not_read_yet_is_on_its_way(topic: str) -> None:
    counts = {
        SUBMISSIONS: {"requested": 5, "again": 3, "not_known": 1},
        INTEGRATION_EVENTS: {"opened": 5, "answered": 4},
    }

    waits = account(one=lag(topic, 9, counts[topic], waiting=4))
    missing = account(one=lag(topic, 9, counts[topic]))

    assert waits.problem is None
    assert waits.on_their_way > 0
    assert missing.on_their_way == 0
    assert missing.missing == waits.on_their_way
    assert "≠" in platform_sentence(missing)


@pytest.mark.parametrize("topic", [SUBMISSIONS, DECISIONS, INTEGRATION_EVENTS])
def test_a_record_without_an_outcome_is_missing(topic: str) -> None:
    known = BALANCED[topic]
    tally = {SUBMISSIONS: "refused", DECISIONS: "not_ours", INTEGRATION_EVENTS: "not_answered"}[topic]
    note = known.note.replace(f" {tally}=", " strange=")

    assert account(one=known._replace(note=note)).problem is not None


def test_an_answer_that_was_not_written_is_said() -> None:
    """It is a dead letter with an alert of its own; the account balances, or it never would again."""
    counts = {"opened": 5, "answered": 4, "refused": 1, "answered_again": 2, "undelivered": 1}

    found = account(one=lag(INTEGRATION_EVENTS, 13, counts))

    assert found.problem is None
    assert platform_sentence(found).endswith("2 answered again, 1 undelivered")


def test_there_is_no_account_where_no_platforms_format_is_spoken() -> None:
    assert platform_account(Look([], {}, {}, {}), FOUND) is None
    assert list(of_platforms(None)) == []


def test_the_metrics_say_the_same() -> None:
    found = {family.name: family.samples for family in of_platforms(account())}

    counts = {one.labels["outcome"]: one.value for one in found["dli_platform_account_messages"]}
    assert (counts["messages"], counts["answered"], counts["missing"]) == (12, 5, 0)
    [balanced] = found["dli_platform_account_balanced"]
    assert balanced.value == 1
