"""For those who write documents: examples that are run, what they cover, and a document to begin with."""
