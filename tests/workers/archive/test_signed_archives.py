"""Who made an archive: an alteration is told from damage, and what nobody who is known signed is refused."""

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from events.topics import DECISIONS
from tests.support.commands import Ran, dli
from tests.support.event_logs import MemorySource, archived, changed, recorded
from tests.support.packaged import packaged_library
from workers.archive import archive_signature as signing
from workers.archive import manifest
from workers.archive.archive_signature import SignatureError
from workers.archive.archive_source import ArchiveSource
from workers.configuration.settings import read
from workers.event_log.source import Format, ReplayError
from workers.topics import restore_archive
from workers.traffic.generate import Generator

NAME = "archives-office"


def private(folder: Path, key: Ed25519PrivateKey, passphrase: bytes | None = None) -> Path:
    file = folder / "private.key"
    guarded = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, guarded))
    file.chmod(0o600)
    return file


def public(folder: Path, **keys: Ed25519PrivateKey) -> Path:
    folder.mkdir(exist_ok=True)
    for name, key in keys.items():
        raw = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name.replace('_', '-')}.pem").write_bytes(raw)
    return folder


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def keys(tmp_path: Path, key: Ed25519PrivateKey) -> Path:
    return public(tmp_path / "keys", archives_office=key)


@pytest.fixture(scope="module")
def log() -> MemorySource:
    return recorded(list(Generator(9).lines(60)), packaged_library())


def signed(log: MemorySource, folder: Path, key: Ed25519PrivateKey, form: Format = Format.JSONL) -> Path:
    archived(log, folder, form)
    signing.sign(folder, (folder / manifest.NAME).read_bytes(), key)
    return folder


def check(folder: Path, keys: Path) -> Ran:
    return dli("replay", "check", str(folder), "--keys", str(keys))


def refused(folder: Path, keys: Path, work: Path, says: str) -> bool:
    """Whether everybody who decides by an archive refuses it with that sentence, before Kafka is even asked."""
    place = ("--work", str(work), "--keys", str(keys))
    what_if = ("replay", "what-if", str(folder), "--policy", "2025-03-28", *place, "--publish", "x")
    told = [dli("replay", "verify", str(folder), *place), dli(*what_if)]
    with pytest.raises(SignatureError) as restored:
        restore_archive.opened([folder], lambda _: None, keys)
    return all((one.code, says in said(one)) == (1, True) for one in told) and says in str(restored.value)


def told_by_everybody(folder: Path, keys: Path | None, work: Path) -> list[str]:
    """What is said of an archive that is taken."""
    place = ("--work", str(work), *(("--keys", str(keys)) if keys is not None else ()))
    heard: list[str] = []
    restore_archive.opened([folder], heard.append, keys)
    what_if = ("replay", "what-if", str(folder), "--policy", "2025-03-28", *place)
    return [said(dli("replay", "verify", str(folder), *place)), said(dli(*what_if)), *heard]


def said(ran: Ran) -> str:
    return " ".join((ran.out + ran.err).split())


def test_whose_an_archive_is_is_told_by_everybody_who_reads_it(
    log: MemorySource, tmp_path: Path, key: Ed25519PrivateKey, keys: Path
) -> None:
    folder = signed(log, tmp_path / "kept", key)

    told = [said(check(folder, keys)), *told_by_everybody(folder, keys, tmp_path / "work")]

    assert [f"signed by {NAME} at 20" in one for one in told] == [True] * 4
    assert stat.S_IMODE((folder / signing.NAME).stat().st_mode) == 0o600


def test_an_unsigned_archive_is_refused_once_keys_are_known(log: MemorySource, tmp_path: Path, keys: Path) -> None:
    """An unsigned archive is read where no keys are known and refused where some are."""
    folder = archived(log, tmp_path / "kept", Format.JSONL)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    anybody, checked = dli("replay", "check", str(folder)), check(folder, keys)

    assert (anybody.code, "kept: unsigned" in said(anybody)) == (0, True)
    assert (checked.code, "kept: unsigned, and refused" in " ".join(checked.out.split())) == (3, True)
    assert ["kept: unsigned" in one for one in told_by_everybody(folder, None, tmp_path / "work")] == [True] * 3
    assert refused(folder, keys, tmp_path / "work", "unsigned, and refused")
    restored = dli("restore", str(folder), "--keys", str(keys))
    assert (restored.code, "unsigned, and refused" in said(restored)) == (1, True)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


