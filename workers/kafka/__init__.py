"""How processes talk to Kafka: clients, readers of no group, lag, access rules."""
