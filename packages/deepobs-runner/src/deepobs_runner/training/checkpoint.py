"""Checkpoints at epoch boundaries: what a run needs to go on as if it had never stopped.

Random streams are addressed by epoch, so there is no generator state to keep. Files are loaded with
`weights_only=True`: they execute no code.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepobs_runner.errors import UsageError
from deepobs_runner.results.files import write_atomically
from deepobs_runner.text import first_line

CHECKPOINT_SCHEMA = 2


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a run after an epoch, on the CPU.

    Attributes:
        run_id: the identity of the run.
        epoch: that has ended.
        steps: taken so far.
        model: state dict of the model.
        optimizer: state dict of the optimizer.
        counters: of closure calls and the like so far.
        loss_scale: state of the loss scale in fp16, else None.
    """

    run_id: str
    epoch: int
    steps: int
    model: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    counters: Mapping[str, int]
    loss_scale: Mapping[str, Any] | None = None


def checkpoint_path(folder: Path, run_id: str) -> Path:
    """Return where the checkpoint of a run lies."""
    return folder / f"{run_id}.ckpt"


def on_cpu(state: Any) -> Any:
    """Return a copy of nested state with every tensor cloned to the CPU."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {key: on_cpu(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(on_cpu(value) for value in state)
    return state


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write a checkpoint atomically; return its path."""
    path = checkpoint_path(folder, checkpoint.run_id)
    content = {"schema": CHECKPOINT_SCHEMA, **vars(checkpoint)}
    write_atomically(path, lambda file: torch.save(content, file))
    return path


def load_checkpoint(path: Path, run_id: str) -> Checkpoint:
    """Read the checkpoint of a run.

    Raises:
        UsageError: it cannot be read safely, has another schema, or belongs to another
            configuration.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        schema = content.pop("schema")
    except (OSError, RuntimeError, EOFError, KeyError, AttributeError, pickle.UnpicklingError) as e:
        reason = first_line(e)
        raise UsageError(
            f"{path} is not a checkpoint that can be read safely: {reason} Delete it to start "
            "the run anew."
        ) from None
    if schema != CHECKPOINT_SCHEMA:
        raise UsageError(
            f"{path} has schema {schema}; this version reads {CHECKPOINT_SCHEMA}. Delete it to "
            "start the run anew."
        )
    checkpoint = Checkpoint(**content)
    if checkpoint.run_id != run_id:
        raise UsageError(
            f"{path} belongs to the run {checkpoint.run_id}, not to {run_id}: the configuration "
            "is another. Delete it to start the run anew."
        )
    return checkpoint
