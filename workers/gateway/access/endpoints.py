"""Where partners may be notified: only below addresses that an operator has listed for them.

A subscriber names an address to which this process then sends requests from inside the plan's network. So an address
must have a listed beginning: the same scheme, host and port, and a path below the listed one.
"""

import re
from typing import Annotated
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator

from workers.monitoring.host_header import is_loopback

LONGEST = 2048
_PORTS = {"https": 443, "http": 80}
_PRINTABLE = re.compile(r"[!-~]+")
_DOTS = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")


class EndpointError(ValueError):
    """An address that cannot be used; the message says why, without the address."""


def parsed(address: str) -> SplitResult:
    """The parts of an address at which somebody may be notified.

    Raises:
        EndpointError: It is none: not https (http only on loopback), or written in a way that readers may take
            differently.
    """
    if len(address) > LONGEST or not _PRINTABLE.fullmatch(address) or "\\" in address:
        raise EndpointError("should be an address of printable ASCII characters")
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise EndpointError("should be an address, as https://host/path") from None
    if parts.hostname is None or parts.scheme not in _PORTS or port == 0:
        raise EndpointError("should be an address, as https://host/path")
    if parts.username is not None or parts.password is not None or "#" in address:
        raise EndpointError("should have neither a login nor a fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise EndpointError("should be https; http is for loopback only")
    # Decoded twice too, in case the server behind a proxy decodes what the proxy has decoded.
    once = unquote(parts.path)
    if any(_DOTS.search(path) or "\\" in path for path in (parts.path, once, unquote(once))):
        raise EndpointError("should have no path with . or .. as a part")
    return parts


def _endpoint(address: str) -> str:
    parts = parsed(address)
    if parts.query:
        raise EndpointError("should have no query")
    return address


Endpoint = Annotated[str, AfterValidator(_endpoint)]
"""The beginning of addresses, such as `https://hooks.example/pas`."""


def is_below(address: str, beginnings: tuple[str, ...]) -> bool:
    """Whether an address is below one of the listed beginnings; False for one that cannot be used at all."""
    try:
        wanted = parsed(address)
    except EndpointError:
        return False
    return any(_is_below(wanted, parsed(beginning)) for beginning in beginnings)


def _is_below(wanted: SplitResult, listed: SplitResult) -> bool:
    if _origin(wanted) != _origin(listed):
        return False
    base = listed.path.rstrip("/")
    return wanted.path == base or wanted.path.startswith(f"{base}/") or (not base and not wanted.path)


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]
