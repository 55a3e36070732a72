"""Threads of numpy's and torch's libraries, which read these variables when they are loaded."""

import os

COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def let_threads_sleep() -> None:
    """Have OpenMP threads sleep while they wait.

    Spinning ones make small steps many times slower on a busy machine.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def use_one_thread() -> None:
    """Compute with one thread: those that wait for each other would slow a pool of processes."""
    for name in COUNTS:
        os.environ.setdefault(name, "1")
