"""The dashboard's access control: roles, tokens, sessions, and delays after wrong tokens."""
