"""Diagnosis of an installation, as data; writes and downloads nothing.

`deepobs doctor` prints it.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import torch

from deepobs_data import DataNotFoundError, DatasetInfo, list_datasets
from deepobs_data.files.roots import resolve_root
from deepobs_data.files.sources import resolve
from deepobs_data.files.verify import verify
from deepobs_runner.backend.environment import (
    environment,
    has_bf16_instructions,
    memory_bytes,
    processor,
    usable_cores,
)
from deepobs_runner.backend.memory import memory_is_kept
from deepobs_runner.errors import UsageError
from deepobs_runner.extensions import installed_extensions, is_installed
from deepobs_runner.results.baselines import baseline_sets

COMPILERS = ("c++", "g++", "clang++", "cl")
"""C++ compilers that `torch.compile` looks for."""


def diagnose(data_dir: Path | None, out: Path) -> dict[str, Any]:
    """Diagnose the installation: JSON values by topic.

    Args:
        data_dir: folder of the data sets; None: `DEEPOBS_DATA_DIR`, else the user's cache.
        out: folder of results.
    """
    return {
        "versions": versions(),
        "devices": devices(),
        "threads": threads(),
        "memory_kept": memory_is_kept(),
        "compiler": next(filter(None, map(shutil.which, COMPILERS)), None),
        "data": data_sets(resolve_root(data_dir)),
        "extras": extras(),
        "extensions": installed_extensions(),
        "results": {"folder": str(out), "writable": is_writable(out)},
        "baselines": baselines(),
    }


def versions() -> dict[str, str]:
    """Versions of Python, the system and the packages that results record."""
    here = environment(torch.device("cpu"))
    system = f"{platform.system()} {platform.release()}"
    return {"python": here["python"], "system": system, **here["packages"]}


def devices() -> list[dict[str, Any]]:
    """Devices that `--device` can name.

    `memory` in bytes, None where it cannot be told; `bf16`: whether there are instructions for
    it. Without them, `--precision bf16` converts in every operation and is slower than fp32.
    """
    found: list[dict[str, Any]] = [
        {
            "device": "cpu",
            "name": processor(),
            "memory": memory_bytes(),
            "bf16": has_bf16_instructions(),
            "vectors": torch.backends.cpu.get_cpu_capability(),
        }
    ]
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        # From compute capability 8.0 on; torch also counts emulation as support.
        found.append(
            {
                "device": f"cuda:{index}",
                "name": facts.name,
                "memory": facts.total_memory,
                "bf16": facts.major >= 8 or torch.version.hip is not None,
            }
        )
    if torch.backends.mps.is_available():
        found.append({"device": "mps", "name": processor(), "memory": None, "bf16": None})
    return found


def threads() -> dict[str, Any]:
    """Threads of torch, number of cores, and how idle threads wait."""
    return {
        "torch": torch.get_num_threads(),
        "cores": usable_cores(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY"),
    }


def data_sets(root: Path) -> dict[str, Any]:
    """Data folder and state of each data set.

    `made`: generated, needs no files. `verified`, `damaged`: its files have the right checksums
    or not. `present`: without checksums to compare with. `missing`.
    """
    states = {facts.name: _state(facts, root) for facts in list_datasets()}
    return {"folder": str(root), "sets": states}


def _state(row: DatasetInfo, root: Path) -> str:
    if row.locate is not None:
        try:
            resolve(row.locate)(root)
        except DataNotFoundError:
            return "missing"
        return "present"
    if row.source is None:
        return "made"
    found = {verdict.state for verdict in verify(row.name, root)}
    order = {"damaged": "damaged", "missing": "missing", "unknown": "present", "present": "present"}
    return next((order[state] for state in order if state in found), "verified")


def extras(requirements: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """State of each extra: whether installed, and its install command.

    Args:
        requirements: as a distribution declares them; None for those of this one.

    >>> extras(["torch>=2.6", 'no-such-package>=1; extra == "x"'])["x"]["installed"]
    False
    """
    if requirements is None:
        try:
            requirements = requires("deepobs-runner") or ()
        except PackageNotFoundError:
            requirements = ()
    packages: dict[str, list[str]] = {}
    for requirement in requirements:
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", requirement)
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        if extra and name:
            packages.setdefault(extra.group(1), []).append(name.group())
    return {
        extra: {
            "installed": all(map(is_installed, names)),
            "packages": {name: version(name) if is_installed(name) else None for name in names},
            "command": f'pip install "deepobs-runner[{extra}]"',
        }
        for extra, names in sorted(packages.items())
    }


def is_writable(folder: Path) -> bool:
    """Whether a folder is writable; does not create it."""
    existing = next((p for p in (folder, *folder.absolute().parents) if p.exists()), folder)
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def baselines() -> Mapping[str, Any]:
    """Titles of the baseline sets by name, or their errors."""
    try:
        return {name: found.title for name, found in baseline_sets().items()}
    except UsageError as error:
        return {"error": str(error)}
