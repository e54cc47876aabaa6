"""Signed revisions: with keys, whoever may write to their topic is not whoever may publish."""

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_core.document.models import PolicyDocument
from policy_core.document.problems import PolicyDocumentError
from policy_core.history.publication_terms import Anchor, Terms
from policy_core.publications.publication import Publication
from policy_core.publications.signatures import id_of
from tests.support.chains import OTHER, next_one
from tests.support.publishing import next_revision
from tests.support.signed_revisions import (
    AT,
    KEY,
    KNOWN,
    OFFICE,
    STRANGER,
    TERMS,
    judged,
    keys,
    ours,
    packaged_chain,
    ring,
    seen,
    signed,
    why,
)
from workers.configuration.settings import Settings, read
from workers.dashboard.data.consumer import Reader
from workers.policies.register import row_of
from workers.policies.revision_events import (
    Judging,
    Outcome,
    Packaged,
    Seen,
    judge,
    terms_of,
    vouched,
)

# --- one record ----------------------------------------------------------------------------------------------------


def test_a_signed_revision_is_accepted_and_says_who_signed() -> None:
    verdict = judged(signed(ours()))

    assert verdict.outcome is Outcome.ACCEPTED
    assert verdict.publication is not None
    assert verdict.publication.signed_by == id_of(KEY)
    row = row_of(verdict.publication, None)
    assert (row["author"], row["signed_by"]) == (OFFICE, id_of(KEY))
    assert verdict.publication.digest == ours().digest, "what stands beside it changes no digest"


DAY = 24 * 60 * 60 * 1000
FORGED = [
    ("nobody's", ours(), AT, "signature", "is absent: a revision of EV-12 counts only with the signature"),
    ("a stranger's", signed(ours(), STRANGER), AT, "signature", "is of the key .*, which is none of EV-12's"),
    ("too early", signed(ours()), AT - 365 * DAY, "signature", "was not valid yet: from 2026-01-01"),
    ("too late", signed(ours()), AT + 365 * DAY, "signature", "was valid no more: until 2027-01-01"),
    ("without a time", signed(ours()), -1, "signature", "its record has no time of the broker"),
    ("at a time in no year", signed(ours()), 2**62, "signature", "its record has no time of the broker"),
    ("in another's name", signed(ours(author="Somebody")), AT, "author", "is not the name that its key stands for"),
    ("of another publication", replace(ours(), signature=signed(next_one()).signature), AT, "signature", "is none of"),
]


@pytest.mark.parametrize(("one", "at", "path", "message"), [o[1:] for o in FORGED], ids=[o[0] for o in FORGED])
def test_what_no_key_vouches_for_is_refused_with_its_reason(one: Publication, at: int, path: str, message: str) -> None:
    found, said = why(judged(one, at=at))

    assert found == path
    assert re.search(message, said)


