"""Rules as decision diagrams: every possible case, in a few nodes."""
