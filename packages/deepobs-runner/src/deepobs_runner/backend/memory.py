"""Memory of a run: peak use, out-of-memory errors, and reuse of freed memory."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepobs_runner.config import RunConfig
from deepobs_runner.text import first_line

OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")
"""In the messages of torch's RuntimeErrors: of the CPU, of MPS, and of cuBLAS and cuDNN."""

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


def tensor_bytes(state: Any) -> int:
    """Bytes of all tensors in nested state, such as an optimizer's state dict.

    >>> tensor_bytes({"state": {0: {"step": torch.zeros(()), "momentum": [torch.zeros(3)]}}})
    16
    """
    if isinstance(state, Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, Mapping):
        return sum(map(tensor_bytes, state.values()))
    if isinstance(state, list | tuple):
        return sum(map(tensor_bytes, state))
    return 0


def forget_peak(device: torch.device) -> None:
    """Reset the peak of a CUDA device; that of a process cannot be reset."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """Peak memory in bytes; None if unknown.

    On CUDA the most that tensors took on the device since `forget_peak`. Elsewhere the largest
    resident size this process ever had: Python, libraries and earlier runs in the process are
    part of it, so it is an upper bound. Unknown on Windows.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    if sys.platform == "linux":
        return _resident_peak()
    import resource

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size  # bytes there, kilobytes elsewhere


def _resident_peak() -> int | None:
    """Largest resident size of this process on Linux, in bytes.

    getrusage of a process starts with the size of its parent.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # not mounted
        return None
    found = re.search(r"^VmHWM:\s*(\d+) kB", status, flags=re.MULTILINE)
    return None if found is None else 1024 * int(found[1])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a device or this machine is out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in OUT_OF_MEMORY)


def explain_out_of_memory(error: BaseException, config: RunConfig, device: torch.device) -> str:
    """Advice for a run that is out of memory."""
    peak = peak_memory(device)
    taken = "" if peak is None else f" Peak memory was {peak / 2**30:.2f} GiB."
    tries = ["another --device", "a smaller --batch-size (a different experiment)"]
    if config.precision in ("fp32", "tf32", "fp64"):
        tries.insert(0, "--precision bf16 (changes the numbers)")
    return (
        f"Out of memory on {device}: {config.problem} with batch_size {config.batch_size} in "
        f"{config.precision}.{taken} Try {', '.join(tries[:-1])}, or {tries[-1]}. Torch: "
        f"{first_line(error)}"
    )


def keep_memory() -> bool:
    """Keep freed memory in this process from now on; return whether it is kept.

    glibc gives large blocks back to the system as soon as they are freed. A training step frees its
    activations and needs as many again, and fresh pages, filled with zeros, take a tenth to a
    quarter of the step of a convolutional network on a CPU (`benchmarks/LOG.md`). Numbers are the
    same.

    `deepobs` and its workers do. A program of yours may call this, too: it is a setting of the
    whole process that cannot be taken back, so a library should not decide it. The process's size
    stays near its peak, and the peak itself can grow, by an eighth for the network that it grew
    most.

    No effect without glibc, or if one of `VARIABLES` is set.
    """
    global _kept
    set_option = _mallopt()
    if set_option is None or _user_decided():
        return False
    # In this order: the second alone makes glibc keep even less.
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
    """Glibc's function; None without glibc."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    # musl has neither; other allocators ignore both.
    return getattr(libc, "mallopt", None) if hasattr(libc, "gnu_get_libc_version") else None
