"""Archives: ranges of topics kept exactly, in files that are not trusted, and put back on Kafka."""
