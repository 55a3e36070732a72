"""The memory of a run: what it took at most, what the optimizer keeps, and what if it ran out."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepobs_runner.config import RunConfig

OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")
"""In the messages of torch's RuntimeErrors: of the CPU, of MPS, and of cuBLAS and cuDNN."""


def tensor_bytes(state: Any) -> int:
    """Return the bytes of all tensors in nested state, such as an optimizer's state dict.

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
    """Start measuring the peak of a CUDA device anew; that of a process cannot be forgotten."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """Return the most bytes that were in use at once; None where nothing says.

    On CUDA the most that tensors took on the device since `forget_peak`. Elsewhere the largest
    resident size this process ever had: Python, libraries and earlier runs in the process are
    part of it, so it only bounds what the run needed. Windows does not say.
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
    """Return the largest resident size of this process on Linux, in bytes.

    What getrusage says of a process begins with the size of the one that started it.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # not mounted
        return None
    found = re.search(r"^VmHWM:\s*(\d+) kB", status, flags=re.MULTILINE)
    return None if found is None else 1024 * int(found[1])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of a device or of this machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in OUT_OF_MEMORY)


def explain_out_of_memory(error: BaseException, config: RunConfig, device: torch.device) -> str:
    """Return a sentence about a run whose memory ran out, and what to try."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    peak = peak_memory(device)
    taken = "" if peak is None else f" The most in use at once was {peak / 2**30:.2f} GiB."
    tries = ["another --device", "a smaller --batch-size, which is another experiment"]
    if config.precision in ("fp32", "tf32", "fp64"):
        tries.insert(0, "--precision bf16, which changes the numbers")
    return (
        f"Out of memory on {device}: {config.problem} with batch_size {config.batch_size} in "
        f"{config.precision}.{taken} Try {', '.join(tries[:-1])}, or {tries[-1]}. Torch says: "
        f"{lines[0] if lines else type(error).__name__}"
    )
