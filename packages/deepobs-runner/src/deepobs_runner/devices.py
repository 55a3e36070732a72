"""Devices and arithmetic: where a run computes and how precisely."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from deepobs_runner.config import Precision
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


def choose_device(name: str) -> torch.device:
    """Return the device; `auto` is CUDA if there is one, else the CPU.

    Raises:
        UsageError: unknown or absent device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"Unknown device {name!r}. Use auto, cpu, cuda, cuda:1 or mps.") from None
    absent = {
        "cpu": (device.index or 0) > 0,
        "cuda": (device.index or 0) >= torch.cuda.device_count(),
        "mps": not torch.backends.mps.is_available(),
    }
    if device.type not in absent:
        raise UsageError(f"Runs on {name!r} are not supported. Use auto, cpu, cuda, cuda:1 or mps.")
    if absent[device.type]:
        raise UsageError(
            f"Device {name!r} is not there: this installation sees {torch.cuda.device_count()} "
            "CUDA devices. Use --device cpu or auto."
        )
    return device


def compute_dtype(precision: Precision) -> torch.dtype:
    """Return the dtype of parameters and inputs."""
    return torch.float64 if precision == "fp64" else torch.float32


@contextmanager
def numerics(precision: Precision, deterministic: bool) -> Iterator[None]:
    """Set torch's global arithmetic switches, and put them back."""
    cudnn = torch.backends.cudnn
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_float32_matmul_precision(),
        cudnn.allow_tf32,
        cudnn.benchmark,
    )
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic or before[0], warn_only=True)
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


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def environment(device: torch.device) -> dict[str, Any]:
    """Return what a result says about the machine and the software it was made with."""
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
        "threads": torch.get_num_threads(),
    }