def test_an_unchecked_signature_is_reported_as_unchecked(
    log: MemorySource, tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    """A signature that nobody has checked against a public key is reported as unchecked."""
    ran = dli("replay", "check", str(signed(log, tmp_path / "kept", key)))

    assert (ran.code, "which nobody held against a public key" in said(ran)) == (0, True)


# --- altered -------------------------------------------------------------------------------------------------------


def forged_record(log: MemorySource, folder: Path) -> None:
    """Another record, with a manifest whose digests are right."""
    there = list(log.records[log.topic(DECISIONS), 1])
    there[5] = there[5]._replace(value=(there[5].value or b"").replace(b'"A', b'"B', 1))
    other = archived(changed(log, DECISIONS, 1, there), folder.with_name("other"), Format.JSONL)
    shutil.copytree(other, folder, dirs_exist_ok=True)
    assert dli("replay", "check", str(folder)).code == 0


def shorter_range(_log: MemorySource, folder: Path) -> None:
    """A partition's end left out: what is left has all its digests right."""
    tree = json.loads((folder / manifest.NAME).read_text("utf-8"))
    gone = next(one for one in tree["segments"] if one["topic"].endswith(DECISIONS))
    tree["segments"].remove(gone)
    for one in tree["partitions"]:
        if (one["topic"], one["partition"]) == (gone["topic"], gone["partition"]):
            one["end"] = one["first"]
    (folder / manifest.NAME).write_text(json.dumps(tree), "utf-8")
    (folder / gone["file"]).unlink()
    assert dli("replay", "check", str(folder)).code == 0


def no_longer_to_the_end(_log: MemorySource, folder: Path) -> None:
    text = (folder / manifest.NAME).read_text("utf-8")
    assert '"to_end":true' in text
    (folder / manifest.NAME).write_text(text.replace('"to_end":true', '"to_end":false', 1), "utf-8")


def of_somebody_else(_log: MemorySource, folder: Path) -> None:
    """Signed with a key that nobody knows."""
    (folder / signing.NAME).unlink()
    signing.sign(folder, (folder / manifest.NAME).read_bytes(), Ed25519PrivateKey.generate())


def in_somebodys_name(_log: MemorySource, folder: Path) -> None:
    """Signed with another key under the known one's id."""
    before = json.loads((folder / signing.NAME).read_text("utf-8"))
    of_somebody_else(_log, folder)
    after = json.loads((folder / signing.NAME).read_text("utf-8"))
    (folder / signing.NAME).write_text(json.dumps(after | {"key": before["key"]}), "utf-8")


ALTERED: dict[str, tuple[Callable[[MemorySource, Path], None], str]] = {
    "a record": (forged_record, f"tampered with: it is not the one that {NAME} signed"),
    "a range": (shorter_range, f"tampered with: it is not the one that {NAME} signed"),
    "what the manifest says": (no_longer_to_the_end, f"tampered with: it is not the one that {NAME} signed"),
    "the signer": (of_somebody_else, "which is none of those in"),
    "the signature": (in_somebodys_name, f"tampered with: {NAME} did not sign what it says"),
}


@pytest.mark.parametrize("what", ALTERED)
def test_what_was_altered_is_refused_as_tampered_with(
    log: MemorySource, tmp_path: Path, key: Ed25519PrivateKey, keys: Path, what: str
) -> None:
    folder = signed(log, tmp_path / "kept", key)
    alter, says = ALTERED[what]
    alter(log, folder)

    ran = check(folder, keys)

    assert (ran.code, says in said(ran)) == (3, True), said(ran)
    assert refused(folder, keys, tmp_path / "work", says)


def test_an_older_manifest_in_the_place_of_a_newer_one_is_told(
    log: MemorySource, tmp_path: Path, key: Ed25519PrivateKey, keys: Path
) -> None:
    """With its own signature; the files that it names are there, and more."""
    less = {where: one for where, one in log.records.items() if where != (log.topic(DECISIONS), 1)}
    older = signed(MemorySource(less), tmp_path / "older" / "kept", key)
    folder = signed(log, tmp_path / "kept", key)
    for name in (manifest.NAME, signing.NAME):
        shutil.copy(older / name, folder / name)

    with pytest.raises(SignatureError, match=r"decisions/1/0+\.jsonl is there, and not in the manifest that"):
        _ = ArchiveSource(folder, keys_in=keys).manifest


def test_an_older_archive_in_the_place_of_a_newer_one_is_told(
    log: MemorySource, tmp_path: Path, key: Ed25519PrivateKey, keys: Path
) -> None:
    older = signed(log, tmp_path / "2026-03-01T02-00-00Z", key)
    copied = tmp_path / "elsewhere" / older.name
    shutil.copytree(older, copied)
    older.rename(tmp_path / "2026-03-02T02-00-00Z")

    assert ArchiveSource(copied, keys_in=keys).standing.name == NAME
    with pytest.raises(SignatureError, match=f"{NAME} signed it as 2026-03-01T02-00-00Z"):
        _ = ArchiveSource(tmp_path / "2026-03-02T02-00-00Z", keys_in=keys).manifest


def test_successive_archives_are_restored_only_without_gaps(
    log: MemorySource, tmp_path: Path, key: Ed25519PrivateKey, keys: Path
) -> None:
    """Archives that continue one another are restored only if none of them is missing."""
    folders = [archived(log, tmp_path / name, Format.JSONL) for name in ("one", "two", "three")]
    # They have the same records: what they go on from is told by their manifests, which so must differ.
    for number, folder in enumerate(folders):
        one = ArchiveSource(folder).manifest
        ranges = tuple(kept.model_copy(update={"end": kept.end + number}) for kept in one.partitions)
        manifest.save(folder, one.model_copy(update={"partitions": ranges}))
    before: str | None = None
    for folder in folders:
        signing.sign(folder, (folder / manifest.NAME).read_bytes(), key, before)
        before = ArchiveSource(folder).digest

    assert len(restore_archive.opened(folders, lambda _: None, keys).sources) == 3
    assert len(restore_archive.opened(folders[1:], lambda _: None, keys).sources) == 2
    with pytest.raises(ReplayError, match="three: was signed as what goes on from another archive than"):
        restore_archive.opened([folders[0], folders[2]], lambda _: None, keys)


spoilings = st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=3), st.integers(0, 3))


