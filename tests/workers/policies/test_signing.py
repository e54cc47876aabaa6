"""Keys made, revisions signed and sent by the commands, and what workers that know the keys make of it."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from events.topics import DEAD_LETTERS, DECISIONS, POLICY_REVISIONS
from policy_core.history.chain import chain_of
from tests.support.cases import OTHER_FILE, packaged
from tests.support.commands import dli
from tests.support.policy_files import written
from tests.support.publishing import next_revision, revised
from tests.support.requests import covered
from tests.support.revisions import data, decided, publish_revisions
from tests.support.running import eventually, everything_on, get, publish, settings_for, worker
from tests.support.running_workers import revisions_known
from tests.support.signing import NUMBER, OFFICE, keygen, run
from workers.configuration.settings import Settings
from workers.demo.run import DemoError
from workers.topics import apply_topics

# --- keys ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.declare(made)
    return made


def test_keygen_makes_a_private_file_and_prints_a_key_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keygen command makes a private file and prints what belongs in a file of keys."""
    private, public = keygen(tmp_path, 'A "quoted": name', NUMBER, "--until", "2999-01-01")
    again = dli("policy", "keygen", str(private), "--name", "X", "--policy", NUMBER)
    monkeypatch.setenv("DLI_POLICY_KEY_PASSPHRASE", "marked-word")
    guarded = tmp_path / "guarded.pem"
    encrypted = dli("policy", "keygen", str(guarded), "--name", "X", "--policy", NUMBER)

    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert "PRIVATE KEY" in private.read_text("utf-8")
    assert "private" not in next(public.iterdir()).read_text("utf-8").lower()
    assert (again.code, "File exists" in again.err) == (1, True)
    assert (encrypted.code, "BEGIN ENCRYPTED PRIVATE KEY" in guarded.read_text("utf-8")) == (0, True)
    assert "marked-word" not in encrypted.out + encrypted.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--name", "X", "--policy", NUMBER, "--until", "soon"], "soon is no day"),
        (["--name", "X", "--policy", NUMBER, "--until", "2000-01-01"], "keys.0.until: is not after `from`"),
        (["--name", "", "--policy", NUMBER], "keys.0.name: "),
    ],
)
def test_keygen_makes_nothing_of_what_no_file_of_keys_may_have(
    options: list[str], sentence: str, tmp_path: Path
) -> None:
    ran = dli("policy", "keygen", str(tmp_path / "key.pem"), *options)

    assert (ran.code, sentence in ran.err) == (1, True), ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"specversion": "1.0"}\n' + "[" * 100_000, '{"specversion": ' + "[" * 100_000]
)
def test_endlessly_nested_input_gives_the_sender_a_sentence(tmp_path: Path, text: str) -> None:
    """Input that is nested without end gives its sender a sentence."""
    file = tmp_path / "signed.jsonl"
    file.write_text(text, "utf-8")

    ran = dli("policy", "publish", str(file), "--author", "X", "--bootstrap", "127.0.0.1:1")

    assert (ran.code, "Traceback" in ran.err) == (1, False), ran.err


def test_a_name_that_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    ran = dli("policy", "keygen", str(tmp_path / "key.pem"), "--name", "a\udcffb", "--policy", NUMBER)

    assert (ran.code, "--name: is no text in UTF-8" in ran.err, list(tmp_path.iterdir())) == (1, True, []), ran.err


def test_sign_without_brokers_signs_behind_what_is_packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = keygen(tmp_path)
    monkeypatch.setenv("DLI_POLICY_KEYS", str(public))
    file, made = written(tmp_path, revised(packaged().document)), tmp_path / "signed.jsonl"
    ran = dli("policy", "sign", file, "--retroactive", "--key", str(private), "--to", str(made))

    event = json.loads(made.read_bytes())["data"]
    assert ran.code == 0, ran.err
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert (event["author"], event["predecessor"]) == (OFFICE, packaged().known_through)
    assert len(event["signature"]["key"]) == 64


