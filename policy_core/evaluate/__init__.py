"""Evaluating a request: from its facts to a determination for each line, and the deadline."""
