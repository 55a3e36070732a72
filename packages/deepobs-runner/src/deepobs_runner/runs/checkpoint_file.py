"""Checkpoints as files, beside the results.

They are loaded with `weights_only=True`, so they execute no code.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import torch

from deepobs_runner.backend.memory import is_out_of_memory
from deepobs_runner.errors import UnreadableFileError, UsageError, cannot_read
from deepobs_runner.results.files import (
    UnfitFileError,
    checksum_of,
    open_file,
    write_with_checksum,
)
from deepobs_runner.runs.checkpoint_state import (
    check_extent,
    decode,
    encode,
    type_that_cannot_be_kept,
)
from deepobs_runner.text import first_line
from deepobs_runner.training.checkpoint import Checkpoint

CHECKPOINT_SCHEMA = 3
"""2 is the same without a checksum at the end of the file, and can be read."""


def checkpoint_path(folder: Path, run_id: str) -> Path:
    """Path of the checkpoint of a run."""
    return folder / f"{run_id}.ckpt"


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write a checkpoint atomically; return its path."""
    path = checkpoint_path(folder, checkpoint.run_id)
    content = {"schema": CHECKPOINT_SCHEMA, **encode(vars(checkpoint))}
    write_with_checksum(path, lambda file: torch.save(content, file))
    return path


def load_checkpoint(path: Path, run_id: str) -> Checkpoint:
    """Read the checkpoint of a run.

    Raises:
        UsageError: it is damaged, cannot be read safely, has another schema, or belongs to another
            configuration.
        UnreadableFileError: the file cannot be read, whatever it holds.
    """
    try:
        with open_file(path, most=None) as file:
            checksum = checksum_of(file)
            if checksum == "wrong":
                raise ValueError("its content does not fit its checksum.")
            _check_archive(file)
            content = torch.load(file, map_location="cpu", weights_only=True)
        check_extent(content)
        schema = content.pop("schema")
        content = decode(content)
    except Exception as e:  # torch raises nearly everything for damaged files
        if isinstance(e, OSError) and not isinstance(e, UnfitFileError):
            raise cannot_read(path, e) from None
        reason = first_line(e)
        if is_out_of_memory(e):  # the file may be sound
            raise UnreadableFileError(f"Cannot read {path}: {reason}") from None
        raise UsageError(f"{path} is not a checkpoint that can be read safely: {reason}") from None
    if schema == CHECKPOINT_SCHEMA and checksum != "right":
        raise UsageError(f"{path} is damaged: its checksum is missing.")
    if schema not in (2, CHECKPOINT_SCHEMA):
        raise UsageError(
            f"{path} has schema {schema}; this version reads 2 and {CHECKPOINT_SCHEMA}."
        )
    checkpoint = _checkpoint_of(content, path)
    if checkpoint.run_id != run_id:
        raise UsageError(
            f"{path} belongs to the run {checkpoint.run_id}, not to {run_id}: the configuration "
            "is another."
        )
    return checkpoint


def _check_archive(file: BinaryIO) -> None:
    """Check that a file is a zip archive as torch writes it, which needs no more memory than disk.

    Raises:
        ValueError: its members are compressed, or share their bytes.
        zipfile.BadZipFile: it is not a zip archive.
    """
    size = file.seek(0, os.SEEK_END)
    members = zipfile.ZipFile(file).infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("its content is compressed.")
    if sum(member.file_size for member in members) > size:
        raise ValueError("its content is larger than the file.")
    file.seek(0)


FIELDS: Mapping[str, type | tuple[type, ...]] = MappingProxyType(
    {
        "run_id": str, "epoch": int, "steps": int, "model": Mapping, "optimizer": Mapping,
        "counters": Mapping, "loss_scale": (Mapping, type(None)),
    }
)  # fmt: skip
"""Types of the fields of a checkpoint."""


def _checkpoint_of(content: Mapping[str, Any], path: Path) -> Checkpoint:
    """Checkpoint with these fields.

    Raises:
        UsageError: a field is missing, unknown or of another type.
    """
    wrong = sorted(map(str, content.keys() ^ FIELDS.keys())) or [
        name for name, kind in FIELDS.items() if not isinstance(content[name], kind)
    ]
    if wrong:
        raise UsageError(f"{path} is damaged: its field {wrong[0]} is invalid.")
    return Checkpoint(**content)


def keep_checkpoint(checkpoint: Checkpoint, folder: Path, *, read_back: bool) -> str | None:
    """Write a checkpoint; return the reason if that is impossible, else None.

    Args:
        checkpoint: checkpoint of a run.
        folder: folder of its result.
        read_back: load the file once, since a checkpoint that cannot be loaded is useless.

    Raises:
        OSError, UnreadableFileError: the disk is full, the folder not writable, or the file cannot
            be read back for now.
    """
    path = checkpoint_path(folder, checkpoint.run_id)
    try:
        save_checkpoint(checkpoint, folder)
        if read_back:
            load_checkpoint(path, checkpoint.run_id)
    except (OSError, UnreadableFileError):
        raise
    except Exception as error:  # pickle raises whatever the object does
        path.unlink(missing_ok=True)
        culprit = type_that_cannot_be_kept(encode(vars(checkpoint)))
        return f"its state holds a {culprit}" if culprit else first_line(error).rstrip(".")
    return None
