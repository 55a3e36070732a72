"""Checks that data, model, loss, metrics and L2 are what they must be, and fit together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepobs_data import Dataset
from deepobs_problems.fingerprints import describe
from deepobs_problems.problem import PerExample, Problem
from deepobs_problems.testing.case import Case, FailedCheckError, listed, shape


def check_data(case: Case) -> str:
    """The data set is built and its splits give batches with as many inputs as targets."""
    dataset = case.data()
    if not isinstance(dataset, Dataset):
        raise FailedCheckError(
            f"`data` returned a {type(dataset).__name__}; it must return a deepobs_data.Dataset."
        )
    case.dataset = dataset
    rows = torch.arange(case.examples)
    for name, split in dataset.splits().items():
        if len(split) < case.examples:
            raise FailedCheckError(
                f"The split {name} has {len(split)} examples; this check needs {case.examples}. "
                "Pass a smaller examples=, or give more data."
            )
        batches = list(split.batches(rows, case.examples))
        sizes = [(len(batch.x), len(batch.y)) for batch in batches]
        if sizes != [(case.examples, case.examples)]:
            raise FailedCheckError(
                f"Asked for {case.examples} rows in one batch, the split {name} gave batches of "
                f"(inputs, targets) {sizes}. See deepobs_data.Split.batches."
            )
    case.batch = next(dataset.train.batches(rows, case.examples))
    lengths = ", ".join(f"{name} {len(split)}" for name, split in dataset.splits().items())
    x, y = case.batch
    return f"{lengths} examples; x {shape(x[0])} {x.dtype}, y {shape(y[0])} {y.dtype}."


def check_model(case: Case) -> str:
    """The model is built, and the same seed builds the same model."""
    case.model = case.build_model()
    if not isinstance(case.model, nn.Module):
        raise FailedCheckError(
            f"`model` returned a {type(case.model).__name__}; it must return a torch.nn.Module. "
            "Pass a class or a functools.partial, not what it returns."
        )
    trained = sum(p.numel() for p in case.model.parameters() if p.requires_grad)
    if not trained:
        raise FailedCheckError("The model has no parameter that requires a gradient.")
    first, again = case.model.state_dict(), case.build_model().state_dict()
    differing = [name for name in first if not torch.equal(first[name], again[name])]
    if differing:
        raise FailedCheckError(
            f"The same seed built two models that differ in {listed(differing)}. Draw all initial "
            "values from torch's global generator."
        )
    return f"{trained:,} trained parameters; the same seed builds the same model."


def check_loss(case: Case) -> str:
    """Model and loss fit together: one finite value for each example, in both modes."""
    values = []
    for mode in ("training", "evaluation"):
        output = case.forward(mode)
        try:
            losses = _loss(case.problem, mode)(output, case.batch)
        except Exception as error:
            raise FailedCheckError(
                f"In {mode}, the loss cannot take the model's output {shape(output)} with targets "
                f"{shape(case.batch.y)}: {type(error).__name__}: {error}"
            ) from error
        _require_per_example(losses, "loss", mode, case.examples)
        values.append(losses.mean().item())
    return f"One finite value per example; the untrained model's mean is {values[-1]:.6g}."


def check_metrics(case: Case) -> str | None:
    """Each metric gives one finite value for each example."""
    output = case.forward("evaluation")
    for name, metric in case.problem.metrics.items():
        _require_per_example(
            metric(output, case.batch), f"metric {name!r}", "evaluation", case.examples
        )
    names = ", ".join(case.problem.metrics)
    return f"One finite value per example of {names}." if names else None


def check_l2(case: Case) -> str | None:
    """L2 acts on parameters of the model, and its two forms agree."""
    problem, model = case.problem, case.model
    if problem.l2 == 0.0:
        return None
    decayed = list(problem.decayed(model))
    known = {id(p): name for name, p in model.named_parameters() if p.requires_grad}
    if not decayed:
        raise FailedCheckError(
            f"l2 is {problem.l2}, but `decayed` picks no parameter of the model. Pass a function "
            "that returns the regularized parameters, or l2=0."
        )
    foreign = sum(id(p) not in known for p in decayed)
    if foreign:
        raise FailedCheckError(
            f"`decayed` picks {foreign} tensor(s) that are no trained parameter of the model."
        )
    if len({id(p) for p in decayed}) < len(decayed):
        raise FailedCheckError("`decayed` picks a parameter more than once: it would count twice.")
    grouped = [p for group in problem.parameter_groups(model) for p in group["params"]]
    if sorted(map(id, grouped)) != sorted(known):
        raise FailedCheckError("parameter_groups() does not hold every trained parameter once.")
    return f"Factor {problem.l2:g} on {len(decayed)} of {len(known)} parameters."


def check_definition(case: Case) -> str:
    """The fingerprint is made of texts that are the same in every process."""
    problem = case.problem
    parts = {name: getattr(problem, name) for name in ("data", "model", "loss", "forward")}
    parts |= {"decayed": problem.decayed, "prepare": problem.prepare}
    parts["training_loss"] = problem.training_loss
    parts |= {f"metric {name!r}": metric for name, metric in problem.metrics.items()}
    for name, part in parts.items():
        if " at 0x" in describe(part):
            raise FailedCheckError(
                f"The definition of {name} contains {describe(part)!r}, which differs in every "
                "process, so finished runs would not be found again. Use functions, classes and "
                "functools.partial with numbers or strings."
            )
    return f"The fingerprint is {problem.fingerprint}."


def _loss(problem: Problem, mode: str) -> PerExample:
    smoothed = problem.training_loss if mode == "training" else None
    return smoothed or problem.loss


def _require_per_example(values: Any, what: str, mode: str, examples: int) -> None:
    if not isinstance(values, Tensor) or values.shape != (examples,):
        raise FailedCheckError(
            f"In {mode}, the {what} returned {shape(values)} for {examples} examples; it must "
            f"return one value for each, ({examples},). Do not average: use reduction='none', and "
            "sum over everything but the first axis."
        )
    if not values.is_floating_point() or not values.isfinite().all():
        raise FailedCheckError(
            f"In {mode}, the {what} of the untrained model is {values.tolist()}; it must be finite "
            "floating-point numbers."
        )
