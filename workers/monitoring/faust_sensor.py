"""What Faust does, in our metrics: rebalances, tables recovered, sends that failed.

Faust's own Prometheus sensor is not used: it measures latencies from the wrong instant, forgets its counters at a
rebalance, and has an end offset that moves only while records arrive, so that a stalled worker looks healthy.
"""

from time import monotonic
from typing import Any

import faust
from faust.types import AppT

from workers import metrics


class Sensor(faust.Sensor):
    """Tells the metrics what Faust tells it."""

    def __init__(self) -> None:
        super().__init__()
        self._assigned = monotonic()

    def on_rebalance_start(self, app: AppT) -> dict[str, float]:  # noqa: ARG002 (Faust's signature)
        """A rebalance begins; what is returned comes back with its end."""
        metrics.REBALANCES.inc()
        return {"begun": monotonic()}

    def on_rebalance_return(self, app: AppT, state: dict[str, float]) -> None:  # noqa: ARG002 (as above)
        """Partitions are assigned; tables recover from here on."""
        self._assigned = monotonic()

    def on_rebalance_end(self, app: AppT, state: dict[str, float]) -> None:  # noqa: ARG002 (as above)
        """The rebalance is over, tables and all."""
        metrics.REBALANCE.observe(monotonic() - state["begun"])

    def on_send_error(self, producer: Any, exc: BaseException, state: Any) -> None:  # noqa: ARG002 (as above)
        """A record of an agent of Faust's could not be sent."""
        metrics.ERRORS.labels("send", type(exc).__name__).inc()

    def recovered(self, table: str) -> None:
        """A table is up to its changelog."""
        metrics.RECOVERY.labels(table).observe(monotonic() - self._assigned)


def install(app: faust.App) -> None:
    """Add the sensor to an app whose tables are declared."""
    sensor = Sensor()
    app.sensors.add(sensor)
    for name, table in app.tables.items():
        table.on_recover(_recovery(sensor, name))


def _recovery(sensor: Sensor, table: str) -> Any:
    async def recovered() -> None:
        sensor.recovered(table)

    return recovered
