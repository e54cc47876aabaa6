"""What the dashboard reads from the brokers and keeps of it, and what it changes there for who may act."""
