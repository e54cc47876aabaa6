"""The layout of the views in a browser."""

from workers.dashboard.pages import audit, cases, dead_letters, decisions, now, policy, replays
from workers.dashboard.pages.site import PageData


def add_pages(data: PageData) -> None:
    """Add every page."""
    for page in (now, cases, decisions, policy, dead_letters, replays, audit):
        page.add_page(data)
