"""Faust's rebalances, table recoveries and failed sends as metrics.

Faust's own Prometheus sensor is not used: it measures latencies from the wrong instant, resets its counters at a
rebalance, and updates its end offset only while records arrive, so that a stalled worker looks healthy.
"""

from time import monotonic
from typing import Any

import faust
from faust.types import AppT

from workers.process import metrics


class Sensor(faust.Sensor):
    """Updates the metrics on Faust's events."""

    def __init__(self) -> None:
        super().__init__()
        self._assigned = monotonic()

    def on_rebalance_start(self, app: AppT) -> dict[str, float]:  # noqa: ARG002 (Faust's signature)
        """A rebalance begins; the result is passed to its end."""
        metrics.REBALANCES.inc()
        return {"begun": monotonic()}

    def on_rebalance_return(self, app: AppT, state: dict[str, float]) -> None:  # noqa: ARG002 (as above)
        """Partitions are assigned; tables begin to recover."""
        self._assigned = monotonic()

    def on_rebalance_end(self, app: AppT, state: dict[str, float]) -> None:  # noqa: ARG002 (as above)
        """The rebalance is over, including tables."""
        metrics.REBALANCE.observe(monotonic() - state["begun"])

    def on_send_error(self, producer: Any, exc: BaseException, state: Any) -> None:  # noqa: ARG002 (as above)
        """A record of a Faust agent could not be sent."""
        metrics.ERRORS.labels("send", type(exc).__name__).inc()

    def recovered(self, table: str) -> None:
        """A table has caught up with its changelog."""
        metrics.RECOVERY.labels(table).observe(monotonic() - self._assigned)


def add_sensor(app: faust.App) -> None:
    """Add the sensor to an app whose tables are declared."""
    sensor = Sensor()
    app.sensors.add(sensor)
    for name, table in app.tables.items():
        table.on_recover(_recovery(sensor, name))


def _recovery(sensor: Sensor, table: str) -> Any:
    async def recovered() -> None:
        sensor.recovered(table)

    return recovered
