"""The policy-history agent: the register of every policy's revisions, kept in a table and answered over the web."""
