"""Training: the loop, one step, the state of a run and its checkpoints, checks, logging, several processes."""
