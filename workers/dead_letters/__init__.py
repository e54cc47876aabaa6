"""Dead letters: events that cannot be used, put aside whole with the reason, found and sent again."""