def test_a_forged_revision_is_refused_without_reading_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forged revision is refused before a worker looks at its document."""

    def looked_at(*_: object, **__: object) -> None:
        pytest.fail("the document of a revision that nobody signed was looked at")

    monkeypatch.setattr(PolicyDocument, "model_validate_json", looked_at)

    assert why(judged(ours()))[0] == "signature"


SIGNED = json.loads(seen(signed(ours())).value or b"")
SAID = sorted(set(SIGNED["data"]) - {"signature", "document"})


@settings(deadline=None)  # the first signature loads what proves them
@given(st.sampled_from(SAID), st.one_of(st.text(max_size=80), st.dates().map(str), st.integers(), st.none()))
def test_a_signature_covers_whatever_is_said(name: str, value: object) -> None:
    """Nobody may take a signature and say something else beside it."""
    event = json.loads(json.dumps(SIGNED))
    if event["data"][name] == value:
        return
    event["data"][name] = value

    verdict = judge(KNOWN, TERMS, Packaged(), Seen(3, AT, json.dumps(event).encode(), ()))

    assert verdict.outcome is Outcome.REFUSED
    assert verdict.rejected is not None
    assert verdict.rejected.reason in {"revision_refused", "schema_violation"}


def test_a_signature_covers_the_document() -> None:
    event = json.loads(json.dumps(SIGNED))
    event["data"]["document"]["title"] = "Another title"

    verdict = judge(KNOWN, TERMS, Packaged(), Seen(3, AT, json.dumps(event).encode(), ()))

    assert why(verdict)[0] == "sha256"


def test_the_same_again_is_no_news_whoever_sends_it() -> None:
    chain = OTHER.accept(ours())
    verdict = judge({chain.policy: chain}, TERMS, Packaged(), seen(ours()))

    assert (verdict.outcome, verdict.chain) == (Outcome.REPEATED, chain)


def test_what_a_release_packaged_counts_without_a_signature() -> None:
    judging = Judging(Terms(ring(policy="L.2.03.402")), ())
    chain = packaged_chain()
    for offset, one in enumerate(chain):
        assert judging.take(seen(one, offset)).outcome is Outcome.ACCEPTED
    forged = next_revision(chain, author=OFFICE, retroactive=True)

    assert why(judging.take(seen(forged, 19)))[0] == "signature"
    assert judging.take(seen(signed(forged), 20)).outcome is Outcome.ACCEPTED


# --- before there were keys ----------------------------------------------------------------------------------------


def topic(some: Sequence[Publication], terms: Terms) -> Judging:
    judging = Judging(terms, ())
    for offset, one in enumerate(some):
        judging.take(seen(one, offset))
    return judging


def test_what_was_accepted_before_the_anchor_goes_on_counting() -> None:
    old = (*OTHER, ours(author="Whoever"))
    anchor = Anchor(len(old) - 1, old[-1].digest)
    judging = topic(old, Terms(ring(), anchor))

    assert judging.chains["EV-12"].known_through == old[-1].digest
    assert judging.astray() is None
    assert topic(old, Terms(ring())).chains == {}, "without the anchor it does not"


@pytest.mark.parametrize(
    ("anchor", "said"),
    [
        (Anchor(2, "7" * 64), f"names the revision {'7' * 64} at offset 2; there is {OTHER.links[2].digest}"),
        (Anchor(9, OTHER.links[2].digest), "at offset 9; there is nothing yet"),
        (Anchor(4, OTHER.links[2].digest), "at offset 4; there is no accepted revision"),
    ],
)
def test_a_topic_that_is_not_the_one_of_the_anchor_is_said(anchor: Anchor, said: str) -> None:
    judging = topic(OTHER.links, Terms(ring(), anchor))
    if anchor.offset == 4:
        judging.take(Seen(4, AT, b"nothing", ()))

    assert said in str(judging.astray())


def test_without_keys_nothing_is_proved_and_nothing_is_claimed() -> None:
    verdict = judged(signed(ours(author="Whoever")), Terms())

    assert verdict.publication is not None
    assert (verdict.outcome, verdict.publication.signed_by) == (Outcome.ACCEPTED, None)


# --- settings ------------------------------------------------------------------------------------------------------


def test_the_key_folder_and_the_anchor_are_a_deployments_terms(tmp_path: Path) -> None:
    """The terms of a deployment are its folder of keys and its anchor."""
    (tmp_path / "a.yaml").write_bytes(keys())
    (tmp_path / "b.yml").write_bytes(keys(policy="X-1"))
    (tmp_path / "README.md").write_text("no keys", "utf-8")
    terms = terms_of(read(policy_keys=tmp_path, policy_signed_from=f"7@{'5' * 64}"))

    assert terms.keyring is not None
    assert [one.name for policy in ("EV-12", "X-1") for one in terms.keyring.of(policy)] == [OFFICE, OFFICE]
    assert terms.signed_from == Anchor(7, "5" * 64)
    assert terms_of(read()) == Terms()


def test_a_folder_of_keys_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PolicyDocumentError, match="absent: cannot be read: No such file"):
        terms_of(read(policy_keys=tmp_path / "absent"))


# --- who else judges -----------------------------------------------------------------------------------------------


def test_the_dashboard_shows_accepted_revisions_and_signers(tmp_path: Path) -> None:
    """The dashboard shows what workers accept and who signed it."""
    (tmp_path / "a.yaml").write_bytes(keys(policy="L.2.03.402"))
    chain = packaged_chain()
    reader = Reader(Settings(policy_keys=tmp_path))
    new = next_revision(chain, author=OFFICE, retroactive=True)
    for offset, one in enumerate((*chain, next_revision(chain, day=date(2026, 2, 2)), signed(new))):
        record = seen(one, offset)
        reader._revision(_Record(record), datetime.now(UTC))  # noqa: SLF001 (what its thread calls)

    shown = reader.publications.revisions("L.2.03.402")
    assert [one.date for one in shown][-2:] == ["2025-03-28", "2026-01-05"]
    assert (shown[-1].author, shown[-1].signed_by) == (OFFICE, id_of(KEY))
    assert {one.signed_by for one in shown[:-1]} == {None}


class _Record:
    """As Kafka's client has one."""

    def __init__(self, one: Seen) -> None:
        self.offset, self.timestamp, self.value, self.headers = one


def test_a_trace_says_who_signed_where_that_is_proved() -> None:
    event = json.loads(seen(signed(ours())).value or b"")["data"]

    assert vouched(TERMS, event, 3, AT) == id_of(KEY)
    assert vouched(Terms(), event, 3, AT) is None
    assert vouched(TERMS, {**event, "author": "Somebody"}, 3, AT) is None
    assert vouched(TERMS, {**event, "signature": None}, 3, AT) is None
    assert vouched(TERMS, None, 3, AT) is None


def _endless(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(1 << 33)  # nothing of it is on the disk


@pytest.mark.parametrize("setting", ["policy_keys", "policy_skip_list"])
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (os.mkfifo, "is a pipe; what is read there is a regular file, or a link to one"),
        (lambda file: file.symlink_to("/dev/zero"), "is a device; what is read there is"),
        (Path.mkdir, "is a folder; what is read there is"),
        (_endless, "larger than 1,000,000 bytes"),
    ],
    ids=["pipe", "device", "folder", "endless"],
)
def test_no_start_hangs_on_a_bad_file_of_keys_or_skips(
    setting: str, make: Callable[[Path], None], why: str, tmp_path: Path
) -> None:
    """No start waits for a file of keys or skips, or reads one without end."""
    folders = {name: tmp_path / name for name in ("policy_keys", "policy_skip_list")}
    for one in folders.values():
        one.mkdir()
    (folders["policy_keys"] / "good.yaml").write_bytes(keys())
    make(folders[setting] / "bad.yaml")
    skips = {"policy_skip_list": folders[setting] / "bad.yaml"} if setting == "policy_skip_list" else {}

    with pytest.raises(PolicyDocumentError, match=why):
        terms_of(read(policy_keys=folders["policy_keys"], **skips))
