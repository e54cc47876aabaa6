"""Every setting: what it is now, where that comes from, and the page that explains all."""
