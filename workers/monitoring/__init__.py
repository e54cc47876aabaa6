"""For who operates it: lag and accounts asked of the brokers, exported and shown; dead letters listed and re-driven."""
