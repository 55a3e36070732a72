"""Processes that tests start and watch."""

import time
from pathlib import Path


def children(pid):
    """Return the process ids of the children of a process."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in listed.split()]


def is_gone(pid):
    """Whether a process has ended; one that waits to be collected has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


def wait_for(condition, process):
    """Wait until something is so or the process has ended; return whether it is so."""
    while process.poll() is None:
        if condition():
            return True
        time.sleep(0.01)
    return condition()
