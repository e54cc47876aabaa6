"""One request, step by step: from its facts to a determination of every line, and when it is due."""
