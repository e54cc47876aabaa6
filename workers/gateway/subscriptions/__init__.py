"""Subscriptions to answers: R4 resources with the R5 backport's extensions, rest-hook only, kept on a topic."""
