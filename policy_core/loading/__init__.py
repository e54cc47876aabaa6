"""Load a document from its file: bounded reading, full checks, and each mistake with its line and its fix."""
