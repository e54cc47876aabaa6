"""Apache Kafka behind a proxy that can be cut."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.conftest import PROPERTIES
from tests.faults.proxy import Proxy
from workers.dev_brokers import LOOPBACK, KafkaBroker, free_ports


@contextmanager
def proxied_broker() -> Iterator[tuple[KafkaBroker, Proxy, str]]:
    """A broker with a second listener, which is only to be reached through a proxy."""
    behind, front = free_ports()
    ports = free_ports()
    properties = {
        **PROPERTIES,
        "listeners": f"PLAINTEXT://{LOOPBACK}:{ports.client},CONTROLLER://{LOOPBACK}:{ports.controller},"
        f"PROXIED://{LOOPBACK}:{behind}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{ports.client},PROXIED://{LOOPBACK}:{front}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
    }
    with KafkaBroker(ports=ports, properties=properties) as broker, Proxy(front, behind) as proxy:
        yield broker, proxy, f"{LOOPBACK}:{front}"
