"""What a Host header says: a name, an address, or nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.monitoring.host_header import host_of, is_address, is_loopback


@pytest.mark.parametrize(("header", "host"), [
    ("127.0.0.1", "127.0.0.1"), ("127.0.0.1:6066", "127.0.0.1"), ("127.0.0.1:", "127.0.0.1"),
    ("LOCALHOST:6066", "localhost"), ("dli-worker-0.dli-worker:6066", "dli-worker-0.dli-worker"),
    ("worker.example.org.:6066", "worker.example.org"), ("[::1]:6066", "::1"), ("[FE80::1]", "fe80::1"),
    ("evil.example", "evil.example"), ("127.1", "127.1"),
    ("", None), (":6066", None), (".", None), ("[::1", None), ("::1", None), ("[]", None), ("[a.b]", None),
    ("[127.0.0.1]", None), ("[::1]x", None), ("127.0.0.1:x", None), ("127.0.0.1:0", None), ("127.0.0.1:99999", None),
    ("127.0.0.1:-1", None), ("127.0.0.1:٣", None), ("a@127.0.0.1", None), ("a b", None), ("a/b", None), ("a,b", None),
    ("ä.example", None), ("a%2eb", None), ("localhost\x00", None), ("localhost\n", None), ("a" * 254, None),
])  # fmt: skip
def test_a_header_is_a_host_or_none(header: str, host: str | None) -> None:
    assert host_of(header) == host


@given(st.one_of(st.text(), st.text("[]:.@/%0123456789abcdefx \n", max_size=20)))
def test_any_text_is_a_host_that_is_plain_or_none(header: str) -> None:
    found = host_of(header)

    assert found is None or (found in header.lower() and not set(found) & set("[]@/%? \n"))


@given(st.ip_addresses(), st.integers(1, 65535))
def test_every_address_is_known_as_one(address: object, port: int) -> None:
    written = f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"

    assert host_of(written) == str(address)
    assert is_address(str(address))


@pytest.mark.parametrize(("host", "own"), [
    ("127.0.0.1", True), ("127.8.8.8", True), ("localhost", True), ("LOCALHOST.", True), ("::1", True), ("[::1]", True),
    ("0.0.0.0", False),  # noqa: S104 (compared, not bound)
    ("::", False), ("10.0.0.7", False), ("example.org", False), ("", False), ("127.1", False), ("2130706433", False),
    ("localhost.example.org", False), ("127.0.0.1.example.org", False),
])  # fmt: skip
def test_what_is_this_machines_own(host: str, own: bool) -> None:
    assert is_loopback(host) == own
