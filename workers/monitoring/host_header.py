"""Checks Host headers, against DNS rebinding.

Another site's page can make a browser contact us under its own name by resolving that name to our address. The browser
then sends that name in the Host header, so requests under names that are not ours are refused. IP addresses cannot be
rebound and are allowed.
"""

import re
from ipaddress import IPv6Address, ip_address

_WRITTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9._-]{1,253}))(?::(?P<port>\d{0,5}))?")
LAST_PORT = 65535


def host_of(header: str) -> str | None:
    """The host in lower case, without brackets and trailing dot; None if the header is invalid."""
    found = _WRITTEN.fullmatch(header)
    if found is None or not header.isascii():
        return None
    if found["port"] and not 1 <= int(found["port"]) <= LAST_PORT:
        return None
    if found["name"] is not None:
        return plain(found["name"]) or None
    return found["six"].lower() if _is_six(found["six"]) else None


def plain(name: str) -> str:
    """A name normalized for comparison."""
    return name.strip("[]").lower().removesuffix(".")


def is_address(host: str) -> bool:
    """Whether it is an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a name is a loopback name."""
    name = plain(host)
    return name == "localhost" or (is_address(name) and ip_address(name).is_loopback)


def _is_six(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
