"""The demo: decides sample requests on the embedded broker."""
