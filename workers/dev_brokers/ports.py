"""TCP ports of loopback that are free."""

import random
import socket
from typing import NamedTuple

from workers.dev_brokers.broker import BrokerError

LOOPBACK = "127.0.0.1"


class Ports(NamedTuple):
    """The TCP ports of one Kafka node."""

    client: int
    controller: int


def free_ports() -> Ports:
    """Two ports that nothing listens on now.

    From below the range that systems hand to outgoing connections, so that none of those takes the port of a
    broker that was killed and is to come back on it.
    """
    candidates = random.SystemRandom().sample(range(20_000, 32_000), 200)
    free = (port for port in candidates if is_free(port))
    try:
        return Ports(next(free), next(free))
    except StopIteration:
        raise BrokerError(f"No free port found on {LOOPBACK} between 20000 and 32000: end what holds them.") from None


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of loopback."""
    with socket.socket() as probe:
        # As Java does: a port is free although connections of its last server are still timing out.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def check_ports(ports: Ports) -> None:
    """Raise BrokerError where another program listens; it might even answer in our broker's place."""
    for port in ports:
        if not is_free(port):
            raise BrokerError(f"Port {port} of {LOOPBACK} is taken: end the program that listens there.")
