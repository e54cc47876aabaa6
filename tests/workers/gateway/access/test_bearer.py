"""Whose request it is: every token that could be forged, or is another's, is refused."""

import asyncio
import base64
import hmac
import json
import ssl
import time
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

from tests.support.gateways import OTHER_TOKEN, TOKEN, write_clients
from workers.configuration.settings import SettingsError
from workers.gateway.access import key_set
from workers.gateway.access.bearer import Door, Issuer, NotLetInError
from workers.gateway.access.clients import ClientsFile
from workers.gateway.access.key_set import KeySource, KeysUnavailableError

ISSUER, AUDIENCE = "https://login.plan.example", "https://pas.plan.example/fhir"
pytestmark = pytest.mark.filterwarnings("ignore:Key size should be")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    WEAK = RSAKey.generate_key(1024, {"kid": "weak"})
KEYS: dict[str, Key] = {
    "rsa": RSAKey.generate_key(2048, {"kid": "rsa"}),
    "ec": ECKey.generate_key("P-256", {"kid": "ec"}),
    "weak": WEAK,
    "for another": RSAKey.generate_key(2048, {"kid": "for another"}),
    "of nobody": RSAKey.generate_key(2048, {"kid": "of nobody"}),
}


def published(*names: str) -> str:
    keys = [dict(KEYS[name].as_dict(private=False)) for name in names]
    return json.dumps({"keys": [key | ({"alg": "PS256"} if key["kid"] == "for another" else {}) for key in keys]})


def token(kid: str = "rsa", alg: str = "RS256", header: dict[str, Any] | None = None, **claims: Any) -> str:
    now = int(time.time())
    said = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 600, "nbf": now - 5, "client_id": "hospital-client"} | claims
    stated = {name: value for name, value in said.items() if value is not None}
    return jwt.encode({"alg": alg, "kid": kid} | (header or {}), stated, KEYS[kid], algorithms=[alg])


@pytest.fixture
def door(tmp_path: Path) -> Door:
    write_clients(tmp_path / "clients.yaml")
    (tmp_path / "keys.json").write_text(published("rsa", "ec", "weak", "for another"), "utf-8")
    keys = KeySource(str(tmp_path / "keys.json"), ssl.create_default_context)
    return Door(ClientsFile(tmp_path / "clients.yaml"), Issuer(ISSUER, AUDIENCE, keys))


def let_in(door: Door, *headers: str) -> str:
    return asyncio.run(door.client(list(headers))).partner


def refused(door: Door, *headers: str) -> str:
    with pytest.raises(NotLetInError) as caught:
        let_in(door, *headers)
    return str(caught.value)


def test_a_static_token_names_its_partner(door: Door) -> None:
    assert [let_in(door, f"Bearer {one}") for one in (TOKEN, OTHER_TOKEN)] == ["hospital", "other"]
    assert let_in(door, f"bearer  {TOKEN} ") == "hospital"


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("",),
        ("Bearer ",),
        (f"Basic {base64.b64encode(b'hospital:' + TOKEN.encode()).decode()}",),
        (TOKEN,),
        (f"Bearer {TOKEN}x",),
        (f"Bearer {TOKEN}", f"Bearer {TOKEN}"),
        ("Bearer " + "x" * 9_000,),
        ("Bearer \udcff\udcfe",),
        ("Bearer a.b.c",),
        ("Bearer ..",),
    ],
)
def test_no_token_of_ours_lets_nobody_in(door: Door, headers: tuple[str, ...]) -> None:
    assert TOKEN not in refused(door, *headers)


@pytest.mark.parametrize(
    ("named", "claims"),
    [
        ("client_id", {}),
        ("azp", {"client_id": None, "azp": "hospital-client"}),
        ("sub", {"client_id": None, "sub": "hospital-client"}),
        ("several audiences", {"aud": ["https://elsewhere.example", AUDIENCE]}),
        ("no start", {"nbf": None}),
    ],
)
def test_a_valid_token_names_its_partner(door: Door, named: str, claims: dict[str, Any]) -> None:
    assert let_in(door, f"Bearer {token(**claims)}") == "hospital", named
    assert let_in(door, f"Bearer {token('ec', 'ES256', **claims)}") == "hospital", named


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": 1}, "the token has expired"),
        ({"exp": None}, "the token is not valid here"),
        ({"exp": "tomorrow"}, "the token is not valid here"),
        ({"nbf": 9_999_999_999}, "the token is not valid here"),
        ({"aud": "https://elsewhere.example"}, "the token is not valid here"),
        ({"aud": None}, "the token is not valid here"),
        ({"iss": "https://login.elsewhere.example"}, "the token is not valid here"),
        ({"iss": None}, "the token is not valid here"),
        ({"client_id": "a-stranger", "sub": "hospital-client"}, "the token is not known"),
        ({"client_id": None}, "the token is not known"),
        ({"client_id": ["hospital-client"]}, "the token is not known"),
    ],
)
def test_a_token_for_others_or_of_another_time(door: Door, claims: dict[str, Any], why: str) -> None:
    assert refused(door, f"Bearer {token(**claims)}") == why


PRIVATE = RSAKey.import_key(KEYS["rsa"].as_dict(private=True)).private_key
FORGED = {"iss": ISSUER, "aud": AUDIENCE, "exp": 9_999_999_999, "client_id": "hospital-client"}


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def unsigned(algorithm: str) -> str:
    parts = [{"alg": algorithm, "kid": "rsa"}, FORGED]
    return ".".join(encoded(json.dumps(part).encode()) for part in parts) + "."