@given(how=spoilings)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_spoiled_signature_vouches_for_nothing_else(small: tuple[Path, Path], how: tuple[float, bytes, int]) -> None:
    """A signature that is spoiled anywhere vouches for nothing else."""
    folder, keys = small
    file = folder / signing.NAME
    whole = file.read_bytes()
    at = int(how[0] * (len(whole) - 1))
    before = ArchiveSource(folder, keys_in=keys).standing
    file.write_bytes(whole[:at] + how[1] + whole[at + how[2] :])
    try:
        after = ArchiveSource(folder, keys_in=keys).standing
    except SignatureError:
        return
    finally:
        file.write_bytes(whole)

    assert after == before


@pytest.fixture(scope="module")
def small(log: MemorySource, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    base = tmp_path_factory.mktemp("small")
    key = Ed25519PrivateKey.generate()
    return signed(log, base / "kept", key), public(base / "keys", archives_office=key)


# --- damaged -------------------------------------------------------------------------------------------------------


def files_of(folder: Path) -> list[Path]:
    return sorted(folder / one.file for one in ArchiveSource(folder).manifest.segments if DECISIONS in one.topic)


def rot(folder: Path) -> list[Path]:
    file = files_of(folder)[0]
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 4
    file.write_bytes(raw)
    return [file]


def remove(folder: Path) -> list[Path]:
    file = files_of(folder)[0]
    file.unlink()
    return [file]


def swap(folder: Path) -> list[Path]:
    one, other = files_of(folder)
    one.rename(folder / "between")
    other.rename(one)
    (folder / "between").rename(other)
    return [one, other]


def cut(folder: Path) -> list[Path]:
    file = files_of(folder)[1]
    file.write_bytes(file.read_bytes()[:-100])
    return [file]


@pytest.mark.parametrize("damage", [rot, remove, swap, cut])
def test_damage_is_told_by_its_file_and_not_as_tampering(
    log: MemorySource, tmp_path: Path, key: Ed25519PrivateKey, keys: Path, damage: Callable[[Path], list[Path]]
) -> None:
    folder = signed(log, tmp_path / "kept", key, Format.PARQUET)
    spoiled = damage(folder)

    ran = check(folder, keys)

    assert ran.code == 3
    named = [line for line in ran.out.splitlines() if "damaged or altered: " in line]
    assert [line.partition(": ")[0] for line in named] == [one.relative_to(folder).as_posix() for one in spoiled]
    assert "tampered" not in said(ran)
    assert f"signed by {NAME}" in said(ran)
    verified = dli("replay", "verify", str(folder), "--keys", str(keys), "--work", str(tmp_path / "work"))
    assert (verified.code, "damaged: t.authorization.decisions/" in said(verified)) == (3, True), said(verified)
    with pytest.raises(ReplayError, match=r"damaged or altered: .*; nothing is restored from it"):
        restore_archive.opened([folder], lambda _: None, keys)


# --- keys ----------------------------------------------------------------------------------------------------------


def test_an_unsigned_archive_is_signed_only_if_it_is_intact(
    log: MemorySource, tmp_path: Path, key: Ed25519PrivateKey, keys: Path
) -> None:
    """An archive made without a key can be signed only where every file is as it was kept."""
    sound, spoiled = (archived(log, tmp_path / name, Format.JSONL) for name in ("sound", "spoiled"))
    rot(spoiled)
    flag = ("--key", str(private(tmp_path, key)))

    done, differs = dli("replay", "sign", str(sound), *flag), dli("replay", "sign", str(spoiled), *flag)
    again, keyless = dli("replay", "sign", str(sound), *flag), dli("replay", "sign", str(spoiled))

    assert (done.code, check(sound, keys).code) == (0, 0)
    assert (differs.code, (spoiled / signing.NAME).exists()) == (3, False)
    assert (again.code, "is not signed over" in said(again)) == (1, True)
    assert (keyless.code, "with which key?" in said(keyless)) == (1, True)


def test_a_private_key_may_have_a_passphrase(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    file = private(tmp_path, key, b"swordfish")

    found = signing.private_key(read(archive_key=file, archive_key_passphrase=SecretStr("swordfish")))

    assert found is not None
    assert found.private_bytes_raw() == key.private_bytes_raw()
    assert signing.private_key(read()) is None
    with pytest.raises(ReplayError, match="is encrypted, and no passphrase is given"):
        signing.private_key(read(archive_key=file))
    with pytest.raises(ReplayError, match="or its passphrase is another"):
        signing.private_key(read(archive_key=file, archive_key_passphrase=SecretStr("herring")))


def test_a_private_key_that_cannot_be_used_is_a_sentence(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    other = tmp_path / "other.key"
    raw = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    other.write_bytes(raw)
    other.chmod(0o600)
    text = tmp_path / "text.key"
    text.write_text("no key", "utf-8")
    text.chmod(0o600)
    large = tmp_path / "large.key"
    large.write_bytes(b"x" * 20_000)
    shown = private(tmp_path, key)
    shown.chmod(0o644)

    for file, says in (
        (other, "but not one of Ed25519"),
        (text, "is no private key in PEM"),
        (large, "is too large for a key"),
        (shown, "anybody on this machine may read it: chmod 600"),
        (tmp_path / "nowhere", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(ReplayError, match=says):
            signing.private_key(read(archive_key=file))


def test_public_keys_that_cannot_be_used_are_a_sentence(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    empty, text, twice, secret, other = (tmp_path / one for one in ("empty", "text", "twice", "secret", "other"))
    for one in (empty, text, secret, other):
        one.mkdir()
    (text / "a.pem").write_text("no key", "utf-8")
    public(twice, a=key, b=key)
    shutil.copy(private(tmp_path, key), secret / "a.pem")
    raw = generate_private_key(SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (other / "a.pem").write_bytes(raw)

    for folder, says in (
        (empty, "no public keys there"),
        (tmp_path / "nowhere", "no public keys there"),
        (text, "is no public key in PEM"),
        (secret, "is no public key in PEM"),
        (twice, "is the key of a; a key has one name"),
        (other, "but not one of Ed25519"),
    ):
        with pytest.raises(ReplayError, match=says):
            signing.public_keys(folder)
