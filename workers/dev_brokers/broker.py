"""What every broker here can do, one that somebody else runs, and how any is asked whether it answers."""

import re
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from workers.errors import DliError

Client = Mapping[str, object]
"""What a client needs to get in, as kafka-python names it: `security_protocol`, `ssl_context` and so on."""


class BrokerError(DliError):
    """A broker could not be started, reached or stopped."""


class Broker(ABC):
    """A Kafka-speaking broker that is there from `start` to `stop`."""

    @property
    @abstractmethod
    def bootstrap(self) -> str:
        """Where clients connect, as `host:port`.

        Raises:
            BrokerError: the broker has not been started and its port is not known yet.
        """

    @abstractmethod
    def start(self) -> None:
        """Return once the broker answers; at once where it already runs.

        Raises:
            BrokerError: it does not answer in time. Nothing of it is left running then.
        """

    @abstractmethod
    def stop(self) -> None:
        """End the broker, and wait for its end. Stopping twice is fine."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class GivenBroker(Broker):
    """A broker that somebody else runs."""

    def __init__(self, bootstrap: str, *, client: Client | None = None, patience_seconds: float = 10.0) -> None:
        self._bootstrap = bootstrap
        self._client = client or {}
        self._patience = patience_seconds

    @property
    def bootstrap(self) -> str:  # noqa: D102 - said in Broker
        return self._bootstrap

    def start(self) -> None:  # noqa: D102 - said in Broker
        if not answers_within(self._bootstrap, self._patience, self._client):
            raise BrokerError(
                f"No broker answered at {self._bootstrap} within {self._patience:g} seconds: "
                "check the address, that the broker runs, and the credentials if it asks for any."
            )

    def stop(self) -> None:
        """Leave it alone: it is not ours."""


def answers_within(bootstrap: str, seconds: float, client: Client, check: Callable[[], None] = lambda: None) -> bool:
    """Whether the broker answers in that time; `check` may end the wait early by raising."""
    deadline = time.monotonic() + seconds
    servers = _servers(bootstrap)
    while True:
        check()
        # A bare connection first: refusals are the rule while a broker starts, and the client would log each.
        if any(map(_accepts, servers)) and _has_a_live_broker(bootstrap, client):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)


def _servers(bootstrap: str) -> list[tuple[str, int]]:
    """The hosts and ports of a comma-separated list."""
    found = [re.fullmatch(r"\s*\[?([^\s,\]]+)\]?:(\d{1,5})\s*", server) for server in bootstrap.split(",")]
    if not all(found):
        raise BrokerError(f"The broker's address {bootstrap!r} is not host:port, or several of them with commas.")
    return [(server[1], int(server[2])) for server in found if server]


def _accepts(server: tuple[str, int]) -> bool:
    """Whether something accepts a connection there."""
    try:
        with socket.create_connection(server, timeout=2):
            return True
    except (OSError, OverflowError):  # OverflowError: a port above 65535
        return False


def _has_a_live_broker(bootstrap: str, client: Client) -> bool:
    """Whether the cluster names a broker that serves clients; Kafka accepts connections a little before."""
    try:
        # The client's first step is to ask for the brokers, until there is one.
        KafkaAdminClient(bootstrap_servers=bootstrap.split(","), bootstrap_timeout_ms=5000, **client).close()
    except KafkaError:
        return False
    return True
