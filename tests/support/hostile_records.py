"""Hostile records, written by hand."""

import json

from kafka import KafkaProducer

from tests.support.every_decision import every_decision
from tests.support.hostile_pages import HOSTILE


def write_by_hand(bootstrap: str, decided: str, rejected: str) -> None:
    """Decisions and letters that no worker wrote."""
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    try:
        envelope = {"specversion": "1.0", "source": "/x", "time": "2026-03-01T12:00:00Z"}
        for number, text in enumerate(HOSTILE):
            safe = text.encode("utf-8", "replace").decode()
            [one, *_] = every_decision()
            for line in one["lines"]:
                line["determination"] = safe
                line["policy"] |= {"number": safe, "revision": safe}
            event = envelope | {
                "id": safe,
                "type": "authorization.decided.v1",
                "data": one | {"request_id": str(number)},
            }
            producer.send(decided, json.dumps(event).encode(), key=str(number).encode())
            letter_data = {"reason": "schema_violation", "message": safe, "errors": [], "original": {"topic": safe}}
            event = envelope | {"id": safe, "type": "authorization.dead_lettered.v1", "data": letter_data}
            producer.send(rejected, json.dumps(event).encode(), key=safe.encode())
        producer.flush()
    finally:
        producer.close()
