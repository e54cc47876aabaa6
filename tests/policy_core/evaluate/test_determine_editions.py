"""One request under several editions of a policy: each line by its own, and in what order they are told."""

import random
from datetime import date

import pytest

from policy_core.document.models import Edition
from policy_core.evaluate.determine import Policy
from tests.support.cases import case, decided, line, packaged

DAYS = tuple(date(2017 + at // 12, 1 + at % 12, 1) for at in range(24))
"""First days of editions that say again what the newest one says."""


def of_many_editions() -> Policy:
    """The packaged policy with an edition for each month of two years."""
    document = packaged().document
    again = tuple(Edition(since=day, on_record=True, says="The statements are as they were.") for day in DAYS)
    return Policy(document.model_copy(update={"editions": (*document.editions, *again)}))


@pytest.mark.parametrize("seed", range(3))
def test_editions_are_told_by_date_whatever_the_lines_order(seed: int) -> None:
    """A request whose lines fall under many editions gets their findings by date, so its bytes are always the same."""
    lines = [line(day.isoformat()) for day in DAYS]
    random.Random(seed).shuffle(lines)

    found = decided(case(*lines, has_prior_authorization=True), of_many_editions())

    assert [one.since for one in found.findings] == list(DAYS)
    assert [one.answer.edition for one in found.lines] == [one.service_date for one in lines]


def test_each_line_is_decided_under_the_edition_of_its_day() -> None:
    """Lines of one request under two editions are answered each as alone; an edition that no line asks is not told."""
    days = ["2016-03-08", "2016-03-07", "2011-08-11", "2011-08-10", "2024-06-10"]

    together = decided(case(*map(line, days), has_prior_authorization=True))
    alone = [decided(case(line(day), has_prior_authorization=True)).lines[0] for day in days]

    assert list(together.lines) == alone
    assert [str(one.since) for one in together.findings] == ["2011-08-11", "2016-03-08"]