def test_what_cannot_sign_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = keygen(tmp_path)
    file = written(tmp_path, revised(packaged().document))

    def said(*options: str) -> str:
        ran = dli("policy", "sign", file, "--retroactive", *options)
        assert ran.code == 1
        return ran.err

    assert "name the private key to sign with" in said()
    assert "whom the key stands for is not known" in said("--key", str(private))
    monkeypatch.setenv("DLI_POLICY_KEYS", str(public))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stranger, _ = keygen(elsewhere)
    assert "is none of L.2.03.402's (DLI_POLICY_KEYS)" in said("--key", str(stranger))
    assert "author: is not the name that its key stands for" in said("--key", str(private), "--author", "Somebody")
    Path(file).chmod(0o600)
    assert "is no private key in PEM" in said("--key", file)
    private.chmod(0o644)
    assert "anybody on this machine may read it: chmod 600" in said("--key", str(private))


def test_signing_and_publishing_warn_of_what_a_document_lacks(tmp_path: Path) -> None:
    """As by `check`: both make the same of a document before anything is sent."""
    private, _ = keygen(tmp_path)

    ran = dli("policy", "sign", str(OTHER_FILE), "--key", str(private), "--author", "Somebody")

    assert (ran.code, ran.err.count("warning: ")) == (0, 4), ran.err
    assert "cites no sentence of the published text" in ran.err


# --- on a broker ---------------------------------------------------------------------------------------------------


def letters(found: Settings) -> list[dict[str, Any]]:
    return [one for one in data(found, DEAD_LETTERS) if one["reason"] == "revision_refused"]


