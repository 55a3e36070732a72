"""Runs on each device that is there: precisions, resume, order of the data, no waiting."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from deepobs_runner import Execution, run, train
from deepobs_runner.backend.devices import choose_device
from deepobs_runner.backend.precision import numerics
from deepobs_runner.errors import UsageError
from deepobs_runner.results.result import reproducible
from deepobs_runner.runs.checkpoint_file import load_checkpoint, save_checkpoint
from deepobs_runner.runs.recorder import record_to_json
from deepobs_runner.runs.resolve import optimizer_of
from deepobs_runner.training.closure import Closure


def records(problem, config, device, **options):
    build, execution = optimizer_of(config, problem), Execution(device=device)
    return list(train(problem, build, config=config, execution=execution, **options))


def comparable(record):
    return reproducible(record_to_json(record)), record.step_objectives.tobytes()


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp64", "bf16", "fp16"])
def test_every_precision_learns(problem, configure, device, precision):
    if (device, precision) == ("cpu", "fp16"):
        pytest.skip("a CPU run has no fp16")
    recorded = records(problem, configure(precision=precision, epochs=5), device)
    first, last = (recorded[i].metrics["train_eval"]["objective"] for i in (0, -1))
    assert last < 0.9 * first
    counters = recorded[-1].counters
    assert counters["closure_calls"] == 20
    assert counters["peak_memory_bytes"] > 0


@pytest.mark.parametrize(
    ("precision", "computed", "kept", "products"),
    [
        ("fp32", torch.float32, torch.float32, "highest"),
        ("tf32", torch.float32, torch.float32, "high"),
        ("fp64", torch.float64, torch.float64, "highest"),
        ("bf16", torch.bfloat16, torch.float32, "highest"),
    ],
)
def test_training_and_evaluation_compute_in_the_precision(
    problem, configure, precision, computed, kept, products
):
    seen = set()

    class Watched(nn.Linear):
        def forward(self, x):
            output = super().forward(x)
            tf32 = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
            seen.add((self.training, output.dtype, self.weight.dtype, *tf32))
            return output

    small = replace(problem, model=lambda: Watched(8, 3))
    records(small, configure(precision=precision, epochs=1), "cpu")
    facts = (computed, kept, products, precision == "tf32")
    assert seen == {(True, *facts), (False, *facts)}


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_resumed_training_is_bitwise_equal(problem, configure, device, precision, tmp_path):
    """With dropout, batch norm and augmentation; in fp16 with the scale of the loss."""
    if (device, precision) == ("cpu", "fp16"):
        pytest.skip("a CPU run has no fp16")
    config = configure("Adam", {"lr": 0.01}, precision=precision, epochs=4)
    build, whole = optimizer_of(config, problem), []
    for record in train(problem, build, config=config, execution=Execution(device=device)):
        whole.append(record)
        if record.epoch == 2:
            checkpoint = load_checkpoint(save_checkpoint(record.snapshot(), tmp_path), config.id)
    rest = records(problem, config, device, resume=checkpoint)
    assert [comparable(r) for r in rest] == [comparable(r) for r in whole[3:]]


def test_batches_are_the_same_on_every_device(problem, configure, device, monkeypatch):
    """Rows, and their augmentation, in the same order as on the CPU."""
    seen, begin = [], Closure.begin

    def look(closure, batch):
        seen.append(batch.x.cpu())
        begin(closure, batch)

    monkeypatch.setattr(Closure, "begin", look)
    records(problem, configure(epochs=2), device)
    there, seen[:] = list(seen), []
    records(problem, configure(epochs=2), "cpu")
    assert len(there) == 8
    for one, other in zip(there, seen, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_clocks_are_of_the_device(problem, configure, device):
    for record in records(problem, configure(epochs=2), device)[1:]:
        for name in ("data", "forward_backward", "optimizer", "evaluate"):
            assert record.clocks[name] > 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_nothing_waits_for_the_device_within_an_epoch(problem, configure, cuda, precision):
    """Any synchronisation between an epoch's first and last backward pass is an error."""
    config, calls = configure("Adam", {"lr": 0.01}, precision=precision, epochs=2), []

    @contextmanager
    def watch():
        calls.append(len(calls) % 4)
        torch.cuda.set_sync_debug_mode("default" if calls[-1] == 3 else "error")
        yield

    build = optimizer_of(config, problem)
    try:
        recorded = list(
            train(
                problem,
                build,
                config=config,
                execution=Execution(device=cuda),
                around_backward=watch,
            )
        )
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert calls == [0, 1, 2, 3] * 2
    assert recorded[-1].finite


def test_out_of_memory_of_the_device_is_a_sentence(problem, configure, execution, cuda):
    def build():
        torch.empty(2**46, device=cuda)

    with pytest.raises(UsageError, match=r"Out of memory on cuda.*batch_size 16.*GiB"):
        run(configure(), replace(execution, device=cuda), problem=replace(problem, model=build))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cuda:99", r"'cuda:99' not found: .* CUDA devices"),
        ("cpu:1", "not found"),
        ("xpu", "not supported"),
        ("gpu", "Unknown device 'gpu'"),
    ],
)
def test_absent_devices(name, sentence):
    with pytest.raises(UsageError, match=sentence):
        choose_device(name)


def test_memory_is_not_filled_and_the_setting_is_put_back(problem, configure):
    """Filling what is about to be written changes no number, only the time."""
    settings = torch.utils.deterministic
    assert settings.fill_uninitialized_memory is True
    with numerics("fp32", deterministic=True):
        assert settings.fill_uninitialized_memory is False
        assert torch.are_deterministic_algorithms_enabled()
    assert settings.fill_uninitialized_memory is True
    with numerics("fp32", deterministic=False):
        assert settings.fill_uninitialized_memory is True


def test_records_are_those_of_filled_memory(problem, configure, monkeypatch):
    unfilled = records(problem, configure(), "cpu")

    class Filling:
        fill_uninitialized_memory = property(lambda self: True, lambda self, value: None)

    monkeypatch.setattr("torch.utils.deterministic", Filling())
    filled = records(problem, configure(), "cpu")
    assert [comparable(r) for r in filled] == [comparable(r) for r in unfilled]
    assert np.isfinite(filled[-1].step_objectives).all()
