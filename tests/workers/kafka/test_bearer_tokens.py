"""Bearer tokens: from a file or a real HTTPS endpoint, good whenever they are used, and in no sentence."""

import asyncio
import base64
import json
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest
import structlog
import trustme
from aiokafka.conn import OAuthAuthenticator
from kafka.net.sasl.oauth import SaslMechanismOAuth

from workers.configuration.settings import Settings, SettingsError, read
from workers.kafka import connect
from workers.kafka.bearer_tokens import Client, TokenEndpoint, TokenError, TokenFile, Tokens

SECRET = "marked-secret"  # noqa: S105 (of a test's own endpoint)


class Endpoint:
    """A token endpoint; what it answers next can be set."""

    def __init__(self, authority: trustme.CA) -> None:
        self.asked: list[dict[str, Any]] = []
        self.status, self.life, self.body = 200, 100, ""
        asked = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                proof = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
                asked.asked.append({"path": self.path, "form": parse_qs(form), "proof": proof})
                given = {"access_token": f"marked-token-{len(asked.asked)}", "expires_in": asked.life}
                body = (asked.body or json.dumps(given)).encode()
                self.send_response(asked.status)
                self.send_header("Content-Length", str(len(body)))
                if asked.status == 302:
                    self.send_header("Location", asked.url)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 (the base's name)
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(context)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_address[1]}/realms/plan/token"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    one = trustme.CA()
    one.cert_pem.write_to_path(tmp_path / "ca.pem")
    return one


