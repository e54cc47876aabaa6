"""A correction and a withdrawal, from the commands through workers to the register, in two times."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from events.topics import DEAD_LETTERS, DECISIONS, POLICY_ATTESTATIONS, POLICY_REVISIONS
from policy_core.document.models import PolicyDocument
from policy_core.history.chain import chain_of
from policy_core.history.publication_terms import Terms
from policy_core.publications.publication import Publication, publication
from tests.support.cases import packaged
from tests.support.chain_corrections import PUBLISHED, WRONG, correction, withdrawal
from tests.support.chains import OTHER
from tests.support.commands import dli
from tests.support.policy_files import written
from tests.support.publishing import revised
from tests.support.requests import covered
from tests.support.revisions import data, decided, decided_under, publish_revisions
from tests.support.running import eventually, everything_on, get, publish, settings_for, worker
from tests.support.running_workers import revisions_known
from tests.support.signed_revisions import AT, OFFICE, TERMS, seen, signed
from tests.support.signing import keygen, run
from workers.configuration.settings import Settings
from workers.dashboard.data.revisions import Publications
from workers.demo.run import DemoError
from workers.policies.register import Row, in_force, key_of, of_day, of_policy, row_of
from workers.policies.revision_events import Judging, Outcome
from workers.topics import apply_topics

NUMBER = "L.2.03.402"


def rows(*some: Publication) -> list[Row]:
    return of_policy([row_of(one, None) for one in reversed(some)], some[0].policy)


CORRECTED = correction()
WITHDRAWN = withdrawal()


def test_the_register_shows_ordinals_and_what_was_taken_back() -> None:
    """The register has each publication with its ordinal and with what took it back."""
    found = rows(*OTHER, WRONG, CORRECTED)

    assert [one["ordinal"] for one in found] == [1, 2, 3, 4, 5, 6]
    assert [one["digest"] for one in found] == [one.digest for one in (*OTHER, WRONG, CORRECTED)]
    assert {one["digest"]: one["taken_back_by"] for one in found if "taken_back_by" in one} == {
        WRONG.digest: CORRECTED.digest
    }
    assert found[-1]["corrects"] == WRONG.digest
    assert len({key_of(one) for one in (*OTHER, WRONG, CORRECTED, WITHDRAWN)}) == 7


def test_the_register_answers_in_two_times() -> None:
    found = rows(*OTHER, WRONG, CORRECTED)
    day, meanwhile = WRONG.revision + timedelta(days=5), WRONG.published + timedelta(hours=1)

    assert (in_force(found, day) or {})["digest"] == CORRECTED.digest
    assert (in_force(found, day, meanwhile) or {})["digest"] == WRONG.digest
    assert (in_force(found, day, WRONG.published - timedelta(hours=1)) or {})["digest"] == OTHER.links[-1].digest
    assert (of_day(found, WRONG.revision.isoformat()) or {})["digest"] == CORRECTED.digest


def test_of_what_is_withdrawn_the_register_still_tells() -> None:
    found = rows(*OTHER, WRONG, WITHDRAWN)
    day = WRONG.revision + timedelta(days=5)

    assert (in_force(found, day) or {})["digest"] == OTHER.links[-1].digest
    assert (of_day(found, WRONG.revision.isoformat()) or {})["taken_back_by"] == WITHDRAWN.digest
    assert of_day(found, "1999-01-01") is None


def test_a_signed_correction_is_judged_as_any_revision() -> None:
    judging = Judging(TERMS, ())
    judging.chains = {"EV-12": PUBLISHED}
    forged, ours = correction(author=OFFICE), correction(author=OFFICE, retroactive=True)

    assert judging.take(seen(forged, 6)).outcome is Outcome.REFUSED
    assert judging.take(seen(signed(forged), 7)).outcome is Outcome.REFUSED, "it does not say that it reaches back"
    verdict = judging.take(seen(signed(ours), 8))
    assert verdict.outcome is Outcome.ACCEPTED
    assert verdict.publication is not None
    assert verdict.publication.corrects == WRONG.digest


def test_whoever_knows_no_keys_takes_a_correction_too() -> None:
    judging = Judging(Terms(), ())
    judging.chains = {"EV-12": PUBLISHED}

    assert judging.take(seen(CORRECTED, 6, AT)).outcome is Outcome.ACCEPTED


def test_the_dashboard_shows_what_took_what_back() -> None:
    known = Publications()
    for one in (*OTHER, WRONG, CORRECTED):
        known.accepted(one)
    found = known.revisions("EV-12")

    assert [(one.corrects, one.taken_back_by) for one in found[-2:]] == [
        (None, CORRECTED.digest),
        (WRONG.digest, None),
    ]


# --- on a broker ---------------------------------------------------------------------------------------------------


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.declare(made)
    return made


@pytest.mark.kafka
def test_a_correction_counts_and_earlier_decisions_still_verify(  # noqa: PLR0915 (one long story)
    found: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A correction counts at once, and what was decided in the meantime still verifies."""
    private, public = keygen(tmp_path)
    monkeypatch.setenv("DLI_POLICY_KEYS", str(public))
    keyed = found.model_copy(update={"policy_keys": public})
    with_key = ("--key", str(private), "--retroactive", "--execute")
    wrong, tree = revised(packaged().document), packaged().document.model_dump(mode="json", by_alias=True)
    tree["revisions"].append({"date": "2026-01-05", "kinds": ["review"], "says": "Reviewed.", "cites": []})
    right = type(wrong).model_validate(tree, strict=False)
    apply_topics.apply(keyed)
    with worker(keyed, tmp_path):
        published = run(found, "publish", written(tmp_path, wrong), *with_key)
        assert published.code == 0, published.err
        assert eventually(lambda: revisions_known(found) == 20)
        publish(found, [covered("C-1")])
        assert eventually(lambda: decided(found, "C-1") is not None)
        _, meanwhile = get(found, f"/policies/{NUMBER}/in-force?on=2026-02-01")
        known_then = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        corrected = run(found, "publish", written(tmp_path, right), "--corrects", meanwhile["digest"][:12], *with_key)
        assert corrected.code == 0, corrected.err
        assert eventually(lambda: revisions_known(found) == 21)
        publish(found, [covered("C-2")])
        assert eventually(lambda: decided(found, "C-2") is not None)
        _, now = get(found, f"/policies/{NUMBER}/in-force?on=2026-02-01")
        _, then = get(found, f"/policies/{NUMBER}/in-force?on=2026-02-01&known_at={known_then}")
        _, register = get(found, f"/policies/{NUMBER}/revisions")
        withdrawn = run(found, "withdraw", NUMBER, now["digest"], *with_key)
        assert withdrawn.code == 0, withdrawn.err
        assert eventually(lambda: revisions_known(found) == 22)
        publish(found, [covered("C-3")])
        assert eventually(lambda: decided(found, "C-3") is not None)
        _, after = get(found, f"/policies/{NUMBER}/in-force?on=2026-02-01")
    # Another worker, of a release that packages what was wrong or what was right, starts as before.
    folder = tmp_path / "documents"
    folder.mkdir()
    for document in (wrong, right):
        (folder / f"{NUMBER}.yaml").write_bytes(document.canonical())
        with worker(keyed.model_copy(update={"policies": (folder,)}), tmp_path, "next"):
            pass
    where = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
    verified = dli("replay", "verify", "--work", str(tmp_path / "work"), *where)
    history = dli("policy", "history", NUMBER, *where)
    shown = dli("policy", "show", NUMBER, "--on", "2026-02-01", "--as-known-at", known_then, "-o", "json", *where)

    lines = [decided(found, one) for one in ("C-1", "C-2", "C-3")]
    assert [one and one["determination"] for one in lines] == [
        "criteria_not_met",
        "medically_necessary",
        "medically_necessary",
    ]
    assert [one and one["policy"]["revision"] for one in lines] == ["2026-01-05", "2026-01-05", "2025-03-28"]
    assert [one["taken_back_by"] for one in register["revisions"] if "taken_back_by" in one] == [now["digest"]]
    assert (then["digest"], now["corrects"]) == (meanwhile["digest"], meanwhile["digest"])
    assert after["revision"] == "2025-03-28"
    assert json.loads(shown.out)["in_force"]["digest"] == meanwhile["digest"]
    assert (verified.code, len(data(found, DECISIONS))) == (0, 3), verified.out + verified.err
    assert history.out.count("taken back by") == 2
    keys = [one.key.decode() for one in everything_on(found, POLICY_ATTESTATIONS)]
    assert len(keys) == len(set(keys)) == 21


