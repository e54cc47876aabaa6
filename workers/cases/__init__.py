"""Cases: how a pended request ends, by verdicts and by time."""
