"""What a medical policy says, and how it decides: pure, without Kafka, clock or network."""
