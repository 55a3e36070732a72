"""Gradients of every example in a batch, and how noisy their mean is, while SGD trains.

    python examples/per_example_gradients.py
    python examples/per_example_gradients.py cifar10_3c3d --batch-size 8 --lr 0.05

A problem's `losses` are one per example, so `torch.func` differentiates each for itself. From the
gradients g_1 .. g_B of a batch follow unbiased estimates of the full gradient's squared norm |G|^2
(the signal) and of the trace of the gradients' covariance S (the noise). tr(S) / |G|^2 is the
"simple noise scale" of McCandlish et al., "An empirical model of large-batch training", 2018,
appendix A: the batch size at which the noise of the mean gradient is as large as the signal.
Regularizers have no noise and are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from deepobs_problems import Batch, Problem, load_problem

Gradients = dict[str, Tensor]  # by parameter, each (B, *shape)


class ExampleLoss(nn.Module):
    """The loss of one example as a module, which is what `functional_call` takes."""

    def __init__(self, problem: Problem, model: nn.Module) -> None:
        super().__init__()
        self.problem = problem
        self.model = model

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss, a scalar, of an example without a batch dimension."""
        losses, _ = self.problem.losses(self.model, Batch(x.unsqueeze(0), y.unsqueeze(0)))
        return losses.squeeze(0)


def per_example_gradients(problem: Problem, model: nn.Module, batch: Batch) -> Gradients:
    """Return the gradient of each example's loss, (B, *shape) for every trained parameter.

    For problems tagged `per-example-safe`: elsewhere batch norm mixes the examples.
    """
    module = ExampleLoss(problem, model)
    parameters = {n: p.detach() for n, p in module.named_parameters() if p.requires_grad}

    def loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return functional_call(module, parameters, (x, y))

    # Each example has its own dropout mask, where there is dropout.
    gradients = vmap(grad(loss), in_dims=(None, 0, 0), randomness="different")(parameters, *batch)
    return {name.removeprefix("model."): g for name, g in gradients.items()}


class Noise(NamedTuple):
    """Estimates from one batch: |G|^2, tr(S), and tr(S) / |G|^2."""

    signal: float
    noise: float
    scale: float


def gradient_noise(gradients: Gradients) -> Noise:
    """Return unbiased estimates of signal and noise; the ratio is nan where no signal was seen."""
    size = len(next(iter(gradients.values())))
    if size < 2:
        raise ValueError(f"The batch has {size} example; a variance needs at least 2.")
    squared_mean = sum(g.mean(dim=0).square().sum().item() for g in gradients.values())
    noise = sum(g.var(dim=0).sum().item() for g in gradients.values())  # divides by B - 1
    signal = squared_mean - noise / size  # E|mean|^2 = |G|^2 + tr(S) / B
    return Noise(signal, noise, noise / signal if signal > 0 else float("nan"))


def train(problem: Problem, *, batch_size: int, lr: float, steps: int) -> Iterator[Noise]:
    """Train with SGD on generated data; yield the noise at every step."""
    torch.manual_seed(42)
    data, model = problem.stand_in(), problem.model()
    rows = torch.randint(len(data.train), (steps * batch_size,))  # independent of each other
    for batch in data.train.batches(rows, batch_size):
        gradients = per_example_gradients(problem, model, batch)
        with torch.no_grad():
            for name, gradient in gradients.items():
                model.get_parameter(name).sub_(gradient.mean(dim=0), alpha=lr)
        yield gradient_noise(gradients)


def main(arguments: list[str] | None = None) -> None:
    """Print a table for each problem."""
    parser = argparse.ArgumentParser(description="Gradient noise while SGD trains.")
    parser.add_argument("problems", nargs="*", default=["quadratic_deep", "fmnist_2c2d"])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args(arguments)
    for name in options.problems:
        problem = load_problem(name)
        if "per-example-safe" not in problem.tags:
            parser.error(f"{name} is not tagged per-example-safe: its examples mix.")
        print(f"{name}, batches of {options.batch_size}\n step     |G|^2     tr(S)  noise scale")
        settings = {"batch_size": options.batch_size, "lr": options.lr, "steps": options.steps}
        for step, found in enumerate(train(problem, **settings)):
            print(f"{step:5} {found.signal:9.3g} {found.noise:9.3g} {found.scale:12.3g}")


if __name__ == "__main__":
    main()
