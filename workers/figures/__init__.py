"""The public figures of a year, exact, from the cases."""
