"""The gateway as a process: encryption, and sentences where it cannot start."""

import http.client
import json
import ssl
from pathlib import Path

import pytest
import trustme

from tests.support.commands import dli
from tests.support.gateways import TOKEN, call_port, gateway, make_topics, settings_of, write_clients
from workers.configuration.settings import SettingsError
from workers.dev_brokers import LOOPBACK


@pytest.mark.broker
def test_partners_are_served_encrypted(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """By the certificate of the settings; what is not encrypted gets no answer. Health stays on its own port."""
    authority, own = trustme.CA(), tmp_path / "own.pem"
    issued = authority.issue_cert(LOOPBACK)
    issued.private_key_and_cert_chain_pem.write_to_path(own)
    found = settings_of(bootstrap, prefix, tmp_path, gateway_certificate=own, gateway_key=own)
    make_topics(found)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with gateway(found):
        connection = http.client.HTTPSConnection(LOOPBACK, found.gateway_port, context=trusting, timeout=30)
        connection.request("GET", "/fhir/Questionnaire/L.1", headers={"Authorization": f"Bearer {TOKEN}"})
        status = connection.getresponse().status
        connection.close()
        with pytest.raises((http.client.HTTPException, OSError)):
            call_port(found.gateway_port, "GET", "/fhir/metadata")
        metrics = call_port(found.gateway_health_port, "GET", "/metrics", token=None)

    assert status == 200
    assert b"dli_gateway_kafka_up 1.0" in metrics.body


@pytest.mark.broker
def test_a_topic_that_is_missing_is_named(bootstrap: str, prefix: str) -> None:
    ended = dli("gateway", "--bootstrap", bootstrap, "--topic-prefix", prefix)

    assert ended.code == 1
    assert f"{prefix}integration.subscriptions" in ended.err
    assert "dli topics apply" in " ".join(ended.err.split())


def test_no_token_crosses_a_network_unencrypted() -> None:
    ended = dli("gateway", "--host", "0.0.0.0")  # noqa: S104 (refused)

    assert ended.code == 1
    assert "DLI_GATEWAY_CERTIFICATE" in ended.err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"gateway_clients": None}, "DLI_GATEWAY_CLIENTS: nobody could sign in"),
        ({"gateway_clients": Path("/missing.yaml")}, "DLI_GATEWAY_CLIENTS: /missing.yaml: No such file"),
        ({"gateway_ca": Path("/missing.pem")}, "DLI_GATEWAY_CA: /missing.pem: No such file"),
        ({"gateway_certificate": Path("clients.yaml"), "gateway_key": Path("clients.yaml")}, "is no usable PEM"),
        (
            {
                "gateway_oauth_issuer": "i",
                "gateway_oauth_audience": "a",
                "gateway_oauth_keys": "http://login.plan.example/keys",
            },
            "DLI_GATEWAY_OAUTH_KEYS: should be https",
        ),
    ],
)
def test_what_cannot_be_used_is_named_at_the_start(
    flags: dict[str, object], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = settings_of("127.0.0.1:1", "", tmp_path).model_copy(update=flags)

    with pytest.raises(SettingsError, match=says), gateway(found):
        pass


@pytest.mark.broker
def test_the_health_says_whether_kafka_is_there(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    found = settings_of(bootstrap, prefix, tmp_path)
    make_topics(found)
    write_clients(tmp_path / "clients.yaml")
    with gateway(found):
        live, ready = (call_port(found.gateway_health_port, "GET", path, token=None) for path in ("/live", "/ready"))
        strange = call_port(found.gateway_health_port, "GET", "/fhir/metadata")

    assert (live.status, json.loads(ready.body)) == (200, {"ready": True})
    assert strange.status == 404
