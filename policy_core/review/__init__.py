"""Review: who may answer a pended line, with which actions, and what a verdict must bring."""
