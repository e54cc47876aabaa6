"""What the dashboard reads from the brokers and stores, and the acts it performs."""
