"""The times of a revision, held against the broker's: notice of a change, and what reaches into the past."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_core.history.chain import chain_of
from policy_core.history.publication_terms import Anchor, Terms
from policy_core.publications.publication import Publication, publication
from tests.support.cases import packaged
from tests.support.chains import OTHER, revised
from tests.support.signed_revisions import KNOWN, OFFICE, TERMS, judged, ring, seen, signed, why
from workers.policies.revision_events import Judging, Outcome, Packaged, judge

TODAY = date(2026, 11, 26)
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
"""When the broker takes each."""
DAY = timedelta(days=1)
OPEN = Terms()
"""Whoever may write is trusted; what their records say of time is not."""


def dated(day: date, published: datetime = NOON, effective: date | None = None, **fields: Any) -> Publication:
    document = revised(day=day)
    return publication(document, OTHER.known_through, author=OFFICE, effective=effective, published=published, **fields)


@pytest.mark.parametrize("terms", [OPEN, TERMS], ids=["open", "signed"])
@pytest.mark.parametrize(
    ("one", "path", "message"),
    [
        (
            dated(TODAY, NOON + DAY + timedelta(seconds=1)),
            "published",
            "is later than the broker took it, 2026-11-26T12",
        ),
        (dated(TODAY, datetime(9900, 12, 30, tzinfo=UTC)), "published", "by more than a day"),
        (dated(date(9998, 12, 31)), "revision", "9998-12-31 lies further ahead than notice is given of a change here"),
        (dated(TODAY + 181 * DAY), "revision", "lies further ahead than notice is given of a change here, 180 days"),
        (dated(TODAY, effective=TODAY + 181 * DAY), "effective", "lies further ahead than notice is given"),
    ],
)
def test_no_date_lies_further_ahead_than_the_notice_of_a_change(
    terms: Terms, one: Publication, path: str, message: str
) -> None:
    found, said = why(judged(signed(one), terms))

    assert (found, message in said) == (path, True), said


@pytest.mark.parametrize("terms", [OPEN, TERMS], ids=["open", "signed"])
@pytest.mark.parametrize(
    "one",
    [
        dated(TODAY),
        dated(TODAY, NOON + DAY, TODAY + DAY),
        dated(TODAY + 180 * DAY),
        dated(TODAY - 30 * DAY, effective=TODAY),
        dated(TODAY - DAY, NOON - DAY),
        dated(TODAY - 300 * DAY, retroactive=True),
    ],
    ids=["today", "a clock ahead", "notice", "a review of before, from today", "a day on its way", "retroactive"],
)
def test_a_change_with_notice_or_marked_retroactive_is_accepted(terms: Terms, one: Publication) -> None:
    """A change that gives notice, or that says that it reaches back, is accepted."""
    assert judged(signed(one), terms).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    "one",
    [
        dated(TODAY - DAY),
        dated(TODAY - 600 * DAY),
        # Who backdates when it was published hides nothing: the broker knows when it came.
        dated(TODAY - 600 * DAY, NOON - 600 * DAY),
    ],
    ids=["yesterday", "twenty months ago", "backdated"],
)
def test_a_retroactive_change_must_say_so_under_its_signature(one: Publication) -> None:
    """A change that reaches into the past must say so under its signature."""
    path, said = why(judged(signed(one)))

    assert (path, "lies in the past, and it does not say `retroactive`" in said) == ("effective", True)
    later = replace(one, retroactive=True)
    assert later.digest != one.digest, "the word is signed"
    assert judged(signed(later)).outcome is Outcome.ACCEPTED
    stolen = replace(later, signature=signed(one).signature)
    assert why(judged(stolen))[0] == "signature"


def test_without_notice_a_revision_is_of_today_at_most() -> None:
    strict = Terms(notice=timedelta(0))

    assert judged(dated(TODAY), strict).outcome is Outcome.ACCEPTED
    assert why(judged(dated(TODAY + DAY), strict))[0] == "revision"


def test_a_date_that_is_refused_blocks_nothing() -> None:
    judging = Judging(OPEN, [OTHER])
    for offset, one in enumerate(OTHER):
        judging.take(seen(one, offset))
    bad, good = dated(date(9998, 12, 31), datetime(9900, 12, 30, tzinfo=UTC)), dated(TODAY)

    assert why(judging.take(seen(bad, 4)))[0] == "published"
    assert judging.take(seen(good, 5)).outcome is Outcome.ACCEPTED


def test_accepted_and_packaged_publications_keep_their_times() -> None:
    """What was accepted before the anchor, and what a release packaged, keeps its times."""
    far = dated(date(9998, 12, 31), datetime(9900, 12, 30, tzinfo=UTC))
    for terms in (Terms(None, Anchor(7, far.digest)), Terms(ring(), Anchor(7, far.digest))):
        assert judge(KNOWN, terms, Packaged(), seen(far, 7)).outcome is Outcome.ACCEPTED
        assert judge(KNOWN, terms, Packaged(), seen(far, 8)).outcome is Outcome.REFUSED
    # A year before any of them was published.
    early = round(datetime(1997, 1, 1, tzinfo=UTC).timestamp() * 1000)
    judging = Judging(OPEN, ())
    outcomes = {judging.take(seen(one, at, early)).outcome for at, one in enumerate(chain_of(packaged().document))}
    assert outcomes == {Outcome.ACCEPTED}


@settings(deadline=None)  # each is a document of its own, proved
@given(
    st.integers(-900, 400).map(lambda days: TODAY + days * DAY),
    st.integers(-900, 400).map(lambda days: NOON + days * DAY),
    st.booleans(),
)
def test_only_a_change_within_notice_is_accepted(day: date, published: datetime, retroactive: bool) -> None:
    """An accepted change lies within the notice period and reaches back only where it says so."""
    one = dated(max(day, date(2025, 1, 1)), max(published, datetime(2025, 1, 1, tzinfo=UTC)), retroactive=retroactive)
    accepted = judged(signed(one)).outcome is Outcome.ACCEPTED

    ahead = one.published > NOON + DAY or one.revision > TODAY + 180 * DAY
    back = one.effective < max(one.published, NOON - DAY).date()
    assert accepted == (not ahead and (retroactive or not back))
