"""The decision agent: requests in, decisions and dead letters out."""
