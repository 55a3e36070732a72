"""Exact evaluation: every example counts once, whatever the batch size.

Only text that is read in order depends on the batch size, see `evaluation_order`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from deepobs_data import Batch, Dataset, Split, stateful_order
from deepobs_problems.problem import Problem, State, recurrent


def evaluate(
    problem: Problem,
    model: nn.Module,
    split: Split,
    *,
    batch_size: int | None = None,
    order: Tensor | None = None,
    draws: Tensor | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    l2: float | None = None,
) -> dict[str, float]:
    """`loss`, `objective`, the problem's metrics and its square-root metrics over a split.

    Values per example are averaged in float64, not as a mean of batch means. The model is put into
    evaluation mode and back, and computes under `torch.inference_mode`.

    Args:
        problem: defines loss and metrics.
        model: a model of this problem.
        split: the examples.
        batch_size: batch size of the passes; default: that of `Problem.hardware` for the
            model's device.
        order: row numbers to evaluate; default: all, in file order, or for a `recurrent` problem
            in the order in which batches continue each other.
        draws: augmentation draws for `order`; None evaluates the examples as they are.
        device: device of the model.
        dtype: floating inputs are cast to it; None leaves them.
        l2: L2 coefficient; default: the problem's.

    Raises:
        ValueError: no example to evaluate.
        ProblemError: loss or a metric does not return one value per example.
    """
    on = _device_of(model) if device is None else torch.device(device)  # a name works, too
    size = batch_size or problem.hardware.evaluation_batch_on(on)
    if order is None:
        in_order = problem.forward is recurrent
        order = stateful_order(len(split), size) if in_order else torch.arange(len(split))
    if len(order) == 0:
        raise ValueError(
            f"Nothing to evaluate: the split has {len(split)} examples, not one whole batch. "
            "Choose a smaller batch size or a larger split."
        )
    columns: dict[str, list[Tensor]] = {"loss": [], **{name: [] for name in problem.metrics}}
    state: State = None
    with evaluation_mode(model), torch.inference_mode():
        for raw in split.batches(order, size, draws=draws, device=device):
            batch = prepare(problem, raw, dtype)
            output, state = problem.forward(model, batch, state)
            for name, values in problem.measures(output, batch).items():
                columns[name].append(values)
        penalty = float(problem.regularizer(model, l2))
    means = {name: torch.cat(parts).cpu().double().mean().item() for name, parts in columns.items()}
    means = problem.with_roots(means)
    return {"loss": means["loss"], "objective": means["loss"] + penalty, **means}


def _device_of(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def evaluation_order(dataset: Dataset, split: Split, batch_size: int) -> Tensor:
    """Row numbers of one evaluation pass, `(N,)`.

    File order, but for a stateful data set: there, row b of each batch continues row b of the
    batch before, so the order depends on the batch size and up to `batch_size - 1` windows at
    the end of the text are left out.
    """
    if dataset.order == "stateful":
        return stateful_order(len(split), batch_size)
    return torch.arange(len(split))


def cast(batch: Batch, dtype: torch.dtype | None) -> Batch:
    """Batch with its floating tensors in `dtype`; None leaves it as it is."""
    if dtype is None:
        return batch
    return Batch(*(part.to(dtype) if part.is_floating_point() else part for part in batch))


def prepare(problem: Problem, batch: Batch, dtype: torch.dtype | None) -> Batch:
    """Batch as the model of a problem is given it; no value but those cast changes.

    Args:
        problem: defines the memory format of images, see `Hardware.channels_last`.
        batch: batch on the device of the model.
        dtype: as for `cast`.
    """
    batch = cast(batch, dtype)
    x = batch.x
    if problem.hardware.channels_last and x.ndim == 4 and x.device.type == "cpu":
        return Batch(x.to(memory_format=torch.channels_last), batch.y)
    return batch


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode and back into the mode each of its modules was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
