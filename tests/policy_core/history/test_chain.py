"""The chain of publications: what it accepts, what it refuses and with which sentence, and what was known when."""

from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
import rfc8785

from policy_core.document.models import PolicyDocument, RevisionKind
from policy_core.evaluate.determine import Policy
from policy_core.history.chain import Chain, PublicationRefusedError, chain_of, policy_of
from policy_core.loading.document_at_revision import as_of
from policy_core.publications.publication import Publication, publication, publications
from tests.support.cases import case, first_line, line, other, packaged, with_fact
from tests.support.chains import OTHER, REFUSED, gestational_covered, next_one, revised
from tests.support.packaged import packaged_library

# --- what is accepted ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [packaged(), other()], ids=lambda one: one.number)
def test_a_packaged_documents_history_is_a_valid_chain(policy: Policy) -> None:
    """The history inside a packaged document is a chain that accepts itself."""
    chain = Chain(policy.number)
    for one in publications(policy.document):
        chain = chain.accept(one)

    assert [one.revision for one in chain] == [one.date for one in policy.document.revisions]
    assert chain.links[-1].sha256 == policy.sha256
    assert chain.known_through == policy.known_through == chain_of(policy.document).known_through


def test_a_revision_effective_from_its_own_day_is_accepted() -> None:
    """A revision that changes answers from its own day on is accepted."""
    chain = OTHER.accept(next_one(gestational_covered))

    assert len(chain) == len(OTHER) + 1
    assert chain.links[:-1] == OTHER.links


def test_the_same_again_changes_nothing() -> None:
    chain = OTHER.accept(next_one())

    assert chain.accept(next_one()) is chain
    assert OTHER.accept(OTHER.links[1]) is OTHER


def test_a_correction_reaches_back_only_to_its_predecessor() -> None:
    """A correction may reach back to its predecessor's effective date and no further."""

    def corrected(tree: dict[str, Any]) -> None:
        [rule] = [rule for rule in tree["rules"] if rule["id"] == "untrained"]
        rule["outcomes"][0]["reason"] = "not_trained"

    newest = OTHER.links[-1].effective
    chain = OTHER.accept(next_one(corrected, effective=newest))

    assert chain.links[-1].effective == newest
    with pytest.raises(PublicationRefusedError, match="reaches into the past"):
        OTHER.accept(next_one(corrected))


def test_two_publications_of_one_moment_follow_each_other() -> None:
    """A publication of the very moment of its predecessor continues the chain, and both are known from then on."""
    moment = OTHER.links[-1].published
    chain = OTHER.accept(next_one(published=moment))

    assert [one.published for one in chain][-2:] == [moment, moment]
    assert chain.as_known_at(moment) == chain


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "path", "sentence"), [case[1:] for case in REFUSED], ids=[one[0] for one in REFUSED])
def test_a_publication_off_the_chain_is_refused(one: Publication, path: str, sentence: str) -> None:
    """A publication that does not continue the chain is refused with a sentence that says why."""
    chain = OTHER.accept(next_one()) if one.author == "Somebody else" else OTHER
    before = chain.links

    with pytest.raises(PublicationRefusedError, match=sentence) as caught:
        chain.accept(one)

    assert ".".join(map(str, caught.value.path)) == path
    assert chain.links == before


def test_a_date_between_two_revisions_reaches_into_the_past() -> None:
    document = as_of(other().document, date(2022, 1, 15))
    tree = document.model_dump(mode="json", by_alias=True)
    tree["revisions"].append({"date": "2022-06-01", "kinds": ["review"], "says": "Late.", "cites": []})
    late = publication(PolicyDocument.model_validate(tree, strict=False), OTHER.known_through)

    with pytest.raises(PublicationRefusedError, match="2022-06-01 reaches into the past: the newest is of 2023-04-01"):
        OTHER.accept(late)


def test_a_first_publication_names_no_predecessor() -> None:
    with pytest.raises(PublicationRefusedError, match="but nothing of EV-12 is known yet"):
        Chain("EV-12").accept(OTHER.links[1])


# --- the digests ---------------------------------------------------------------------------------------------------


def test_a_digest_covers_document_predecessor_and_metadata() -> None:
    """A digest covers the document, the predecessor and the details stated beside them."""
    first, second = OTHER.links[:2]
    content = {
        "policy": "EV-12",
        "number": "EV-12",
        "document": as_of(other().document, date(2020, 7, 1)).digest(),
        "revision": "2020-07-01",
        "effective": "2020-07-01",
        "kinds": ["statement", "number"],
        "author": "Example Valley Health Plan",
        "published": "2020-07-01T00:00:00Z",
        "predecessor": first.digest,
    }

    assert sha256(rfc8785.dumps(content)).hexdigest() == second.digest


