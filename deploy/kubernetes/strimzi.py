"""Strimzi's topics and users, made from the tables of topics and of rights, so that they cannot drift from them."""

from collections.abc import Iterator
from typing import Any

import yaml

from events.topics import TOPICS, Topic
from workers.configuration.settings import Settings
from workers.kafka.acls import ROLES, AclRule, Role, rights
from workers.topics.apply_topics import partitions

VERSION = "kafka.strimzi.io/v1"
CLUSTER = "kafka"
"""Of the Kafka resource; an overlay may name another."""
REPLICAS = 3
USERS: dict[Role, str] = {
    "worker": "dli-worker",
    "integration": "dli-integration",
    "exporter": "dli-exporter",
    # Strimzi names a user's secret after it, and `dli-dashboard` is the secret with the token.
    "dashboard": "dli-viewer",
    "archive": "dli-archive",
    "gateway": "dli-gateway",
    "platform": "claims-platform",
    "review": "review-system",
    "policy": "dli-policy",
    "operator": "dli-operator",
}
_OPERATIONS = {
    "READ": "Read",
    "WRITE": "Write",
    "CREATE": "Create",
    "ALTER": "Alter",
    "ALTER_CONFIGS": "AlterConfigs",
    "DESCRIBE": "Describe",
    "DESCRIBE_CONFIGS": "DescribeConfigs",
}
_RESOURCES = {"topic": "topic", "group": "group", "transactional-id": "transactionalId"}
NOTE = "---\n# Made by `make deploy-files` from {source}: change that.\n"


def generated() -> dict[str, str]:
    """The files, by name."""
    settings = Settings()
    return {
        "topics.yaml": _text("events/topics.py", (_topic(topic, settings) for topic in TOPICS)),
        "users.yaml": _text("workers/kafka/acls.py", (_user(role, settings) for role in ROLES)),
    }


def _text(source: str, documents: Iterator[dict[str, Any]]) -> str:
    return NOTE.format(source=source) + yaml.safe_dump_all(documents, sort_keys=False, width=110)


def _topic(topic: Topic, settings: Settings) -> dict[str, Any]:
    return {
        "apiVersion": VERSION,
        "kind": "KafkaTopic",
        "metadata": {"name": topic.name, "labels": {"strimzi.io/cluster": CLUSTER}},
        "spec": {
            "topicName": settings.topic(topic.name),
            "partitions": partitions(topic, settings),
            "replicas": REPLICAS,
            # All but one copy have a record before it counts: one broker may be away.
            "config": {**topic.settings(), "min.insync.replicas": str(REPLICAS - 1)},
        },
    }


def _user(role: Role, settings: Settings) -> dict[str, Any]:
    return {
        "apiVersion": VERSION,
        "kind": "KafkaUser",
        "metadata": {
            "name": USERS[role],
            "labels": {"strimzi.io/cluster": CLUSTER},
            "annotations": {"dli-authorization/role": f"{role}: {ROLES[role]}"},
        },
        "spec": {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": [_acl(one) for one in rights(settings, role)]},
        },
    }


def _acl(one: AclRule) -> dict[str, Any]:
    return {
        "resource": {
            "type": _RESOURCES[one.resource],
            "name": one.name,
            "patternType": "prefix" if one.is_prefix else "literal",
        },
        "operations": [_OPERATIONS[operation] for operation in one.operations],
        "host": "*",
    }