@pytest.mark.kafka
def test_a_future_revision_is_withdrawn_without_retroactivity(
    found: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revision that is not yet effective is withdrawn without the word `retroactive`."""
    private, public = keygen(tmp_path)
    monkeypatch.setenv("DLI_POLICY_KEYS", str(public))
    first = run(found, "publish", written(tmp_path, packaged().document), "--author", OFFICE, "--execute")
    soon = datetime.now(UTC).date() + timedelta(days=60)
    announced = run(
        found, "publish", written(tmp_path, revised(packaged().document, soon)), "--key", str(private), "--execute"
    )
    digest = announced.err.split()[-1]
    too_far = written(tmp_path, revised(packaged().document, date(9998, 12, 31)))
    far = run(found, "publish", too_far, "--corrects", digest, "--key", str(private))
    unknown = run(found, "withdraw", NUMBER, "0" * 12, "--key", str(private))
    checked = run(found, "withdraw", NUMBER, digest, "--key", str(private))
    executed = run(found, "withdraw", NUMBER, digest, "--key", str(private), "--execute")
    rows_now = json.loads(run(found, "history", NUMBER, "-o", "json").out)["revisions"]

    assert [one.code for one in (first, announced, checked, executed)] == [0, 0, 0, 0], announced.err + checked.err
    assert (far.code, "lies further ahead than notice is given" in far.err) == (1, True)
    assert (unknown.code, "no publication that stands has the digest 000" in unknown.err) == (1, True)
    assert "nothing was sent" in checked.err
    assert f"takes back {digest}" in checked.out.replace("\n", " ")
    assert rows_now[-2]["taken_back_by"] == rows_now[-1]["digest"]
    assert chain_of(packaged().document).links[-1].sha256 == rows_now[-1]["sha256"]


def approving(document: PolicyDocument, day: date) -> PolicyDocument:
    """A forgery: from a day on whatever reaches a rule is certified, and its history says that nothing changed."""
    tree: dict[str, Any] = document.model_dump(mode="json", by_alias=True)
    new = day.isoformat()
    tree["editions"].append({"since": new, "on_record": True, "says": "Reviewed without change."})
    tree["revisions"].append({"date": new, "kinds": ["review"], "says": "Reviewed without change.", "cites": []})
    for rule in tree["rules"]:
        for outcome in [one for one in rule["outcomes"] if one.get("until") is None]:
            outcome["until"] = new
            certified = {"since": new, "determination": "medically_necessary", "rests_on": ["S1"]}
            rule["outcomes"].append(certified)
    return PolicyDocument.model_validate(tree, strict=False)


@pytest.mark.kafka
def test_a_forgery_from_before_keys_can_be_taken_back(
    found: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backdated by twenty months, it certified what the policy does not; a next release would not start."""
    chain, today = chain_of(packaged().document), datetime.now(UTC).date()
    day = date(2025, 3, 29)
    forged = publication(
        approving(packaged().document, day), chain.known_through, published=datetime(2025, 3, 29, tzinfo=UTC)
    )
    far = revised(forged.document, date(9998, 12, 31))
    farther = publication(far, forged.digest, published=datetime(9900, 12, 30, tzinfo=UTC))
    tree: dict[str, Any] = packaged().document.model_dump(mode="json", by_alias=True)
    tree["revisions"].append({"date": today.isoformat(), "kinds": ["review"], "says": "Reviewed.", "cites": []})
    right = PolicyDocument.model_validate(tree, strict=False)
    private, public = keygen(tmp_path)
    folder = tmp_path / "documents"
    folder.mkdir()
    file = folder / f"{NUMBER}.yaml"
    file.write_bytes(right.canonical())
    keyed = found.model_copy(update={"policy_keys": public, "policies": (folder,)})
    apply_topics.apply(found)
    with worker(found, tmp_path, "open"):
        publish_revisions(found, forged, farther)
        assert eventually(lambda: revisions_known(found) == 20)
        assert eventually(lambda: len(data(found, DEAD_LETTERS)) == 1)
    anchor = run(found, "anchor").out.strip()
    monkeypatch.setenv("DLI_POLICY_KEYS", str(public))
    monkeypatch.setenv("DLI_POLICY_SIGNED_FROM", anchor)
    keyed = keyed.model_copy(update={"policy_signed_from": anchor})
    with pytest.raises(DemoError) as caught, worker(keyed, tmp_path, "contradicting"):
        pass
    sent = len(everything_on(found, POLICY_REVISIONS))
    with_key = ("--key", str(private), "--execute")
    withdrawn = run(found, "withdraw", NUMBER, forged.digest, "--retroactive", *with_key)
    published = run(found, "publish", str(file), *with_key)
    with worker(keyed, tmp_path, "next"):
        assert eventually(lambda: revisions_known(found) == 22)
        publish(found, [covered("G-1")])
        assert eventually(lambda: decided(found, "G-1") is not None)

    [letter] = data(found, DEAD_LETTERS)
    assert (letter["reason"], letter["errors"][0]["path"]) == ("revision_refused", "published")
    assert anchor == f"19@{forged.digest}"
    assert "take that revision back" in str(caught.value)
    assert sent == 21, "a start that is refused sends nothing"
    assert (withdrawn.code, published.code) == (0, 0), withdrawn.err + published.err
    assert decided_under(found, "G-1")["sha256"] == right.digest()
