"""What a worker keeps of a topic on its own disk: a copy that is fast to ask, and never the truth."""
