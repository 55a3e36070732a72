"""Results of runs: on disk, the official ones of 2019, and sets of baselines."""
