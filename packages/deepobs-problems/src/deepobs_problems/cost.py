"""What one example costs: floating-point operations and activations, measured without memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from deepobs_data import Batch
from deepobs_problems.evaluation import evaluation_mode
from deepobs_problems.problem import Problem


class Cost(NamedTuple):
    """Size of a model and cost of one example.

    Attributes:
        parameters: trainable parameters.
        flops: floating-point operations of a forward pass in evaluation mode, as counted by
            `torch.utils.flop_counter`: matrix products and convolutions, a multiplication and an
            addition being two. Elementwise operations are not counted.
        activations: numbers in the outputs of all layers that have parameters, as in Radosavovic
            et al. 2020, "Designing network design spaces".
    """

    parameters: int
    flops: int
    activations: int


def measure_cost(problem: Problem, batch: Batch) -> Cost:
    """Measure the cost of one example of `batch` on torch's meta device.

    Nothing is computed and no weight is stored, so the largest network takes a second.

    Args:
        problem: its model must be buildable on the meta device.
        batch: any examples of the problem's data; only shapes and types are used.
    """
    example = Batch(*(torch.empty_like(part[:1], device="meta") for part in batch))
    with torch.device("meta"):
        model = problem.model().to("meta")
    outputs: list[int] = []

    def count(layer: nn.Module, inputs: Any, output: Any) -> None:
        first = output if isinstance(output, Tensor) else output[0]  # (output, state) of an LSTM
        outputs.append(first.numel())

    own = [m for m in model.modules() if any(True for _ in m.parameters(recurse=False))]
    handles = [layer.register_forward_hook(count) for layer in own]
    counter = FlopCounterMode(display=False)
    with evaluation_mode(model), torch.no_grad(), counter:
        problem.forward(model, example, None)
    for handle in handles:
        handle.remove()
    return Cost(
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        flops=counter.get_total_flops(),
        activations=sum(outputs),
    )
