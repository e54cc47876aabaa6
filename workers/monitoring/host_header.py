"""What a Host header says.

Another site's page can have a browser ask us under a name of its own, by pointing that name at our address (DNS
rebinding). The browser then tells that name in the header Host, so who asks under a name that is none of ours is not
answered. An address leads where it says, so it cannot be pointed anywhere.
"""

import re
from ipaddress import IPv6Address, ip_address

_WRITTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9._-]{1,253}))(?::(?P<port>\d{0,5}))?")
LAST_PORT = 65535


def host_of(header: str) -> str | None:
    """The host alone, in lower case, without brackets and a last dot; None where the header is no host."""
    found = _WRITTEN.fullmatch(header)
    if found is None or not header.isascii():
        return None
    if found["port"] and not 1 <= int(found["port"]) <= LAST_PORT:
        return None
    if found["name"] is not None:
        return plain(found["name"]) or None
    return found["six"].lower() if _is_six(found["six"]) else None


def plain(name: str) -> str:
    """A name as it is compared."""
    return name.strip("[]").lower().removesuffix(".")


def is_address(host: str) -> bool:
    """Whether it is an address, which is nobody's to point elsewhere."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a name is this machine's own, for itself alone."""
    name = plain(host)
    return name == "localhost" or (is_address(name) and ip_address(name).is_loopback)


def _is_six(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
