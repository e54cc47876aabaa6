"""A revision as it is published: the whole document, its place in the chain, its signature."""
