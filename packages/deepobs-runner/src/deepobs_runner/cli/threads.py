"""Environment variables that numpy's and torch's libraries read when they are loaded."""

import os

COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def let_threads_sleep() -> None:
    """Let OpenMP threads sleep while they wait.

    Spinning threads make small steps many times slower on a busy machine.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def use_one_thread() -> None:
    """Use one thread per process: waiting threads would slow a worker pool."""
    for name in COUNTS:
        os.environ.setdefault(name, "1")