@pytest.mark.kafka
def test_with_keys_only_a_signed_revision_changes_answers(
    found: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With keys, a forged revision changes no answer and a signed revision counts."""
    private, public = keygen(tmp_path)
    monkeypatch.setenv("DLI_POLICY_KEYS", str(public))
    keyed = found.model_copy(update={"policy_keys": public})
    file = written(tmp_path, revised(packaged().document))
    apply_topics.apply(keyed)
    with worker(keyed, tmp_path):
        publish_revisions(found, next_revision(chain_of(packaged().document), author=OFFICE))
        assert eventually(lambda: len(letters(found)) == 1)
        publish(found, [covered("S-1")])
        assert eventually(lambda: decided(found, "S-1") is not None)
        unsigned = run(found, "publish", file, "--author", OFFICE, "--execute")
        checked = run(found, "publish", file, "--retroactive", "--key", str(private))
        executed = run(found, "publish", file, "--retroactive", "--key", str(private), "--execute")
        assert eventually(lambda: revisions_known(found) == 20)
        publish(found, [covered("S-2")])
        assert eventually(lambda: decided(found, "S-2") is not None)
        _, row = get(found, f"/policies/{NUMBER}/revisions/2026-01-05")
        url = f"http://{found.web_host}:{found.web_port}"
        where = ("--url", url, "--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
        assert eventually(lambda: dli("trace", "S-2", *where).code == 0)
        traced, told = dli("trace", "S-2", *where), dli("trace", "S-2", *where, "-o", "json")
        history = run(found, "history", NUMBER)
    said = (tmp_path / "worker.log").read_text("utf-8")

    [letter] = letters(found)
    absent = f"is absent: a revision of {NUMBER} counts only with the signature of one of its keys"
    assert letter["errors"] == [{"path": "signature", "message": absent}]
    before, after = decided(found, "S-1"), decided(found, "S-2")
    assert before is not None
    assert after is not None
    assert (before["determination"], after["determination"]) == ("medically_necessary", "criteria_not_met")
    assert (unsigned.code, "signature: is absent" in unsigned.err, "--key FILE" in unsigned.err) == (1, True, True)
    # It lies in the past, and what was decided meanwhile would be decided otherwise.
    assert (checked.code, "signed by Medical policy office, key" in " ".join(checked.out.split())) == (3, True)
    assert executed.code == 0, executed.err
    assert (row["author"], len(row["signed_by"])) == (OFFICE, 64)
    assert f"signed by {OFFICE}, key {row['signed_by'][:12]}" in " ".join(traced.out.split())
    assert [one.get("signed_by") for one in json.loads(told.out)["revisions"]] == [row["signed_by"]]
    assert row["signed_by"][:12] in history.out
    assert "revisions_unsigned" not in said
    assert len(data(found, DECISIONS)) == 2


@pytest.mark.kafka
def test_who_signs_and_who_sends_may_be_two(found: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = keygen(tmp_path)
    monkeypatch.setenv("DLI_POLICY_KEYS", str(public))
    packaged_file = written(tmp_path, packaged().document)
    file, made = written(tmp_path, revised(packaged().document)), tmp_path / "signed.jsonl"
    first = run(found, "publish", packaged_file, "--author", OFFICE, "--execute")
    signed = run(found, "sign", file, "--retroactive", "--key", str(private), "--to", str(made))
    private.unlink()
    sent = run(found, "publish", str(made), "--execute")
    again = run(found, "publish", str(made), "--execute")
    made.write_bytes(made.read_bytes().replace(OFFICE.encode(), b"Somebody else"))
    changed = run(found, "publish", str(made), "--execute")

    assert (first.code, signed.code, sent.code, again.code) == (0, 0, 0, 0), first.err + signed.err + sent.err
    assert "published already" in again.err
    assert (changed.code, "digest: is not the publication's digest" in changed.err) == (1, True), changed.err
    assert len(everything_on(found, POLICY_REVISIONS)) == 20


@pytest.mark.kafka
def test_an_anchor_keeps_what_was_accepted_before_keys(found: Settings, tmp_path: Path) -> None:
    """What was accepted before keys counts behind an anchor, and another topic is noticed."""
    chain = chain_of(packaged().document)
    old = next_revision(chain, author="Whoever")
    publish_revisions(found, *chain, old)
    _, public = keygen(tmp_path)
    anchor = run(found, "anchor")
    keyed = found.model_copy(update={"policy_keys": public})
    anchored = keyed.model_copy(update={"policy_signed_from": anchor.out.strip()})
    with worker(anchored, tmp_path):
        assert eventually(lambda: revisions_known(found) == 20)
    wrong = keyed.model_copy(update={"policy_signed_from": f"19@{'0' * 64}"})
    with pytest.raises(DemoError) as caught, worker(wrong, tmp_path, "wrong"):
        pass

    assert anchor.out.strip() == f"19@{old.digest}"
    assert "DLI_POLICY_SIGNED_FROM names the revision 000" in str(caught.value)
    assert f"there is {old.digest}" in str(caught.value)


@pytest.mark.kafka
def test_a_start_without_keys_warns_that_every_writer_is_trusted(found: Settings, tmp_path: Path) -> None:
    """A start without keys warns that everybody who may write is trusted."""
    apply_topics.apply(found)
    with worker(found, tmp_path):
        pass
    told = [json.loads(line) for line in (tmp_path / "worker.log").read_text("utf-8").splitlines() if line[:1] == "{"]

    [said] = [one for one in told if one["event"] == "revisions_unsigned"]
    assert said["level"] == "warning"
    assert "whoever may write to it" in said["what_follows"]


@pytest.mark.kafka
def test_an_unsigned_mounted_document_stops_the_start(
    found: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mounted document that nobody signed stops the start until it is published with a signature."""
    private, public = keygen(tmp_path)
    folder = tmp_path / "documents"
    folder.mkdir()
    file = folder / f"{NUMBER}.yaml"
    file.write_bytes(revised(packaged().document).canonical())
    keyed = found.model_copy(update={"policy_keys": public, "policies": (folder,)})
    with pytest.raises(DemoError) as caught, worker(keyed, tmp_path, "unsigned"):
        pass
    sent = len(everything_on(found, POLICY_REVISIONS))
    monkeypatch.setenv("DLI_POLICY_KEYS", str(public))
    first = run(found, "publish", written(tmp_path, packaged().document), "--author", OFFICE, "--execute")
    published = run(found, "publish", str(file), "--retroactive", "--key", str(private), "--execute")
    with worker(keyed, tmp_path, "signed"):
        assert eventually(lambda: revisions_known(found) == 20)

    assert "lacks the packaged revision of 2026-01-05, and nobody has signed it" in str(caught.value)
    assert sent == 0
    assert (first.code, published.code) == (0, 0), first.err + published.err
