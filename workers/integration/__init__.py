"""Claims platforms' own formats, in and out: `dli adapt`, and the agents of `dli integration`."""
