"""Devices and arithmetic: where a run computes and how precisely."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any

import torch

from deepobs_runner.backend.allocation import memory_is_kept
from deepobs_runner.backend.environment import processor
from deepobs_runner.config import Execution, Precision
from deepobs_runner.errors import UsageError

RECORDED_PACKAGES = (
    "deepobs-data",
    "deepobs-models",
    "deepobs-problems",
    "deepobs-runner",
    "torch",
    "torchvision",
    "numpy",
)

LACKING: Mapping[str, Precision] = MappingProxyType({"cpu": "fp16", "mps": "fp64"})
"""The precision that runs on a kind of device do not have."""


def choose_device(name: str, precision: Precision = "fp32") -> torch.device:
    """Return the device; `auto` is CUDA if there is one, else the CPU.

    Raises:
        UsageError: unknown or absent device, or one without this precision.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"Unknown device {name!r}. Use auto, cpu, cuda, cuda:1 or mps.") from None
    present = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    if device.type not in present:
        raise UsageError(f"Runs on {name!r} are not supported. Use auto, cpu, cuda, cuda:1 or mps.")
    if (device.index or 0) >= present[device.type]:
        raise UsageError(
            f"Device {name!r} is not there: this installation sees {present['cuda']} CUDA devices "
            f"and {'an' if present['mps'] else 'no'} MPS device. Use --device cpu or auto."
        )
    if precision == LACKING.get(device.type):
        raise UsageError(
            f"precision is {precision}, which runs on {device.type} do not have. Use another "
            f"device, or --precision {'bf16' if precision == 'fp16' else 'fp32'}."
        )
    return device


def compute_dtype(precision: Precision) -> torch.dtype:
    """Return the dtype of parameters and inputs."""
    return torch.float64 if precision == "fp64" else torch.float32


def autocast_dtype(precision: Precision) -> torch.dtype | None:
    """Return the dtype that forward passes cast to where it is safe; None: they do not."""
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)


@contextmanager
def numerics(precision: Precision, deterministic: bool) -> Iterator[None]:
    """Set torch's global arithmetic switches, and put them back."""
    cudnn = torch.backends.cudnn
    memory: Any = torch.utils.deterministic
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_float32_matmul_precision(),
        cudnn.allow_tf32,
        cudnn.benchmark,
        memory.fill_uninitialized_memory,
    )
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic or before[0], warn_only=True)
    if deterministic:  # nothing here reads what it did not write, and filling takes its time
        memory.fill_uninitialized_memory = False
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    cudnn.allow_tf32 = precision == "tf32"
    cudnn.benchmark = not deterministic
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.set_float32_matmul_precision(before[2])
        cudnn.allow_tf32 = before[3]
        cudnn.benchmark = before[4]
        memory.fill_uninitialized_memory = before[5]


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def environment(device: torch.device, execution: Execution | None = None) -> dict[str, Any]:
    """Return what a result says about the machine and the software it was made with."""
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
