"""Freed memory stays with the process, so that a step does not ask the system for it again.

glibc gives large blocks back to the system as soon as they are freed. A training step frees its
activations and needs as many again, and to get fresh pages, filled with zeros, takes time: of the
step of a convolutional network on a CPU a tenth to a quarter (`benchmarks/LOG.md`). Numbers are
the same.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""

LARGEST_KEPT = (2**27, 2**25)
"""Bytes of a block that is kept, the first that glibc accepts: older ones take 32 MiB at most.

With 1 GiB a step of `cifar10_vgg16` takes half as much memory again.
"""

IDLE_BYTES = 2**31 - 1
"""May lie idle at the end of the process's memory; the largest number that `mallopt` takes."""

VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""A user who sets one of them, or speaks of malloc in `GLIBC_TUNABLES`, has decided."""

_kept = False


def keep_memory() -> bool:
    """Keep freed memory in this process from now on; return whether it is kept.

    `deepobs` and its workers do. A program of yours may call this, too: it is a setting of the
    whole process that cannot be taken back, so a library should not decide it. The process's size
    stays near its peak, and the peak itself can grow, by an eighth for the network that it grew
    most.

    Nothing is done without glibc, or where the environment says otherwise, see `VARIABLES`.
    """
    global _kept
    set_option = _mallopt()
    if set_option is None or _user_decided():
        return False
    # In this order: with the second alone, glibc would keep even less than by itself.
    _kept = any(set_option(M_MMAP_THRESHOLD, size) for size in LARGEST_KEPT) and bool(
        set_option(M_TRIM_THRESHOLD, IDLE_BYTES)
    )
    return _kept


def memory_is_kept() -> bool:
    """Whether `keep_memory` has done so in this process."""
    return _kept


def _user_decided() -> bool:
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return "glibc.malloc" in tunables or any(name in os.environ for name in VARIABLES)


def _mallopt() -> Any:
    """Return glibc's function; None where there is none."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    # musl has neither; another allocator in glibc's place does as it likes.
    return getattr(libc, "mallopt", None) if hasattr(libc, "gnu_get_libc_version") else None
