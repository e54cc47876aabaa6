"""Events to and from Kafka by hand: publish a file, watch a topic."""
