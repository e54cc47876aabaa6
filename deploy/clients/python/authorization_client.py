"""Ask for one authorization and use its answer: `authorization_client.py REQUEST.json [SINCE]`; README.md has the rest.

An example to copy: it needs kafka-python, jsonschema and the schema of decisions, and nothing else of this project.
"""

import json
import logging
import os
import sys
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

Json = dict[str, Any]
DECIDED, DEAD_LETTERED = "authorization.decided.v1", "authorization.dead_lettered.v1"
# A request with one of these is decided all the same: only its link to an earlier request is refused.
ONLY_THE_LINK = ("circular_link", "denied_link")
MEANING = {"A1": "approved", "A2": "approved_in_part", "A3": "refused", "A6": "modified", "C": "cancelled"}
SCHEMA = Path(__file__).parents[3] / "events" / "schemas" / f"{DECIDED}.json"
SETTLED_SECONDS = 1.0


def compact(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def parse(path: str) -> Any:
    """The JSON in a file. A parser's own message may repeat a part of it, and a request has health data."""
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except ValueError:
        raise ValueError(f"{path} is no JSON") from None


def event_for(data: Any) -> Json:
    """The request as a CloudEvent. Its ids follow from its content, so whoever sends it again knows its answer."""
    if not isinstance(data, dict) or not isinstance(data.get("request_id"), str):
        raise ValueError("the file is not the data of a request: it has no request_id")
    digest = sha256(compact(data)).hexdigest()[:32]
    event = {
        "specversion": "1.0",
        "id": digest,
        "source": "/claims-platform/example",
        "type": "authorization.requested.v1",
    }
    event |= {
        "subject": data["request_id"],
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
    }
    # Your own id of the matter: every event about it brings it back.
    return {**event, "correlationid": f"claim-{digest}", "data": data}


def event_of(record: Any) -> Json:
    """The CloudEvent in a record: structured, or binary if the deployment writes that; ValueError if there is none."""
    headers = {name.lower(): (value or b"").decode() for name, value in record.headers}
    event = json.loads(record.value or b"null")
    if not headers.get("content-type", "").startswith("application/cloudevents+json"):
        event = {name[3:]: value for name, value in headers.items() if name.startswith("ce_")} | {"data": event}
    if not isinstance(event, dict) or event.get("specversion") != "1.0" or not isinstance(event.get("data"), dict):
        raise ValueError("it is no CloudEvent with data")
    return event


def opened(schema: Any) -> Any:
    """The schema with unknown fields allowed: within a version, fields may be added to events."""
    if isinstance(schema, dict):
        return {name: opened(part) for name, part in schema.items() if name != "additionalProperties"}
    return [opened(part) for part in schema] if isinstance(schema, list) else schema


def verify(event: Json, asked: Json, schema: Draft202012Validator) -> None:
    """ValueError if an event is no whole answer to ours; it repeats no value, because they are health data."""
    data = event["data"]
    if event.get("type") not in (DECIDED, DEAD_LETTERED):
        raise ValueError("its type is not that of an answer")
    if event.get("correlationid") != asked["correlationid"]:  # another event may have had the same request id
        raise ValueError("its correlationid is not ours")
    if event["type"] == DEAD_LETTERED and data.get("request_id") == asked["subject"] and data.get("reason"):
        return
    if error := next(schema.iter_errors(data), None):
        raise ValueError(f"its data does not fit the schema at {error.json_path} ({error.validator})")
    if not event.get("subject") == data["request_id"] == asked["subject"]:
        raise ValueError("its request_id is not ours")
    # The id is a digest of the rest, so that a damaged or altered decision shows. It is no signature: who may write to
    # the topic is for Kafka's access control to say.
    rest = {name: value for name, value in data.items() if name != "decision_id"}
    if not event.get("id") == data["decision_id"] == sha256(compact(rest)).hexdigest()[:32]:
        raise ValueError("its decision_id is not the digest of its content")


def summary(decision: Json) -> Json:
    """What may be done with a decision. One that is not final refuses nothing, whatever its lines' determinations.

    An adverse determination is a recommendation to a physician, who alone refuses (A3); until then it is pended.
    """
    final = decision["stage"] == "final"
    lines = [{name: one[name] for name in ("line", "determination", "action")} for one in decision["lines"]]
    return {
        **{name: decision[name] for name in ("request_id", "decision_id", "action", "stage")},
        "is_final": final,
        "meaning": MEANING.get(decision["action"], "ask_the_payer") if final else "pended",
        "lines": lines,
        "missing": sorted({fact["fact"] for one in decision["lines"] for fact in one["missing"]}),
    }


def ask(event: Json, since: datetime | None, schema: Draft202012Validator, kafka: Json) -> int:
    """Send the request, print what answers it, and return the exit code."""
    prefix, patience = os.environ.get("TOPIC_PREFIX", ""), float(os.environ.get("TIMEOUT_SECONDS", "30"))
    # Answers are written in transactions: without read_committed, one that is aborted later would be read as well.
    consumer = KafkaConsumer(**kafka, isolation_level="read_committed", enable_auto_commit=False)
    topics = [prefix + name for name in ("authorization.decisions", "authorization.dead-letters")]
    places = [TopicPartition(name, one) for name in topics for one in consumer.partitions_for_topic(name) or ()]
    for name in sorted(set(topics) - {one.topic for one in places}):
        print(f"{name} is not there, or may not be read: answers there are not seen", file=sys.stderr)
    # Where to read is settled before the request is sent, or a quick answer would be missed.
    consumer.assign(places)
    start = consumer.end_offsets(places)
    if since is not None:
        later = consumer.offsets_for_times(dict.fromkeys(places, int(since.timestamp() * 1000)))
        start |= {one: there.offset for one, there in later.items() if there is not None}
    for one in places:
        consumer.seek(one, start[one])
    # The key keeps the records of one request in order. An idempotent producer's retry makes no second record.
    producer = KafkaProducer(**kafka, acks="all", enable_idempotence=True)
    key = event["subject"].encode()
    header = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
    producer.send(f"{prefix}authorization.requests", compact(event), key, header).get(patience)
    producer.close()

    newest, seen, deadline = None, 0.0, time.monotonic() + patience
    while time.monotonic() < deadline:
        records = [one for batch in consumer.poll(timeout_ms=200).values() for one in batch]
        for record in (one for one in records if one.key == key):
            try:
                answer = event_of(record)
                verify(answer, event, schema)
            except (ValueError, RecursionError) as why:
                print(f"passed over {record.topic}/{record.partition}/{record.offset}: {why}", file=sys.stderr)
                continue
            found = answer["data"]
            if answer["type"] == DEAD_LETTERED and found["reason"] in ONLY_THE_LINK:
                print(f"the link to an earlier request is refused: {found['reason']}", file=sys.stderr)
            elif answer["type"] == DEAD_LETTERED:
                print(json.dumps({name: found.get(name) for name in ("request_id", "reason", "message", "errors")}))
                return 3
            # A later decision names the one that it replaces; the same one again, or an older one, changes nothing.
            elif newest is None or found.get("supersedes_decision") == newest["decision_id"]:
                newest, seen = found, time.monotonic()
        if newest and time.monotonic() - seen > SETTLED_SECONDS:
            print(json.dumps(summary(newest)))
            return 0
    raise ValueError(f"nothing came within {patience:g} s; it may still be decided: ask again with SINCE")


def main() -> int:
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what fails is told in one sentence below
    if len(sys.argv) not in (2, 3) or "KAFKA_BOOTSTRAP_SERVERS" not in os.environ:
        print(f"usage: KAFKA_BOOTSTRAP_SERVERS=HOST:PORT {sys.argv[0]} REQUEST.json [SINCE]", file=sys.stderr)
        return 1
    try:
        event = event_for(parse(sys.argv[1]))
        since = datetime.fromisoformat(sys.argv[2]) if sys.argv[2:] else None
        schema = parse(os.environ.get("DECISION_SCHEMA", str(SCHEMA)))
        kafka = {
            "bootstrap_servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"].split(","),
            "bootstrap_timeout_ms": 10_000,
            "security_protocol": os.environ.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT"),
            "sasl_mechanism": os.environ.get("KAFKA_SASL_MECHANISM"),
            "sasl_plain_username": os.environ.get("KAFKA_SASL_USERNAME"),
            "sasl_plain_password": os.environ.get("KAFKA_SASL_PASSWORD"),
            "ssl_cafile": os.environ.get("KAFKA_SSL_CA"),
        }
        return ask(event, since, Draft202012Validator(opened(schema)), kafka)
    except (KafkaError, OSError, ValueError) as error:
        print(f"no answer: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
