"""Frozen models of all events, their envelope and their topics."""
