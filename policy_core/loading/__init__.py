"""A document from its file: read within bounds, checked whole, every mistake with its line and what to write."""
