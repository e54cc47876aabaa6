"""For operators: lag and accounts from the brokers, metrics, and health."""
