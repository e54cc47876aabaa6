"""The composition root: the command line, the Faust app, a worker's run."""