@pytest.mark.parametrize(
    "fields",
    [
        {"policy": "X"},
        {"number": "X"},
        {"sha256": "0" * 64},
        {"revision": date(2025, 6, 2)},
        {"effective": date(2025, 6, 2)},
        {"kinds": (RevisionKind.CODE,)},
        {"author": "X"},
        {"published": datetime(2025, 6, 4, tzinfo=UTC)},
        {"predecessor": "0" * 64},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_whatever_is_changed_changes_the_digest(fields: dict[str, Any]) -> None:
    assert next_one(**fields).digest != next_one().digest


def test_each_publication_names_its_predecessors_digest() -> None:
    digests = [one.digest for one in OTHER]

    assert [one.predecessor for one in OTHER] == [None, *digests[:-1]]
    assert len(set(digests)) == len(digests)


def test_a_revision_published_later_changes_no_digest_before_it() -> None:
    later = chain_of(revised())

    assert [one.digest for one in later][:-1] == [one.digest for one in OTHER]


# --- two times -----------------------------------------------------------------------------------------------------


def test_what_was_known_at_a_moment_is_the_chain_up_to_then() -> None:
    chain = OTHER.accept(next_one(effective=date(2023, 4, 1)))
    published = chain.links[-1].published

    assert chain.as_known_at(published - timedelta(seconds=1)).known_through == OTHER.known_through
    assert chain.as_known_at(published).known_through == chain.known_through
    assert chain.as_known_at(datetime(2017, 12, 31, tzinfo=UTC)).known_through is None
    assert len(chain_of(packaged().document).as_known_at(datetime(2025, 1, 1, tzinfo=UTC))) == 18


def test_the_service_date_selects_among_known_revisions() -> None:
    """The service date selects the revision in force among those that are known."""
    chain = chain_of(packaged().document)
    known = chain.as_known_at(datetime(2025, 1, 1, tzinfo=UTC))
    found = [
        known.in_force(date.fromisoformat(day)) for day in ("1998-07-31", "2016-03-07", "2016-03-08", "2025-06-01")
    ]

    assert [str(one.revision) if one else None for one in found] == [None, "2015-09-18", "2016-03-08", "2024-04-29"]
    newest = chain.in_force(date(2025, 6, 1))
    assert newest is not None
    assert newest.revision == date(2025, 3, 28)


# --- a library that learns -----------------------------------------------------------------------------------------


MODIFIED = with_fact("infusion.leukocyte_modification", "genetic")


def test_a_past_decision_can_be_decided_again() -> None:
    """What was decided under earlier knowledge can be decided again under that knowledge."""
    library = packaged_library()
    before = library.chain("L.2.03.402").of(date(2015, 9, 18))
    assert before is not None
    then = library.knowing("L.2.03.402", before.digest)
    again = library.knowing("L.2.03.402", before.digest[:32])
    assert then is not None
    assert then is again
    asked = case(line("2016-06-01"), clinical=MODIFIED, has_prior_authorization=True)

    assert first_line(asked, then).answer.determination == "policy_not_on_record"
    assert first_line(asked, library["L.2.03.402"]).answer.determination == "investigational"
    assert then.known_through == before.digest
    assert library.knowing("L.2.03.402", library["L.2.03.402"].known_through) is library["L.2.03.402"]
    assert library.knowing("L.2.03.402", "0" * 64) is None
    assert library.knowing("X-1", before.digest) is None


def test_a_library_that_learns_leaves_the_old_one_unchanged() -> None:
    """Adding knowledge to a library makes another library, and the old one stays as it is."""
    library = packaged_library()
    chain = library.chain("L.2.03.402")
    document = revised(day=date(2025, 9, 1), policy=packaged())
    longer = chain.accept(publication(document, chain.known_through))

    later = library.knowing_also(longer)

    assert library.named(None) is not later.named(None)
    assert later["L.2.03.402"].known_through == longer.known_through
    assert library["L.2.03.402"].known_through == chain.known_through
    assert later.knowing("L.2.03.402", chain.known_through or "") is policy_of(chain.links[-1])
    assert library.knowing_also(chain)["L.2.03.402"] is library["L.2.03.402"]
    assert later.snapshot() is later


def test_a_policy_that_only_the_topic_has_is_decided_too() -> None:
    library = packaged_library().knowing_also(OTHER)

    assert library.numbers == ["EV-12", "L.2.03.402"]
    assert library["EV-12"].known_through == OTHER.known_through
