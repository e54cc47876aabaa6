"""Who may ask: static tokens, and bearer tokens of an authorization server, each of one trading partner."""
