"""A worker's port: what a Host header says, and who is answered there."""
