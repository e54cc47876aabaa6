"""Rules as decision diagrams: every case there can be, in the memory of a few nodes."""
