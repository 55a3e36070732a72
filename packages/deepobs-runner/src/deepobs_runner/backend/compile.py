"""`torch.compile` of what a training step computes: forward pass, loss and regularizer.

The optimizer's step and the evaluation are not compiled. Evaluation has other batch sizes, with a
shorter last batch per split. Each would need a compilation as long as that of training, for passes
that are a small part of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from deepobs_problems import Problem
from deepobs_problems.problem import State
from deepobs_runner.errors import UsageError
from deepobs_runner.text import first_line

Objective = Callable[..., tuple[Tensor, State]]

MANY = 10**6
"""Compilations of one function, the objective of all problems. Torch's limit of eight detects
functions that recompile repeatedly; beyond it, torch silently stops compiling."""


def compile_objective(problem: Problem) -> Objective:
    """`problem.objective`, compiled when it is first called.

    Random numbers are drawn as without compilation, so dropout masks are the same.
    """
    compiled: Objective = torch.compile(
        problem.objective, dynamic=False, options={"fallback_random": True}
    )
    return compiled


@contextmanager
def compilation(problem: Problem) -> Iterator[None]:
    """Allow a compilation, regardless of earlier ones in this process.

    Raises:
        UsageError: it cannot be compiled here.
    """
    try:
        with torch._dynamo.config.patch(dict.fromkeys(_limits(), MANY)):
            yield
    except Exception as error:
        if not _is_of_compiler(error):
            raise
        raise UsageError(
            f"torch.compile cannot compile {problem.name} here: {first_line(error)}. "
            "It needs a C++ compiler (g++ or clang++, or the one that CXX names), and Triton for "
            "a GPU. Run it without --compile."
        ) from error


def _limits() -> list[str]:
    """Names of torch's limits; torch 2.6 has other names."""
    what = "recompile" if hasattr(torch._dynamo.config, "recompile_limit") else "cache_size"
    return [f"{what}_limit", f"accumulated_{what}_limit"]


def _is_of_compiler(error: Exception) -> bool:
    modules = (kind.__module__ for kind in type(error).__mro__)
    return any(name.startswith(("torch._dynamo", "torch._inductor")) for name in modules)
