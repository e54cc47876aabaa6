"""Corrections: what was published and was wrong is taken back, and stays known for what was decided under it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_core.document.models import PolicyDocument
from policy_core.history.chain import Chain, PublicationRefusedError, policy_of, stood
from policy_core.history.library import Library
from policy_core.publications.publication import Publication, publication
from tests.support.chain_corrections import AT, PUBLISHED, WRONG, correction, withdrawal
from tests.support.chains import NEW, OTHER, early, gestational_covered, revised

LAST = OTHER.links[-1]


# --- both readings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", [NEW, NEW - timedelta(days=20)], ids=["the same date", "an earlier date"])
def test_a_correction_replaces_its_target_and_both_stay_known(day: date) -> None:
    """A correction takes the place of what it corrects, and both stay known."""
    one = correction(day=day, effective=day)
    chain = PUBLISHED.accept(one)

    assert [link.digest for link in chain] == [*(link.digest for link in OTHER), WRONG.digest, one.digest]
    assert chain.standing == (*OTHER.links, one)
    assert chain.taken_back == {WRONG.digest: one.digest}
    assert (chain.of(day), chain.in_force(day), chain.newest) == (one, one, one)
    assert chain.of(NEW) == (one if day == NEW else None)


def test_the_two_times_keep_both_readings_apart() -> None:
    one = correction()
    chain = PUBLISHED.accept(one)
    services = (LAST.revision, NEW + timedelta(days=30))
    before, between, after = (chain.as_known_at(at) for at in (AT - timedelta(1), AT, one.published))

    assert [before.in_force(day) for day in services] == [LAST, LAST]
    assert [between.in_force(day) for day in services] == [LAST, WRONG]
    assert [after.in_force(day) for day in services] == [LAST, one]


def test_interim_decisions_repeat_under_what_was_known_then() -> None:
    """What was decided in the meantime is decided again under what was known then."""
    chain = PUBLISHED.accept(correction())
    library = Library([policy_of(OTHER.links[-1])], OTHER.policy, {OTHER.policy: OTHER}).knowing_also(chain)

    assert library[OTHER.policy].known_through == chain.known_through
    meanwhile = library.knowing(OTHER.policy, WRONG.digest)
    assert meanwhile is not None
    assert (meanwhile.known_through, meanwhile.sha256) == (WRONG.digest, WRONG.sha256)


def test_what_is_withdrawn_leaves_what_stood_before_it() -> None:
    one = withdrawal()
    chain = PUBLISHED.accept(one)

    assert chain.standing == OTHER.links
    assert (chain.newest, chain.taken_back) == (one, {WRONG.digest: one.digest})
    assert chain.in_force(NEW) == LAST
    again = publication(revised(gestational_covered), chain.known_through, published=AT + timedelta(days=10))
    assert chain.accept(again).standing == (*OTHER.links, again), "and it may be published once more"


def test_a_correction_takes_back_all_that_follows_its_target() -> None:
    """Everything behind a corrected publication is taken back with it."""
    later = publication(revised_twice(), PUBLISHED.known_through, published=AT + timedelta(days=1))
    chain = PUBLISHED.accept(later)
    one = correction(chain=chain)
    corrected = chain.accept(one)

    assert corrected.standing == (*OTHER.links, one)
    assert corrected.taken_back == {WRONG.digest: one.digest, later.digest: one.digest}


def revised_twice() -> PolicyDocument:
    tree = WRONG.document.model_dump(mode="json", by_alias=True)
    tree["revisions"].append({"date": "2025-07-01", "kinds": ["review"], "says": "Reviewed.", "cites": []})
    return PolicyDocument.model_validate(tree, strict=False)


def test_a_correction_can_be_corrected() -> None:
    """A correction can itself be corrected, and the chain goes on behind it."""
    first = correction(effective=NEW)
    second = correction(gestational_covered, chain=PUBLISHED.accept(first), of=first, published=AT + timedelta(days=11))
    chain = PUBLISHED.accept(first).accept(second)
    following = publication(revised_twice(), chain.known_through, published=AT + timedelta(days=12))

    assert chain.standing == (*OTHER.links, second)
    assert chain.accept(following).standing == (*OTHER.links, second, following)


def test_a_far_future_date_from_the_past_can_be_taken_back() -> None:
    """A far-future date that was accepted before dates were bounded can be taken back."""
    far = publication(
        revised(day=date(9998, 12, 31)), OTHER.known_through, published=datetime(9998, 12, 30, tzinfo=UTC)
    )
    blocked = OTHER.accept(far)
    with pytest.raises(PublicationRefusedError, match="reaches into the past"):
        blocked.accept(publication(revised(), far.digest, published=AT))

    for one in (correction(chain=blocked, of=far), withdrawal(blocked, far)):
        chain = blocked.accept(one)
        assert chain.standing[: len(OTHER)] == OTHER.links
        assert chain.as_known_at(one.published).newest == one


def test_a_correction_may_be_of_its_predecessors_moment() -> None:
    """Two publications that take something back at one moment continue the chain, the one behind the other."""
    first = withdrawal()
    chain = PUBLISHED.accept(first)
    second = withdrawal(chain, of=LAST)
    assert (first.published, chain.newest in chain.standing) == (second.published, False)

    assert chain.accept(second).standing == OTHER.links[:-1]
    with pytest.raises(PublicationRefusedError, match="is before its predecessor was published"):
        chain.accept(replace(second, published=first.published - timedelta(seconds=1)))


# --- what is refused -----------------------------------------------------------------------------------------------


def another_history(tree: dict[str, Any]) -> None:
    tree["revisions"][0]["says"] = "Otherwise."


SECOND, FIRST = PUBLISHED.accept(correction()), Chain("EV-12")
TOO_LATE, TOO_EARLY = correction(day=NEW + timedelta(days=1)), correction(day=LAST.revision + timedelta(days=-1))
REFUSED = [
    ("what nobody knows", PUBLISHED, correction(corrects="0" * 64), "corrects", "is no revision that stands"),
    ("what is taken back", SECOND, correction(early, chain=SECOND), "corrects", "was taken back by"),
    ("a later date", PUBLISHED, TOO_LATE, "revision", "is after 2025-06-01, which it corrects"),
    ("a gap", PUBLISHED, correction(predecessor=LAST.digest), "predecessor", "forks the chain"),
    ("a date before what stands", PUBLISHED, TOO_EARLY, "revision", "reaches beyond what it corrects: before that"),
    ("another history", PUBLISHED, correction(another_history), "document.revisions", "an earlier entry"),
    ("answers before its day", PUBLISHED, correction(early), "document", "reaches into the past"),
    ("a first", FIRST, replace(OTHER.links[0], corrects="0" * 64), "corrects", "nothing of EV-12 is known"),
]


@pytest.mark.parametrize(("chain", "one", "path", "message"), [o[1:] for o in REFUSED], ids=[o[0] for o in REFUSED])
def test_what_corrects_nothing_that_stands_is_refused(chain: Chain, one: Publication, path: str, message: str) -> None:
    with pytest.raises(PublicationRefusedError, match=message) as caught:
        chain.accept(one)

    assert ".".join(map(str, caught.value.path)) == path


def test_a_withdrawal_changes_no_earlier_answer() -> None:
    """A withdrawal changes no answer before the effective date of what it withdraws."""
    with pytest.raises(PublicationRefusedError, match="reaches into the past"):
        PUBLISHED.accept(withdrawal(effective=NEW + timedelta(days=1)))


def test_a_digest_covers_what_its_publication_corrects() -> None:
    """The digest covers what a publication corrects; one that corrects nothing keeps its digest."""
    assert correction().digest != correction(corrects="1" * 64).digest
    assert "corrects" not in WRONG.content()
    assert "retroactive" not in WRONG.content()


@settings(deadline=None)  # no proof here, but many
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=12))
def test_each_link_stands_or_is_taken_back_or_takes_one_back(
    moves: list[tuple[int, bool]],
) -> None:
    """`stood`, of any history of publications, corrections and withdrawals, against a stack."""
    links: list[tuple[str, str, str | None]] = [("d0", "s0", None)]
    stack = [0]
    for number, (target, withdraws) in enumerate(moves, 1):
        at = len(stack) - 1 - target
        if at < 0:
            links.append((f"d{number}", f"s{number}", None))
            stack.append(number)
            continue
        corrected = links[stack[at]][0]
        del stack[at:]
        if withdraws and stack:
            links.append((f"d{number}", links[stack[-1]][1], corrected))
        else:
            links.append((f"d{number}", f"s{number}", corrected))
            stack.append(number)

    found = stood(links)

    assert found.standing == stack
    assert not set(found.standing) & set(found.taken_back)
    took = set(found.taken_back.values())
    assert set(range(len(links))) == set(found.standing) | set(found.taken_back) | took
    assert all(gone < by for gone, by in found.taken_back.items())
