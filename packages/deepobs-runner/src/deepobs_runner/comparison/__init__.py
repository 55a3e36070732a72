"""The comparison of optimizers: targets, times, speedups, tests and verdicts, as numbers."""
