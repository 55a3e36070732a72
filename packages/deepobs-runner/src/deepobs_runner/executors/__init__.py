"""Executors of many runs: local processes, a Ray cluster, or a SLURM job array.

Each executes one run with `outcome_of`, so locks, results and outcomes are the same everywhere.
Retries and queues are Ray's and SLURM's.
"""
