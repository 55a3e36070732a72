"""Freed memory stays with the process, so that a step does not ask the system for it again.

glibc gives large blocks back to the system as soon as they are freed. A training step frees its
activations and needs as many again, and to get fresh pages, filled with zeros, costs a sixth of
the time of a convolutional network's step on a CPU (`benchmarks/LOG.md`). Numbers are the same.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

VARIABLES: Mapping[str, str] = MappingProxyType(
    {"MALLOC_MMAP_THRESHOLD_": str(2**27), "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}
)
"""What tells a new process to keep blocks below 128 MiB, until 2 GiB lie idle at the end.

With 1 GiB in place of 128 MiB a step of `cifar10_vgg16` takes half as much memory again.
"""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""


def keep_memory() -> bool:
    """Keep freed memory in this process, and in those that it starts; return whether it is kept.

    `deepobs` and its workers do. A program of yours may call this, too: it is a setting of the
    whole process that cannot be taken back, so a library should not decide it. The process's size
    stays near its peak, and the peak itself can grow, by a fifth for the network that it grew most.

    Nothing is done without glibc, or where the environment says otherwise, see `variables`.
    """
    set_option = _mallopt()
    wanted = variables()
    if set_option is None or not wanted:
        return False
    os.environ.update(wanted)
    set_option(M_MMAP_THRESHOLD, int(wanted["MALLOC_MMAP_THRESHOLD_"]))
    set_option(M_TRIM_THRESHOLD, int(wanted["MALLOC_TRIM_THRESHOLD_"]))
    return True


def variables() -> Mapping[str, str]:
    """Return `VARIABLES` for a process to be started; nothing if they are set to something else.

    Or if glibc's newer `GLIBC_TUNABLES` speak of memory.
    """
    told = any(os.environ.get(name, value) != value for name, value in VARIABLES.items())
    return {} if told or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") else VARIABLES


def memory_is_kept() -> bool:
    """Whether this process keeps freed memory, by `keep_memory` or since it was started."""
    return _mallopt() is not None and VARIABLES.items() <= os.environ.items()


def _mallopt() -> Any:
    """Return glibc's function; None where there is none."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    # musl has neither; another allocator in glibc's place does as it likes.
    return getattr(libc, "mallopt", None) if hasattr(libc, "gnu_get_libc_version") else None
