"""Web pages for operators and auditors: whether requests are answered, what is stuck, what was decided under what."""
