"""Keys and signatures: who vouches for what, at which time, and what is said where nobody does."""

import base64
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_core.document.problems import PolicyDocumentError
from policy_core.history.library import PACKAGED
from policy_core.history.publication_terms import Anchor, Terms, released
from policy_core.publications.signatures import (
    CONTEXT,
    Keyring,
    PrivateKeyError,
    Signature,
    SignatureError,
    as_pem,
    from_pem,
    id_of,
    keyring,
    public_text,
    sign,
)
from tests.support.packaged import packaged_library

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
AT = datetime(2026, 6, 1, tzinfo=UTC)
DIGEST = "5" * 64
OFFICE = "Medical policy office"


def written(*lines: str, policy: str = "EX-1") -> bytes:
    return "\n".join([f"policy: {policy}", "keys:", *lines]).encode()


def entry(
    key: Ed25519PrivateKey = KEY, name: str = OFFICE, since: str = "2026-01-01", until: str = "2027-01-01"
) -> str:
    return f"  - {{name: {name}, public: {public_text(key)}, from: {since}, until: {until}}}"


def ring(*entries: str) -> Keyring:
    return keyring([("keys.yaml", written(*(entries or (entry(),))))])


# --- who vouches ---------------------------------------------------------------------------------------------------


def test_a_signature_is_ed25519s_on_the_context_and_the_digest() -> None:
    """So that any other software can make and prove one."""
    made = sign(KEY, DIGEST)

    assert made.key == sha256(KEY.public_key().public_bytes_raw()).hexdigest()
    KEY.public_key().verify(made.value, CONTEXT + bytes.fromhex(DIGEST))
    assert CONTEXT == b"dli-authorization policy.revision.published.v1\0"


@pytest.mark.parametrize("at", [SINCE, AT, UNTIL - timedelta(milliseconds=1)])
def test_a_key_vouches_within_its_time(at: datetime) -> None:
    key = ring().signer("EX-1", DIGEST, sign(KEY, DIGEST), at)

    assert (key.name, key.id) == (OFFICE, id_of(KEY))


REFUSED = [
    ("no signature", "EX-1", None, AT, "is absent"),
    ("an unknown key", "EX-1", sign(OTHER_KEY, DIGEST), AT, "which is none of EX-1's"),
    ("another policy's key", "EX-2", sign(KEY, DIGEST), AT, "which is none of EX-2's"),
    ("before its time", "EX-1", sign(KEY, DIGEST), SINCE - timedelta(milliseconds=1), "was not valid yet"),
    ("after its time", "EX-1", sign(KEY, DIGEST), UNTIL, "was valid no more"),
    ("no time", "EX-1", sign(KEY, DIGEST), None, "has no time of the broker"),
    ("on something else", "EX-1", sign(KEY, "6" * 64), AT, "is none of the key"),
    ("by somebody else", "EX-1", Signature(id_of(KEY), sign(OTHER_KEY, DIGEST).value), AT, "is none of the key"),
    ("cut off", "EX-1", Signature(id_of(KEY), sign(KEY, DIGEST).value[:-1]), AT, "is none of the key"),
]


@pytest.mark.parametrize(
    ("policy", "signature", "at", "why"), [one[1:] for one in REFUSED], ids=[o[0] for o in REFUSED]
)
def test_nobody_else_vouches_and_it_is_said_why(
    policy: str, signature: Signature | None, at: datetime | None, why: str
) -> None:
    with pytest.raises(SignatureError, match=why):
        ring().signer(policy, DIGEST, signature, at)


