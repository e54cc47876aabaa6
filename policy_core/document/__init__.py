"""A medical policy as data: its format (`models`), its loading (`load`), what can be wrong with it (`problems`, `check`)."""
