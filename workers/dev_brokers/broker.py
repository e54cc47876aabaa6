"""The broker interface, an external broker, and the check for a response."""

import re
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from workers.console.errors import DliError

Client = Mapping[str, object]
"""A client's connection arguments in kafka-python's names: `security_protocol`, `ssl_context` and so on."""


class BrokerError(DliError):
    """A broker could not be started, reached or stopped."""


class Broker(ABC):
    """A broker with Kafka's protocol, running from `start` to `stop`."""

    @property
    @abstractmethod
    def bootstrap(self) -> str:
        """Where clients connect, as `host:port`.

        Raises:
            BrokerError: the broker has not been started and its port is not known yet.
        """

    @abstractmethod
    def start(self) -> None:
        """Return once the broker responds; immediately if it is running.

        Raises:
            BrokerError: it does not respond in time; it is stopped then.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stop the broker and wait for its end; idempotent."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class GivenBroker(Broker):
    """A broker that is run elsewhere."""

    def __init__(self, bootstrap: str, *, client: Client | None = None, patience_seconds: float = 10.0) -> None:
        self._bootstrap = bootstrap
        self._client = client or {}
        self._patience = patience_seconds

    @property
    def bootstrap(self) -> str:  # noqa: D102 - documented in Broker
        return self._bootstrap

    def start(self) -> None:  # noqa: D102 - documented in Broker
        if not answers_within(self._bootstrap, self._patience, self._client):
            raise BrokerError(
                f"No broker answered at {self._bootstrap} within {self._patience:g} seconds: "
                "check the address, that the broker runs, and the credentials if it asks for any."
            )

    def stop(self) -> None:
        """Do nothing: it is not ours."""


def answers_within(bootstrap: str, seconds: float, client: Client, check: Callable[[], None] = lambda: None) -> bool:
    """Whether the broker responds in time; `check` may end the wait early by raising."""
    deadline = time.monotonic() + seconds
    servers = _servers(bootstrap)
    while True:
        check()
        # A bare connection first: a starting broker refuses connections, and the client would log each.
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
    """Whether something accepts connections there."""
    try:
        with socket.create_connection(server, timeout=2):
            return True
    except (OSError, OverflowError):  # OverflowError: a port above 65535
        return False


def _has_a_live_broker(bootstrap: str, client: Client) -> bool:
    """Whether the cluster has a broker that serves clients; Kafka accepts connections slightly earlier."""
    try:
        # The client first requests the brokers until there is one.
        KafkaAdminClient(bootstrap_servers=bootstrap.split(","), bootstrap_timeout_ms=5000, **client).close()
    except KafkaError:
        return False
    return True
