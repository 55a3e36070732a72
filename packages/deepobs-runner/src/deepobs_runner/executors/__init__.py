"""Where the runs of a list are made: in local processes, on a Ray cluster, in a SLURM job array.

Each makes one run by `outcome_of`, so locks, results and outcomes are the same everywhere. Retries
and queues are Ray's and SLURM's.
"""
