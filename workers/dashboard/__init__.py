"""Web pages for operators and auditors: service status, backlogs, decisions and policies."""
