"""A worker's local stores of topic data: fast to query; the topic stays authoritative."""
