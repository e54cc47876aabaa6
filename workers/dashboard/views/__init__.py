"""The content of each page, as plain functions that do not depend on a browser."""
