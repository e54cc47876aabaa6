"""The last resort: a record of the topic of revisions that counts no more, by the signed word of who may publish."""

import json
from base64 import b64encode
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from policy_core.document.problems import PolicyDocumentError
from policy_core.history.chain import chain_of
from policy_core.history.publication_terms import Anchor, Terms
from policy_core.publications.publication import Publication
from policy_core.publications.signatures import sign
from policy_core.publications.skip_list import CONTEXT, SkipList, signed_skip, skip_list
from tests.support.cases import packaged
from tests.support.publishing import next_revision
from tests.support.requests import covered
from tests.support.revisions import decided, decided_under, publish_revisions
from tests.support.running import eventually, get, publish, settings_for, worker
from tests.support.running_workers import revisions_known
from tests.support.signed_revisions import KEY, OFFICE, STRANGER, ring, seen, signed, why
from tests.support.signing import keygen, run
from workers.configuration.settings import Settings, SettingsError, read
from workers.policies.revision_events import Judging, Outcome, terms_of
from workers.topics import apply_topics

NUMBER = "L.2.03.402"
CHAIN = chain_of(packaged().document)
STOLEN = next_revision(CHAIN, author=OFFICE, retroactive=True)
"""Signed with a key that somebody else had."""
RING = ring(policy=NUMBER)
WHEN = datetime(2026, 11, 27, tzinfo=UTC)


def listed(*entries: dict[str, str | int]) -> bytes:
    return json.dumps({"skip": entries}).encode()


def entry(one: Publication = STOLEN, offset: int = 19) -> dict[str, str | int]:
    return signed_skip(KEY, NUMBER, offset, one.digest, "a key was stolen", WHEN)


def topic(terms: Terms, *more: Publication) -> Judging:
    judging = Judging(terms, [CHAIN])
    for offset, one in enumerate((*CHAIN, *more)):
        judging.take(seen(one, offset))
    return judging


SKIPS = skip_list("skips.yaml", listed(entry()), RING)


def test_a_skip_covers_what_stood_on_it_and_its_repeats() -> None:
    """What is skipped no longer counts, nor does what stood on it or a repeat of it."""
    terms = Terms(RING, skips=SKIPS)
    following = signed(next_revision(CHAIN.accept(STOLEN), day=date(2026, 2, 2), author=OFFICE, retroactive=True))
    judging = topic(terms, signed(STOLEN))
    path, said = why(judging.take(seen(following, 20)))

    assert topic(Terms(RING), signed(STOLEN)).chains[NUMBER].newest is not None
    assert judging.chains[NUMBER].known_through == CHAIN.known_through
    assert (path, "which is not known" in said) == ("predecessor", True)
    path, said = why(judging.take(seen(signed(STOLEN), 21)))
    assert (path, said) == ("digest", f"is passed over, by the word of {OFFICE} of 2026-11-27T00:00:00Z")
    good = signed(next_revision(CHAIN, day=date(2026, 3, 3), author=OFFICE, retroactive=True))
    assert judging.take(seen(good, 22)).outcome is Outcome.ACCEPTED


def test_what_came_before_there_were_keys_is_skipped_too() -> None:
    terms = Terms(RING, Anchor(19, STOLEN.digest), skips=SKIPS)

    assert topic(terms, STOLEN).chains[NUMBER].known_through == CHAIN.known_through


def test_a_skip_is_of_one_publication_and_no_other() -> None:
    assert SKIPS.of(NUMBER, 19, STOLEN.digest) is not None
    assert SKIPS.of(NUMBER, 18, STOLEN.digest) is None
    assert SKIPS.of(NUMBER, 19, "0" * 64) is None
    assert SKIPS.of("X-1", 19, STOLEN.digest) is None
    assert SkipList().of(NUMBER, 19, STOLEN.digest) is None


def test_who_may_publish_one_policy_skips_nothing_of_another() -> None:
    """Signed as it stands, with a key that the list's policy has; the digest is another policy's."""
    both = ring(policy="X-1", key=STRANGER, name="Another office")
    foreign = signed_skip(STRANGER, "X-1", 19, STOLEN.digest, "in the way", WHEN)
    terms = Terms(RING, skips=skip_list("skips.yaml", listed(foreign), both))

    assert topic(terms, signed(STOLEN)).chains[NUMBER].known_through == STOLEN.digest


def test_the_first_skipped_place_of_a_publication_counts() -> None:
    """The first place at which a publication is skipped counts."""
    for order in ([entry(), entry(offset=30)], [entry(offset=30), entry()]):
        skips = skip_list("skips.yaml", listed(*order), RING)
        assert [skips.of(NUMBER, at, STOLEN.digest) is not None for at in (18, 19, 31)] == [False, True, True]


