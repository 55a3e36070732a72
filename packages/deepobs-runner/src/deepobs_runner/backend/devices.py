"""Choice of the device."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch

from deepobs_runner.config import Precision
from deepobs_runner.errors import UsageError

LACKING: Mapping[str, Precision] = MappingProxyType({"cpu": "fp16", "mps": "fp64"})
"""Precisions that a kind of device lacks."""


def choose_device(name: str, precision: Precision = "fp32") -> torch.device:
    """Device; `auto` is CUDA if there is one, else the CPU.

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
            f"Device {name!r} not found: this installation sees {present['cuda']} CUDA devices "
            f"and {'an' if present['mps'] else 'no'} MPS device. Use --device cpu or auto."
        )
    if precision == LACKING.get(device.type):
        raise UsageError(
            f"Precision {precision} is not available on {device.type}. Use another "
            f"device, or --precision {'bf16' if precision == 'fp16' else 'fp32'}."
        )
    return device


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