@pytest.fixture
def endpoint(authority: trustme.CA) -> Iterator[Endpoint]:
    one = Endpoint(authority)
    thread = Thread(target=one.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield one
    one.stop()
    thread.join(10)


class Clock:
    """Seconds that a test lets pass."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def source(endpoint: Endpoint, folder: Path, clock: Clock, client_id: str = "dli-worker") -> TokenEndpoint:
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    return TokenEndpoint(endpoint.url, Client(client_id, lambda: SECRET, "kafka"), context, clock)


def test_a_token_is_requested_by_the_standard_and_reused(endpoint: Endpoint, tmp_path: Path) -> None:
    """Client credentials in the header, each encoded as in a form; the next token at four fifths of its life."""
    clock = Clock()
    one = source(endpoint, tmp_path, clock, "dli:worker")
    used = []
    for seconds in (0, 79, 1, 79, 1):
        clock.now += seconds
        used.append(one.token()[-1])

    assert used == ["1", "1", "2", "2", "3"]
    assert endpoint.asked[0] == {
        "path": "/realms/plan/token",
        "form": {"grant_type": ["client_credentials"], "scope": ["kafka"]},
        "proof": f"dli%3Aworker:{SECRET}",
    }


def test_a_token_is_used_to_its_end_while_its_endpoint_is_away(endpoint: Endpoint, tmp_path: Path) -> None:
    """What is held is good; after its end nothing is."""
    clock = Clock()
    one = source(endpoint, tmp_path, clock)
    first = one.token()
    endpoint.status = 503
    with structlog.testing.capture_logs() as logs:
        clock.now += 99
        held = one.token()
        clock.now += 1
        with pytest.raises(TokenError, match="localhost: answered 503"):
            one.token()
    endpoint.status = 200

    assert (held, one.token() == first) == (first, False)
    assert [one["event"] for one in logs] == ["token_not_renewed"]
    assert "marked" not in str(logs)


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (401, "", "answered 401; see DLI_OAUTH_CLIENT_ID and its secret"),
        (200, "<html>", "answered with what is no JSON"),
        (200, "[]", "answered without an access_token"),
        (200, '{"access_token": ""}', "answered without an access_token"),
        (200, '{"access_token": 7}', "answered without an access_token"),
        (200, "[" * 1_000_000, "answered with what is no JSON"),
        (302, "", "answered 302"),
    ],
    ids=["refused", "page", "list", "empty", "number", "endless", "elsewhere"],
)
def test_an_endpoint_that_gives_no_token_is_named(
    status: int, body: str, sentence: str, endpoint: Endpoint, tmp_path: Path
) -> None:
    """And nothing of its answer or of our secret is in the sentence; nobody else is asked, wherever it points."""
    endpoint.status, endpoint.body = status, body

    with pytest.raises(TokenError, match=sentence) as refused:
        source(endpoint, tmp_path, Clock()).token()

    assert "marked" not in str(refused.value)
    assert len(endpoint.asked) == 1


def test_an_endpoint_with_an_untrusted_certificate_is_not_asked(endpoint: Endpoint) -> None:
    """Our secret would go to whoever is there."""
    one = TokenEndpoint(endpoint.url, Client("a", lambda: SECRET, None), ssl.create_default_context())

    with pytest.raises(TokenError, match="its certificate is not trusted"):
        one.token()

    assert endpoint.asked == []


@pytest.mark.parametrize("life", ['"soon"', "null", "-1", '"\u00b2"', f'"{"9" * 400}"', "true", "[]"])
def test_a_life_that_is_none_is_taken_for_a_short_one(life: str, endpoint: Endpoint, tmp_path: Path) -> None:
    """The token is good; how long, RFC 6749 leaves open."""
    endpoint.body = f'{{"access_token": "x", "expires_in": {life}}}'

    clock = Clock()
    one = source(endpoint, tmp_path, clock)
    first = one.token()
    clock.now += 86_400
    endpoint.body = '{"access_token": "y"}'

    assert (first, one.token()) == ("x", "y")


def test_a_file_gives_what_it_has_when_it_is_used(tmp_path: Path) -> None:
    """As Kubernetes renews the tokens of service accounts."""
    file = tmp_path / "token"
    one = TokenFile(file)
    with pytest.raises(TokenError, match=r"DLI_OAUTH_TOKEN_FILE: .*token: No such file"):
        one.token()
    file.write_text("first\n")
    used = [one.token()]
    file.write_text("second\n")
    used.append(one.token())
    file.write_bytes(b"\xff")
    with pytest.raises(TokenError, match="UnicodeDecodeError"):
        one.token()
    file.write_text("\n")
    with pytest.raises(TokenError, match="is empty; whoever renews it must write a token"):
        one.token()

    assert used == ["first", "second"]


def test_either_client_sends_the_token_of_the_moment(tmp_path: Path) -> None:
    """One provider serves both, as the arguments of clients do."""
    file = tmp_path / "token"
    provider = Tokens(TokenFile(file))
    file.write_text("one")
    sent = SaslMechanismOAuth(sasl_oauth_token_provider=provider).auth_bytes()
    file.write_text("two")
    step = asyncio.run(OAuthAuthenticator(sasl_oauth_token_provider=provider).step(None))

    assert (sent, step) == (b"n,,\x01auth=Bearer one\x01\x01", (b"n,,\x01auth=Bearer two\x01\x01", True))
    assert "one" not in repr(provider.token())


# --- settings ------------------------------------------------------------------------------------------------------

BY_TOKEN = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}
BY_URL = {**BY_TOKEN, "oauth_token_url": "https://login.test/token", "oauth_client_id": "a", "oauth_client_secret": "b"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (BY_TOKEN, "DLI_SASL_MECHANISM=OAUTHBEARER, and lacks DLI_OAUTH_TOKEN_FILE"),
        ({**BY_URL, "oauth_client_secret": None}, "and lacks DLI_OAUTH_CLIENT_SECRET"),
        ({**BY_URL, "oauth_token_file": Path("t")}, "DLI_OAUTH_TOKEN_FILE and DLI_OAUTH_TOKEN_URL exclude each other"),
        ({**BY_URL, "sasl_username": "a"}, "DLI_SASL_USERNAME is not used with DLI_SASL_MECHANISM=OAUTHBEARER"),
        ({**BY_URL, "oauth_token_url": "http://login.test/token"}, "DLI_OAUTH_TOKEN_URL: "),
        ({"oauth_token_file": Path("t")}, "DLI_OAUTH_TOKEN_FILE is used with DLI_SECURITY_PROTOCOL=SASL_SSL only"),
        (
            {"security_protocol": "SASL_SSL", "sasl_username": "a", "sasl_password": "b", "oauth_scope": "c"},
            "DLI_OAUTH_SCOPE is not used with DLI_SASL_MECHANISM=SCRAM-SHA-512",
        ),
    ],
    ids=["no source", "no secret", "two sources", "a user too", "in the clear", "no login", "not by token"],
)
def test_an_incomplete_token_login_is_refused_before_sending(given: dict[str, Any], sentence: str) -> None:
    """Each names the setting that lacks or does not belong."""
    with pytest.raises(SettingsError) as refused:
        read(**given)

    assert sentence in str(refused.value)


def test_a_login_by_token_reaches_every_client(tmp_path: Path) -> None:
    """Faust's too."""
    found: Settings = read(**BY_TOKEN, oauth_token_file=tmp_path / "token")

    arguments, credentials = connect.client(found), connect.faust_arguments(found)["broker_credentials"]

    assert (arguments["sasl_mechanism"], type(arguments["sasl_oauth_token_provider"])) == ("OAUTHBEARER", Tokens)
    assert (type(credentials.oauth_cb), credentials.protocol.value) == (Tokens, "SASL_SSL")
    assert "sasl_plain_password" not in arguments
