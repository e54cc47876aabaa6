"""The runtime: agents, command line and settings around plain functions."""
