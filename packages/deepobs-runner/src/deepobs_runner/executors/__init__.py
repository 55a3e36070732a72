"""Where the runs of a list are made: in processes here, on a Ray cluster, in a SLURM job array.

Each executor is a function with the signature of `Execute`; what it does to a run is `attempt`, so
locks, results and outcomes are the same everywhere. Retries and queues are Ray's and SLURM's.
"""
