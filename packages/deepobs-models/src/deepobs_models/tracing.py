"""How tracers see the sizes of tensors."""

import torch
from torch import Tensor


def is_symbolic(size: int) -> bool:
    """Whether a tracer may record this size as a variable, so that branches on it are guards.

    `torch.export` and `torch.jit.trace` do. For `torch.compile` a guard is right: it recompiles
    where the guard fails.
    """
    if not isinstance(size, int):
        return True
    # With strict=True, torch.export sees sizes as `torch.compile` does. torch 2.6 cannot tell them
    # apart.
    compiler = torch.compiler
    exporting = getattr(compiler, "is_exporting", compiler.is_compiling)
    return bool(exporting())


def is_traced() -> bool:
    """Whether `torch.jit.trace` records, which warns of every comparison of sizes."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def at_least_zero(size: int) -> int:
    """Return max(size, 0) without a branch where the size is symbolic."""
    if isinstance(size, Tensor):  # torch.jit.trace
        return size.clamp(min=0)
    return torch.sym_max(size, 0)  # type: ignore[return-value]
