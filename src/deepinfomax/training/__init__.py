"""The step, the loop, the state of a run, what guards and watches it."""
