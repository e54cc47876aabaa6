"""A medical policy as data: its format (`models`), its loading (`load`), its mistakes (`problems`, `check`)."""
