"""A medical policy as data: its format, its revisions, its codes, and how its problems are reported."""
