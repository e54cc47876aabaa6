"""A first look: the main job on the embedded broker, with requests as a transplant coordinator writes them."""
