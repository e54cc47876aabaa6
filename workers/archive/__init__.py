"""Archives: exact copies of topic ranges in untrusted files, restorable to Kafka."""
