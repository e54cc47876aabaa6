"""Replay: keep a log, prove what it says, and see what a change would have made of it. Never reaches the platforms."""
