"""The ledger: the positions of each request's answers, and the links between requests."""