def by_the_public_key() -> str:
    """Signed by a "secret" that everybody knows: the published key."""
    signed = unsigned("HS256").removesuffix(".")
    public = RSAKey.import_key(KEYS["rsa"].as_dict(private=False)).as_pem(private=False)
    return f"{signed}.{encoded(hmac.digest(public, signed.encode(), 'sha256'))}"


def by_hand(header: dict[str, Any]) -> str:
    """Signed by their key, with a header that no library would write."""
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, FORGED))
    assert PRIVATE is not None
    return f"{signed}.{encoded(PRIVATE.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def test_a_token_by_hand_is_as_good_as_its_header(door: Door) -> None:
    assert let_in(door, f"Bearer {by_hand({'alg': 'RS256', 'kid': 'rsa'})}") == "hospital"


@pytest.mark.parametrize(
    "forged",
    [
        unsigned("none"),
        unsigned("None"),
        unsigned("RS256"),
        by_the_public_key(),
        token("of nobody"),
        token("of nobody", header={"kid": "rsa"}),
        token("weak"),
        token("for another"),
        token(header={"typ": "dpop+jwt"}),
        by_hand({"alg": "RS256", "kid": 7}),
        by_hand({"alg": "RS256"}),
        by_hand({"alg": "RS256", "kid": "rsa", "crit": ["b64"], "b64": False}),
        by_hand({"alg": ["RS256"], "kid": "rsa"}),
        token()[:-4] + "AAAA",
    ],
)
def test_a_token_that_is_not_signed_by_a_key_of_theirs(door: Door, forged: str) -> None:
    """Without a signature, by another algorithm, an unknown or weak key, or of another type."""
    assert refused(door, f"Bearer {forged}") in {"the token is not valid here", "the token is not known"}


def test_clients_are_read_again_when_they_change(door: Door, tmp_path: Path) -> None:
    """An unusable file changes nothing."""
    file = tmp_path / "clients.yaml"
    content = file.read_text("utf-8")
    file.write_text("partners: [", "utf-8")
    assert let_in(door, f"Bearer {TOKEN}") == "hospital"
    file.write_text(content.replace("hospital", "clinic"), "utf-8")
    assert let_in(door, f"Bearer {TOKEN}") == "clinic"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("partners: [", "is no YAML"),
        ("partners: []", "partners: "),
        ("partners: [{partner: a b}]", "partners.0.partner"),
        ("partners: [{partner: a, tokens: [secret]}]", "partners.0.tokens.0"),
        ("partners: [{partner: a}, {partner: a}]", "the same partner"),
        ("partners: [{partner: a, oauth_clients: [x]}, {partner: b, oauth_clients: [x]}]", "the same OAuth client"),
        ("partners: [{partner: a, endpoints: ['http://h.example/']}]", "should be https"),
        ("partners: [{partner: a, password: x}]", "partners.0.password"),
    ],
)
def test_a_clients_file_that_cannot_be_used(tmp_path: Path, content: str, says: str) -> None:
    """The error names the place, and never a value."""
    file = tmp_path / "clients.yaml"
    file.write_text(content, "utf-8")
    with pytest.raises(SettingsError) as caught:
        ClientsFile(file)

    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


# --- the keys of an authorization server ------------------------------------------------------------------------------


class Server:
    """An authorization server's keys."""

    def __init__(self) -> None:
        self.body, self.status, self.asked = published("rsa"), 200, 0
        serving = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                serving.asked += 1
                self.send_response(serving.status)
                self.send_header("Location", serving.url)
                self.send_header("Content-Length", str(len(serving.body)))
                self.end_headers()
                self.wfile.write(serving.body.encode())

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 (the base's name)
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/keys"


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    thread = Thread(target=one.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield one
    one.server.shutdown()
    one.server.server_close()
    thread.join(10)


class Clock:
    """Seconds that a test lets pass."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def kids(source: KeySource, *wanted: str) -> list[bool]:
    async def ask() -> list[bool]:
        return [await source.key(kid) is not None for kid in wanted]

    return asyncio.run(ask())


def test_keys_are_fetched_once_and_renewed(server: Server) -> None:
    """A key that is not known yet is asked for; strangers' names do not make us ask for each."""
    clock = Clock()
    source = KeySource(server.url, ssl.create_default_context, clock)
    assert (kids(source, "rsa", "ec", "x", "y"), server.asked) == ([True, False, False, False], 1)
    server.body = published("ec")
    clock.now += key_set.UNKNOWN_SECONDS
    assert (kids(source, "ec", "rsa"), server.asked) == ([True, False], 2)
    clock.now += key_set.FRESH_SECONDS
    assert (kids(source, "ec"), server.asked) == ([True], 3)


@pytest.mark.parametrize(
    ("status", "body"), [(500, ""), (302, ""), (200, "no keys"), (200, '{"keys": []}'), (200, "[]")]
)
def test_keys_are_kept_while_their_server_is_away(server: Server, status: int, body: str) -> None:
    """For a day; then no token can be verified."""
    clock = Clock()
    source = KeySource(server.url, ssl.create_default_context, clock)
    assert kids(source, "rsa") == [True]
    server.status, server.body = status, body
    clock.now += key_set.STALE_SECONDS - 1
    assert kids(source, "rsa") == [True]
    clock.now += 1
    with pytest.raises(KeysUnavailableError):
        kids(source, "rsa")


def test_keys_come_encrypted_or_from_this_machine(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="should be https"):
        KeySource("http://login.plan.example/keys", ssl.create_default_context)
    with pytest.raises(KeysUnavailableError):
        kids(KeySource(str(tmp_path / "missing.json"), ssl.create_default_context), "rsa")
