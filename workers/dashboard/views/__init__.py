"""What each page shows, made of what was read: plain functions, which know nothing of a browser."""
