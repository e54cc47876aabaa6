"""Medical policies and how they decide: pure functions, without Kafka, clock or network."""
