"""Accounts that balance: what became of every record of requests, proved from what Kafka holds."""
