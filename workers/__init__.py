"""How it runs: the agents, the command line and the settings, wired around plain functions."""
