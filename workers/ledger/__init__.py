"""The ledger: where what came of a request stands, and which request supersedes which."""
