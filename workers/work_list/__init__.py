"""What is to be done: the open cases, who has to act on each, and by when; for metrics, pages and commands alike."""
