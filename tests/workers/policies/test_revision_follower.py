"""Workers follow the topic of revisions: what it says counts, from its start on and without a restart."""

from dataclasses import replace
from pathlib import Path

import pytest

from events.topics import DEAD_LETTERS, POLICY_ATTESTATIONS, POLICY_REVISIONS
from policy_core.history.chain import Chain, chain_of
from tests.support.cases import packaged
from tests.support.publishing import next_revision
from tests.support.requests import covered
from tests.support.revisions import data, decided, decided_under, publish_revisions
from tests.support.running import eventually, everything_on, get, publish, settings_for, worker
from tests.support.running_workers import all_committed, revisions_known
from workers.configuration.settings import Settings
from workers.demo.run import DemoError
from workers.topics import apply_topics

pytestmark = pytest.mark.kafka

NUMBER = "L.2.03.402"


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    return made


@pytest.fixture
def bare(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    """With topics, on which nobody has published anything."""
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.declare(made)
    return made


def chain() -> Chain:
    return chain_of(packaged().document)


def test_only_a_good_revision_is_taken_up_without_a_restart(found: Settings, tmp_path: Path) -> None:
    """A good revision is taken up without a restart, and a bad one is not."""
    new = next_revision(chain())
    fork = next_revision(chain(), author="Somebody else")
    with worker(found, tmp_path):
        publish(found, [covered("F-1")])
        assert eventually(lambda: decided(found, "F-1") is not None)
        publish_revisions(found, new, fork, new)
        assert eventually(lambda: revisions_known(found) == 20)
        assert eventually(lambda: len(data(found, DEAD_LETTERS)) == 1)
        publish(found, [covered("F-2"), covered("F-3", "2025-12-31")])
        assert eventually(lambda: decided(found, "F-3") is not None)
        before, after, earlier = (decided(found, one) for one in ("F-1", "F-2", "F-3"))
        documents = [decided_under(found, one) for one in ("F-1", "F-2", "F-3")]
        assert eventually(lambda: all_committed(found))
        _, row = get(found, f"/policies/{NUMBER}/revisions/2026-01-05")
        _, register = get(found, f"/policies/{NUMBER}/revisions")
        _, then = get(found, f"/policies/{NUMBER}/in-force?on=2026-02-01&known_at=2025-11-30")
        _, now = get(found, f"/policies/{NUMBER}/in-force?on=2026-02-01")
        [letter] = data(found, DEAD_LETTERS)
        attested = data(found, POLICY_ATTESTATIONS)

    assert before is not None
    assert after is not None
    assert earlier is not None
    assert (before["determination"], after["determination"]) == ("medically_necessary", "criteria_not_met")
    old = {"number": NUMBER, "sha256": packaged().sha256, "known_through": packaged().known_through}
    newer = {"number": NUMBER, "sha256": new.sha256, "known_through": new.digest}
    assert documents == [old, newer, newer]
    assert (after["policy"]["revision"], earlier["policy"]["revision"]) == ("2026-01-05", "2025-03-28")
    assert earlier["determination"] == "medically_necessary"

    assert letter["reason"] == "revision_refused"
    assert letter["errors"][0]["path"] == "revision"
    assert "known already, with other content" in letter["errors"][0]["message"]

    assert (row["digest"], row["changes"]["equivalent"]) == (new.digest, False)
    counted = {one["revision"]: one["decisions"] for one in register["revisions"] if one["decisions"]}
    assert counted == {"2025-03-28": 2, "2026-01-05": 1}
    assert (then["revision"], now["revision"]) == ("2025-03-28", "2026-01-05")
    assert [(one["before"]["digest"], one["after"]["digest"]) for one in attested] == [
        (one.predecessor, one.digest) for one in (*chain().links[1:], new)
    ]
    assert [(one["before"]["by"], one["after"]["by"], one["cases"]) for one in attested[-1]["changes"]] == [
        # 2 grafts, 3 conditionings, 3 chimerisms, 4 purposes, 2 other risks: all else is fixed
        ("covered-indication", "relapse-covered-no-more", 144)
    ]


def test_a_topic_without_a_packaged_revision_stops_the_start(bare: Settings, tmp_path: Path) -> None:
    """A worker has no right to publish: who applies the topics does, once."""
    with pytest.raises(DemoError) as caught, worker(bare, tmp_path):
        pass
    untouched = everything_on(bare, POLICY_REVISIONS)
    published = [apply_topics.apply(bare).published for _ in range(2)]
    with worker(bare, tmp_path):
        known = eventually(lambda: revisions_known(bare) == 19)

    assert "lacks the packaged revision of 1998-08-01; `dli topics apply` of this" in str(caught.value)
    assert (untouched, published, known) == ([], [19, 0], True)


def test_a_newer_releases_revisions_are_published_behind_the_old(bare: Settings) -> None:
    """The topic has the document as it was a revision ago."""
    publish_revisions(bare, *chain().links[:-1])

    assert apply_topics.apply(bare).published == 1
    assert len(everything_on(bare, POLICY_REVISIONS)) == 19


def test_a_longer_chain_is_followed_from_the_first_decision_on(bare: Settings, tmp_path: Path) -> None:
    """A longer chain on the topic is followed from the first decision on."""
    found, new = bare, next_revision(chain())
    publish_revisions(found, *chain(), new)
    publish(found, [covered("F-4")])

    with worker(found, tmp_path):
        assert eventually(lambda: decided(found, "F-4") is not None)
        line, document = decided(found, "F-4"), decided_under(found, "F-4")
        records = everything_on(found, POLICY_REVISIONS)

    assert line is not None
    assert (line["determination"], document["known_through"]) == ("criteria_not_met", new.digest)
    assert len(records) == 20


def test_a_packaged_document_against_the_topic_stops_the_start(bare: Settings, tmp_path: Path) -> None:
    """A packaged document that contradicts the topic stops the start."""
    found = bare
    *others, newest = chain().links
    other = newest.document.model_copy(update={"title": "Another title"})
    publish_revisions(found, *others, replace(newest, document=other, sha256=other.digest()))

    with pytest.raises(DemoError) as caught, worker(found, tmp_path):
        pass

    assert f"the packaged document has the revision of 2025-03-28 as {newest.sha256}" in str(caught.value)
    assert "take that revision back: `dli policy publish --corrects`" in str(caught.value)
