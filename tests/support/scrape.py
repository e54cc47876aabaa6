"""One scrape of the exporter."""

from events.topics import REQUESTS
from tests.support.running import samples
from workers.configuration.settings import Settings


class Scrape:
    """What one scrape told of a deployment's requests."""

    def __init__(self, found: Settings) -> None:
        self.all = samples(found.exporter_port)
        self.up = self.all["dli_exporter_up"]
        topic = found.topic(REQUESTS)
        self.lag = self.all.get(f"kafka_consumergroup_lag_sum consumergroup={found.app_id} topic={topic}", -1)
        of_ours = f"kafka_consumergroup_group_lag_seconds group={found.app_id} "
        waits = [value for name, value in self.all.items() if name.startswith(of_ours) and f"topic={topic}" in name]
        self.seconds = max(waits, default=-1)
        self.members = self.all.get(f"kafka_consumergroup_members consumergroup={found.app_id}", -1)
        self.balanced = self.all.get("dli_accounts_balanced")
        self.overdue = self.all.get("dli_overdue_requests")
        self.pended = sum(value for name, value in self.all.items() if name.startswith("dli_pended_requests"))

    def outcome(self, name: str) -> float:
        return sum(value for key, value in self.all.items() if key.startswith(f"dli_accounts_records outcome={name} "))
