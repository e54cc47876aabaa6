"""Brokers for demos, development and tests, behind one small interface.

`EmbeddedBroker`  the `noida-db` binary: up in a moment, forgets everything; never for patients' data
`KafkaBroker`     Apache Kafka itself on this machine, one node; can be killed and started again on its data
`GivenBroker`     one that runs elsewhere: only asked whether it answers
`up`, `down`      a developer's Kafka that outlives the command that started it

All listen on loopback only. Each is stopped by `stop`, at the end of a `with` block, or when the interpreter exits. The
embedded one also ends when its parent is killed with SIGKILL, on Linux; Apache Kafka keeps running then.

`BrokerError` is the only error. Its message says what was wrong, where, and what to do.
"""

from typing import Literal

from workers.dev_brokers.broker import Broker, BrokerError, Client, GivenBroker
from workers.dev_brokers.developer_kafka import down, up
from workers.dev_brokers.embedded import EmbeddedBroker
from workers.dev_brokers.kafka import KafkaBroker
from workers.dev_brokers.ports import LOOPBACK, Ports, free_ports
from workers.dev_brokers.server import bound

__all__ = [
    "LOOPBACK",
    "Broker",
    "BrokerError",
    "Client",
    "EmbeddedBroker",
    "GivenBroker",
    "KafkaBroker",
    "Kind",
    "Ports",
    "bound",
    "broker_named",
    "down",
    "free_ports",
    "up",
]

Kind = Literal["embedded", "kafka", "given"]


def broker_named(kind: Kind, bootstrap: str | None = None) -> Broker:
    """The broker named by a setting or a test option, not yet started.

    Raises:
        BrokerError: a given broker needs its address.
    """
    if kind == "embedded":
        return EmbeddedBroker()
    if kind == "kafka":
        return KafkaBroker()
    if not bootstrap:
        raise BrokerError("The broker is to be a given one, but no address was given: name it as host:port.")
    return GivenBroker(bootstrap)
