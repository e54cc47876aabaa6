"""Commands to generate and publish requests and to watch a topic."""
