"""Published revisions: the whole document, its place in the chain, its signature."""
