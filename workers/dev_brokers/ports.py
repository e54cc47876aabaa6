"""Free TCP ports on loopback."""

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
    """Two free ports.

    They are below the ephemeral range, so that outgoing connections do not take the port of a killed broker before its
    restart.
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
        # Like Java: a port is free although connections of its last server are still timing out.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def check_ports(ports: Ports) -> None:
    """Raise BrokerError if another program listens; it might respond instead of our broker."""
    for port in ports:
        if not is_free(port):
            raise BrokerError(f"Port {port} of {LOOPBACK} is taken: end the program that listens there.")
