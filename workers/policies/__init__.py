"""Policy documents for the people who write them: checked, listed, held against the published text."""
