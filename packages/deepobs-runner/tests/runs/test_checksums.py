"""Damage of checkpoints and step objectives is seen by checksums, and repaired by training."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from deepobs_runner import UsageError, load_result, run
from deepobs_runner.results.files import checksum_of, write_bytes, write_with_checksum
from deepobs_runner.results.result import reproducible, steps_path
from deepobs_runner.results.store import DamagedResultWarning
from deepobs_runner.runs.checkpoint_file import checkpoint_path, load_checkpoint
from deepobs_runner.runs.outcome import survey
from deepobs_runner.runs.recorder import CheckpointWarning


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "last byte lost": lambda content: content[:-1],
    "garbage": lambda content: np.random.default_rng(0).bytes(len(content)),
    "zeros": lambda content: bytes(len(content)),
    "zeros at the end": lambda content: content[:-60] + bytes(60),
    "64 zeros in the middle": lambda content: (
        content[: len(content) // 2 - 32] + bytes(64) + content[len(content) // 2 + 32 :]
    ),
    "one bit": flipped,
    "a byte more": lambda content: content + b"\0",
    "checksum of another": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
}
damages = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)


def state_of(path):
    with path.open("rb") as file:
        return checksum_of(file)


def numbers(result):
    return list(map(reproducible, result.records)), result.step_objectives().tobytes()


@pytest.fixture
def whole(problem, configure, execution):
    """Return the result of an undisturbed run in another folder."""
    out = execution.out.with_name("undisturbed")
    return run(configure(epochs=4), replace(execution, out=out), problem=problem)


@pytest.fixture
def cut(problem, configure, execution):
    """Return the result of a run that stopped after two of four epochs, with a checkpoint."""

    def stop(record):
        return "enough" if record.epoch == 2 else None

    return run(configure(epochs=4), execution, problem=problem, on_record=stop)


@damages
def test_a_damaged_checkpoint_is_set_aside_and_the_run_starts_anew(
    problem, execution, whole, cut, damage
):
    path = checkpoint_path(execution.out, cut.config.id)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UsageError, match=f"{path}"):
        load_checkpoint(path, cut.config.id)
    with pytest.warns(CheckpointWarning, match=rf"kept as {path.name}\.damaged, and the run"):
        again = run(cut.config, replace(execution, resume=True), problem=problem)
    assert numbers(again) == numbers(whole)
    assert again.status == "done"


@damages
def test_damaged_step_objectives_are_seen_beside_a_finished_run(
    problem, configure, execution, damage
):
    done = run(configure(), execution, problem=problem)
    expected = numbers(done)
    path = steps_path(done.path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UsageError, match=r"steps\.npy is damaged"):
        load_result(done.path).step_objectives()
    assert survey([done.config], execution).todo == (done.config,)
    with pytest.warns(DamagedResultWarning, match=r"steps\.npy is damaged"):
        again = run(done.config, execution, problem=problem)
    assert numbers(again) == expected


@damages
def test_damaged_step_objectives_of_a_run_that_is_resumed(problem, execution, whole, cut, damage):
    path = steps_path(cut.path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(DamagedResultWarning, match=r"steps\.npy is damaged"):
        again = run(cut.config, replace(execution, resume=True), problem=problem)
    assert numbers(again) == numbers(whole)


def test_a_checkpoint_that_its_result_does_not_fit_is_set_aside(problem, execution, whole, cut):
    text = cut.path.read_text()
    cut.path.write_text(text.replace('"epoch": 2,', '"epoch": 3,', 1))
    with pytest.warns(CheckpointWarning, match="lacks records that the checkpoint of epoch 2"):
        again = run(cut.config, replace(execution, resume=True), problem=problem)
    assert numbers(again) == numbers(whole)


def test_an_undamaged_checkpoint_is_resumed(problem, execution, whole, cut, recwarn):
    path = checkpoint_path(execution.out, cut.config.id)
    assert state_of(path) == state_of(steps_path(cut.path)) == "right"
    epochs = []
    again = run(
        cut.config,
        replace(execution, resume=True),
        problem=problem,
        on_record=lambda record: epochs.append(record.epoch),
    )
    assert epochs == [3, 4]
    assert numbers(again) == numbers(whole)
    assert not [w for w in recwarn if issubclass(w.category, CheckpointWarning)]


def test_files_of_earlier_versions_have_no_checksum_and_are_read(problem, execution, whole, cut):
    path = checkpoint_path(execution.out, cut.config.id)
    content = torch.load(path, weights_only=True)
    torch.save({**content, "schema": 2}, path)
    np.save(steps_path(cut.path), cut.step_objectives())
    assert state_of(path) == state_of(steps_path(cut.path)) == "missing"
    epochs = []
    again = run(
        cut.config,
        replace(execution, resume=True),
        problem=problem,
        on_record=lambda record: epochs.append(record.epoch),
    )
    assert epochs == [3, 4]
    assert numbers(again) == numbers(whole)


def test_other_programs_read_the_files(execution, cut):
    path = steps_path(cut.path)
    assert np.load(path).tolist() == cut.step_objectives().tolist()
    assert np.load(path, mmap_mode="r").tolist() == cut.step_objectives().tolist()
    content = torch.load(checkpoint_path(execution.out, cut.config.id), weights_only=True)
    assert content["epoch"] == 2


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20])
def test_checksums_of_files_of_any_size(tmp_path, size):
    content = np.random.default_rng(size).bytes(size)
    path = tmp_path / "x"
    write_with_checksum(path, lambda file: file.write(content))
    assert path.read_bytes()[:-40] == content
    assert state_of(path) == "right"
    write_bytes(path, content)
    assert state_of(path) == "missing"


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be synced on Windows")
def test_the_folder_is_synced_after_a_rename(tmp_path, monkeypatch):
    events = []
    sync, replace_file = os.fsync, os.replace

    def spy(opened):
        events.append("folder" if os.path.isdir(f"/proc/self/fd/{opened}") else "file")
        sync(opened)

    def rename(*paths):
        events.append("rename")
        replace_file(*paths)

    monkeypatch.setattr(os, "fsync", spy)
    monkeypatch.setattr(os, "replace", rename)
    write_bytes(tmp_path / "x", b"1")
    assert events == ["file", "rename", "folder"]
