"""Who is let in to the dashboard: roles and their tokens, sessions, and what a wrong token costs."""
