"""Publishers' keys, and revisions that are signed with them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policy_core.history.chain import Chain, chain_of
from policy_core.history.publication_terms import Terms
from policy_core.publications.publication import Publication
from policy_core.publications.signatures import Keyring, keyring, public_text, sign
from tests.support.cases import packaged
from tests.support.chains import OTHER, gestational_covered, next_one
from workers.policies.revision_events import (
    Outcome,
    Packaged,
    Seen,
    Verdict,
    as_record,
    judge,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


OFFICE = "Policy office"


AT = round(datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp() * 1000)


KNOWN = {OTHER.policy: OTHER}


def keys(policy: str = "EV-12", key: Ed25519PrivateKey = KEY, name: str = OFFICE, until: str = "2027-01-01") -> bytes:
    one = f"  - {{name: {name}, public: {public_text(key)}, from: 2026-01-01, until: {until}}}"
    return f"policy: {policy}\nkeys:\n{one}\n".encode()


def ring(**fields: Any) -> Keyring:
    return keyring([("keys.yaml", keys(**fields))])


TERMS = Terms(ring())


def signed(one: Publication, key: Ed25519PrivateKey = KEY) -> Publication:
    return replace(one, signature=sign(key, one.digest))


def seen(one: Publication, offset: int = 3, at: int = AT) -> Seen:
    record = as_record(one, "policy.revisions", "/s", "structured")
    return Seen(offset, at, record.value, record.headers)


def judged(one: Publication, terms: Terms = TERMS, **where: int) -> Verdict:
    return judge(KNOWN, terms, Packaged(), seen(one, **where))


def why(verdict: Verdict) -> tuple[str, str]:
    assert (verdict.outcome, verdict.chain) == (Outcome.REFUSED, None)
    assert verdict.rejected is not None
    assert verdict.rejected.reason == "revision_refused"
    [error] = verdict.rejected.errors
    return error.path, error.message


def ours(**fields: Any) -> Publication:
    """The next revision, by whom the key stands for; not signed yet."""
    return next_one(gestational_covered, **{"author": OFFICE, "retroactive": True, **fields})


def packaged_chain() -> Chain:
    return chain_of(packaged().document)
