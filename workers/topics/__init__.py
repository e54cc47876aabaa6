"""The declared topics on a real cluster: made, compared, watched while a worker runs, given more partitions."""
