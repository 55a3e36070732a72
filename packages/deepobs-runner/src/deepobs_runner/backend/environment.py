"""Machine and software of a result."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from deepobs_runner.backend.memory import memory_is_kept
from deepobs_runner.config import Execution

RECORDED_PACKAGES = (
    "deepobs-data",
    "deepobs-models",
    "deepobs-problems",
    "deepobs-runner",
    "torch",
    "torchvision",
    "numpy",
    "pytorch-optimizer",
    "schedulefree",
)

CPUINFO = Path("/proc/cpuinfo")
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Linux's names of bfloat16 instructions, on x86 (AVX-512, AMX) and on ARM."""


def environment(device: torch.device, execution: Execution | None = None) -> dict[str, Any]:
    """Describe machine and software for a result."""
    execution = execution or Execution()
    versions = {}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "packages": versions,
        "device": str(device),
        "device_name": name,
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "memory_kept": memory_is_kept(),
        "compile": execution.compile,
        "cuda_graphs": execution.cuda_graphs,
        "deterministic": execution.deterministic,
    }


@cache
def processor() -> str:
    """Name of the processor, or only its architecture."""
    if platform.system() == "Darwin":
        return _sysctl("machdep.cpu.brand_string") or platform.machine()
    facts = _cpuinfo()
    return facts.get("model name") or platform.processor() or platform.machine()


@cache
def has_bf16_instructions() -> bool | None:
    """Whether the processor has bfloat16 instructions; None if unknown."""
    if platform.system() == "Darwin":
        answer = _sysctl("hw.optional.arm.FEAT_BF16")
        return answer == "1" if answer else None
    facts = _cpuinfo()
    flags = facts.get("flags") or facts.get("Features")
    return None if flags is None else bool(BF16_FLAGS & set(flags.split()))


def memory_bytes() -> int | None:
    """Size of the main memory; None if unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def usable_cores() -> int:
    """Number of processor cores available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let torch use this many threads in the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def environment_variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables in the context, also for new processes."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _cpuinfo() -> dict[str, str]:
    """Linux's description of the first processor."""
    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = text.split("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _sysctl(name: str) -> str:
    try:
        done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
