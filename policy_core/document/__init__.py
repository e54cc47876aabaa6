"""A medical policy as data: its format, its revisions, its codes, and how a problem in it is reported."""
