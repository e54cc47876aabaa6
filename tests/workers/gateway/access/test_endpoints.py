"""No address leads anywhere that is not listed."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.gateway.access.endpoints import EndpointError, is_below, parsed

LISTED = ("https://hooks.example/pas", "https://other.example:8443", "http://127.0.0.1:9000/test/")


@pytest.mark.parametrize(
    "address",
    [
        "https://hooks.example/pas",
        "https://hooks.example/pas/1?tenant=a&b=..",
        "https://HOOKS.example:443/pas/",
        "https://other.example:8443/anything",
        "https://other.example:8443",
        "http://127.0.0.1:9000/test/x",
    ],
)
def test_an_address_below_a_listed_one_is_taken(address: str) -> None:
    assert is_below(address, LISTED)


@pytest.mark.parametrize(
    "address",
    [
        "http://hooks.example/pas",
        "https://hooks.example/",
        "https://hooks.example/passed",
        "https://hooks.example/PAS",
        "https://hooks.example:8443/pas",
        "https://hooks.example.evil.example/pas",
        "https://hooks.example@evil.example/pas",
        "https://evil.example/?https://hooks.example/pas",
        "https://evil.example#@hooks.example/pas",
        "https://hooks.example/pas/../admin",
        "https://hooks.example/pas/%2e%2e/admin",
        "https://hooks.example/pas/%252e%252e/admin",
        "https://hooks.example/pas/..%2fadmin",
        "https://hooks.example/pas/./x",
        "https://hooks.example\\@evil.example/pas",
        "https://hooks.example/pas\r\nHost: evil.example",
        "https://hooks.example/pas x",
        "https://hooks.exämple/pas",
        "https://user:pass@hooks.example/pas",
        "https://hooks.example:0/pas",
        "https://hooks.example:port/pas",
        "https:///pas",
        "//hooks.example/pas",
        "hooks.example/pas",
        "file:///etc/passwd",
        "gopher://hooks.example/pas",
        "http://127.0.0.1:9001/test/x",
        "http://169.254.169.254/test/",
        "https://[::1]/pas",
        "https://[hooks.example/pas",
        "",
    ],
)
def test_any_other_address_is_refused(address: str) -> None:
    assert not is_below(address, LISTED)


@given(st.text(max_size=60), st.sampled_from(["", "https://hooks.example/pas", "https://", "https://hooks.example"]))
def test_what_is_taken_goes_to_a_listed_host(text: str, before: str) -> None:
    """However it is written: its host, port and path are listed ones."""
    address = before + text
    if is_below(address, LISTED):
        parts = urlsplit(address)
        assert (parts.hostname, parts.port or 443) in {
            ("hooks.example", 443),
            ("other.example", 8443),
            ("127.0.0.1", 9000),
        }
        assert parts.hostname != "hooks.example" or parts.path.startswith("/pas")
        assert "/.." not in parts.path


def test_plain_http_is_for_loopback_alone() -> None:
    assert parsed("http://localhost:1/x").hostname == "localhost"
    with pytest.raises(EndpointError, match="should be https"):
        parsed("http://10.0.0.1/x")