BAD = [
    (b"skip: 1", "skip: "),
    (b"- a", "a list of skips begins with `skip:`"),
    (listed(entry() | {"offset": "19"}), "skip.0.offset"),
    (listed(entry() | {"digest": "x"}), "skip.0.digest"),
    (listed(entry() | {"at": 1}), "skip.0.at"),
    (listed(entry() | {"signature": "é"}), "skip.0.signature: is no base64"),
    (listed(signed_skip(STRANGER, NUMBER, 19, STOLEN.digest, "x", WHEN)), "skip.0.signature: is of the key"),
    (listed(signed_skip(KEY, NUMBER, 19, STOLEN.digest, "x", datetime(2031, 1, 1, tzinfo=UTC))), "was valid no more"),
    *(
        (listed(entry() | {name: value}), "skip.0.signature: is none of the key")
        for name, value in (
            ("offset", 0),
            ("digest", "1" * 64),
            ("why", "another reason"),
            ("at", "2026-11-28T00:00:00Z"),
        )
    ),
    (listed(entry() | {"policy": "X-1"}), "which is none of X-1's"),
]


@pytest.mark.parametrize(("raw", "said"), BAD)
def test_a_list_that_nobody_signed_as_it_stands_is_a_sentence(raw: bytes, said: str) -> None:
    with pytest.raises(PolicyDocumentError, match=said):
        skip_list("skips.yaml", raw, RING)


def test_a_signature_on_a_publication_is_none_on_a_skip() -> None:
    made = entry()
    assert sign(KEY, STOLEN.digest).value != sign(KEY, STOLEN.digest, CONTEXT).value
    other = sign(KEY, STOLEN.digest)
    with pytest.raises(PolicyDocumentError, match="is none of the key"):
        skip_list("s", listed(made | {"signature": b64encode(other.value).decode()}), RING)


def test_a_list_without_keys_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="DLI_POLICY_SKIP_LIST is used with DLI_POLICY_KEYS only"):
        read(policy_skip_list=tmp_path / "skips.yaml")
    with pytest.raises(PolicyDocumentError, match="cannot be read: No such file"):
        terms_of(read(policy_skip_list=tmp_path / "skips.yaml", policy_keys=tmp_path))


# --- on a broker ---------------------------------------------------------------------------------------------------


@pytest.mark.kafka
def test_a_worker_with_the_skip_list_ignores_the_record(
    bootstrap: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker with the list decides and reports as if the skipped record had never existed."""
    found: Settings = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(found)
    private, public = keygen(tmp_path)
    monkeypatch.setenv("DLI_POLICY_KEYS", str(public))
    forged = next_revision(CHAIN, author="Whoever")
    publish_revisions(found, forged)
    anchored = found.model_copy(update={"policy_keys": public, "policy_signed_from": f"19@{forged.digest}"})
    monkeypatch.setenv("DLI_POLICY_SIGNED_FROM", f"19@{forged.digest}")
    with worker(anchored, tmp_path):
        assert eventually(lambda: revisions_known(found) == 20)
    skipped = run(
        found, "skip", NUMBER, forged.digest[:12], "--why", "forged before there were keys", "--key", str(private)
    )
    nothing = run(found, "skip", NUMBER, "0" * 12, "--why", "x", "--key", str(private))
    skips = tmp_path / "skips.yaml"
    skips.write_text(f"skip:\n{skipped.out}", "utf-8")
    with worker(anchored.model_copy(update={"policy_skip_list": skips}), tmp_path, "skipping"):
        assert eventually(lambda: revisions_known(found) == 19)
        publish(found, [covered("K-1")])
        assert eventually(lambda: decided(found, "K-1") is not None)
        _, register = get(found, f"/policies/{NUMBER}/revisions")
    said = (tmp_path / "skipping.log").read_text("utf-8")

    assert skipped.code == 0, skipped.err
    assert f"counts no more: the revision of 2026-01-05, by Whoever, digest {forged.digest}" in skipped.err
    assert (nothing.code, "no accepted revision of L.2.03.402 with the digest 000" in nothing.err) == (1, True)
    line = decided(found, "K-1")
    assert line is not None
    assert line["determination"] == "medically_necessary"
    assert decided_under(found, "K-1")["known_through"] == CHAIN.known_through
    assert len(register["revisions"]) == 19
    assert '"revision_skipped"' in said