@settings(deadline=None)  # the first signature loads what proves them
@given(st.integers(0, 511), st.binary(min_size=32, max_size=32).map(bytes.hex))
def test_an_altered_signature_or_digest_is_refused(bit: int, other: str) -> None:
    """A signature with any bit changed, or on any other digest, is refused."""
    made = sign(KEY, DIGEST)
    changed = bytearray(made.value)
    changed[bit // 8] ^= 1 << bit % 8

    with pytest.raises(SignatureError, match="is none of the key"):
        ring().signer("EX-1", DIGEST, Signature(made.key, bytes(changed)), AT)
    if other != DIGEST:
        with pytest.raises(SignatureError, match="is none of the key"):
            ring().signer("EX-1", other, made, AT)


# --- files of keys -------------------------------------------------------------------------------------------------


def test_several_files_and_keys_make_one_ring() -> None:
    found = keyring(
        [
            ("a.yaml", written(entry(), entry(OTHER_KEY, "Somebody else", until="2026-02-01T12:00:00Z"))),
            ("b.yaml", written(entry(OTHER_KEY), policy="EX-2")),
        ]
    )

    assert [(one.name, one.until) for one in found.of("EX-1")] == [
        (OFFICE, UNTIL),
        ("Somebody else", datetime(2026, 2, 1, 12, tzinfo=UTC)),
    ]
    assert [one.id for one in found.of("EX-2")] == [id_of(OTHER_KEY)]
    assert found.of("EX-3") == ()


def test_a_key_without_an_end_is_valid_for_good() -> None:
    found = ring(f"  - {{name: X, public: {public_text(KEY)}, from: 2026-01-01}}")

    assert found.signer("EX-1", DIGEST, sign(KEY, DIGEST), datetime(2999, 1, 1, tzinfo=UTC)).until is None


SHORT = base64.b64encode(b"x" * 31).decode()
BAD = [
    (b"keys: []", "keys.yaml: policy: missing"),
    (b"- a", "not a mapping; a file of keys begins with `policy: …`"),
    (written(entry(), entry()), "keys.1.public: the key .* is there already for EX-1"),
    (written("  - {name: X, public: abc, from: 2026-01-01}"), "keys.yaml:3: keys.0.public: is no public key"),
    (written(f"  - {{name: X, public: {SHORT}, from: 2026-01-01}}"), "keys.0.public: is no public key"),
    (written(entry(until="2026-01-01")), "keys.0.until: is not after `from`"),
    (written(entry(since="soon")), "keys.0.from: "),
    (written(entry(since="2026")), "keys.0.from: should be a day or an instant"),
    (written(f"  - {{name: X, public: {public_text(KEY)}}}"), "keys.0.from: missing"),
    (written(f"  - {{nam: X, public: {public_text(KEY)}, from: 2026-01-01}}"), "keys.0.nam: unknown field"),
    (written("  - &a {name: X}"), "anchors"),
    (b"\xff", "not UTF-8"),
]


@pytest.mark.parametrize(("raw", "why"), BAD)
def test_a_mistake_in_a_key_file_is_reported_at_its_place(raw: bytes, why: str) -> None:
    """A mistake in a file of keys is reported in a sentence, with its place."""
    with pytest.raises(PolicyDocumentError, match=why):
        keyring([("keys.yaml", raw)])


# --- private keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("passphrase", [None, b"word"])
def test_a_private_key_reads_back_from_pem(passphrase: bytes | None) -> None:
    pem = as_pem(KEY, passphrase)

    assert id_of(from_pem(pem, passphrase)) == id_of(KEY)
    assert (b"ENCRYPTED" in pem) == (passphrase is not None)
    assert id_of(from_pem(as_pem(KEY), b"needless")) == id_of(KEY)


def curve() -> bytes:
    return generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("raw", "passphrase", "why"),
    [
        (as_pem(KEY, b"word"), None, "is encrypted, and no passphrase is given"),
        (as_pem(KEY, b"word"), b"other", "or its passphrase is another"),
        (b"nothing", None, "is no private key in PEM"),
        (curve(), None, "but not one of Ed25519"),
    ],
)
def test_what_is_no_private_key_of_ours_is_a_sentence(raw: bytes, passphrase: bytes | None, why: str) -> None:
    with pytest.raises(PrivateKeyError, match=why):
        from_pem(raw, passphrase)


# --- terms ---------------------------------------------------------------------------------------------------------


def test_every_packaged_publication_is_on_the_released_list() -> None:
    """A release that packages more adds lines; none is ever taken away."""
    library = packaged_library()
    packaged = {one.digest for number in library.numbers for one in library.chain(number)}

    assert len(packaged) >= 19
    assert packaged - released() == set()
    assert all(len(one) == 64 for one in released())


def test_a_line_of_the_released_list_stays_for_ever() -> None:
    """If this fails, the document is wrong, or the list was edited: only add lines at its end."""
    lines = [line for line in (PACKAGED / "released.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    first = "".join(f"{line}\n" for line in lines[:19])

    assert sha256(first.encode()).hexdigest() == "e63779e5db0b195b0679c09e14d2844fd76ce05fc44ce475ad3b9d11e5077049"


def test_unpackaged_publications_behind_the_anchor_need_signing() -> None:
    """Behind the anchor, every publication that no release packaged needs a signature."""
    packaged = next(iter(released()))
    anchored = Terms(ring(), Anchor(18, DIGEST))

    assert [anchored.wants_signature(offset, DIGEST) for offset in (0, 18, 19)] == [False, False, True]
    assert [Terms(ring()).wants_signature(0, one) for one in (DIGEST, packaged)] == [True, False]
    assert Terms().wants_signature(99, DIGEST) is False


@pytest.mark.parametrize("text", ["", "18", "18@", "@" + DIGEST, "18@" + DIGEST[1:], "-1@" + DIGEST, "18@" + "Z" * 64])
def test_what_is_no_anchor_is_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is written as OFFSET@DIGEST"):
        Anchor.parse(text)


@settings(deadline=None)  # the first signature loads what proves them
@given(st.integers(0, 10**18 - 1), st.binary(min_size=32, max_size=32).map(bytes.hex))
def test_an_anchor_reads_back_as_it_is_written(offset: int, digest: str) -> None:
    assert Anchor.parse(str(Anchor(offset, digest))) == Anchor(offset, digest)
