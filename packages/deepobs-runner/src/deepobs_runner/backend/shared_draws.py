"""Random numbers of a forward pass over a share of a batch: those of the whole batch, cut.

Where a batch is divided among processes, each draws what one process would draw for all rows and
keeps its own, so that dropout masks and a VAE's noise do not depend on the number of processes, and
all generators stay in step. What cannot be divided so is named by `batch_dependence`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

MASKS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d)
LIKES = (torch.rand_like, torch.randn_like)
FACTORIES = (torch.rand, torch.randn)


class SharedDraws(TorchFunctionMode):
    """Lets `dropout`, `rand`, `randn` and their `_like` draw for the rows of all processes.

    Only for tensors with the share's rows as first axis: others, such as a mask of weights, are
    drawn as they are, the same in every process.

    Args:
        rank: number of this share.
        size: number of shares.
        rows: number of rows of this share; all have as many.
    """

    def __init__(self, rank: int, size: int, rows: int) -> None:
        super().__init__()
        self._size, self._rows = size, rows
        self._mine = slice(rank * rows, (rank + 1) * rows)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function, with more rows if it draws."""
        options = dict(kwargs or {})
        if func in MASKS or func in LIKES:
            like = options.pop("input") if "input" in options else args[0]
            if not self._is_mine(like.shape):
                return func(like, *args[1:], **options)
            if func in MASKS:
                return self._mask(func, like, *args[1:], **options)
            return func(self._whole(like), **options)[self._mine]
        if func in FACTORIES:
            sizes = options.pop("size", args)
            sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], Sequence) else sizes
            if self._is_mine(sizes):
                return func(sizes[0] * self._size, *sizes[1:], **options)[self._mine]
            return func(*sizes, **options)
        return func(*args, **options)

    def _is_mine(self, shape: Sequence[int]) -> bool:
        return len(shape) > 0 and shape[0] == self._rows

    def _whole(self, tensor: Tensor) -> Tensor:
        """Ones for the rows of all processes.

        In memory as they would be in one process: a tensor is filled with random numbers in the
        order in which it lies there.
        """
        shape = (len(tensor) * self._size, *tensor.shape[1:])
        layout = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
        return torch.empty_permuted(shape, layout, dtype=tensor.dtype, device=tensor.device).fill_(
            1.0
        )

    def _mask(
        self,
        func: Callable[..., Tensor],
        input: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        if not training:
            return input
        factor = func(self._whole(input), p, True)[self._mine]
        return input.mul_(factor) if inplace else input * factor


def batch_dependence(model: nn.Module) -> str | None:
    """Reason why results of a model depend on how a batch is divided, None without one.

    Batch norm normalises over the rows of a process. Other layers draw inside themselves, where
    the numbers cannot be shared out: every process has the same for its rows. What a network draws
    or mixes across examples by itself is not seen here.
    """
    found = {_division(module) for module in model.modules()} - {None}
    return ", ".join(sorted(filter(None, found))) or None


def _division(module: nn.Module) -> str | None:
    if isinstance(module, _BatchNorm):
        return None if isinstance(module, nn.SyncBatchNorm) else "batch norm"
    if isinstance(module, nn.RNNBase | nn.MultiheadAttention) and module.dropout > 0:
        return f"dropout inside {type(module).__name__}"
    drawing = (nn.AlphaDropout, nn.FeatureAlphaDropout, nn.RReLU)
    return type(module).__name__ if isinstance(module, drawing) else None


def batch_statistics(model: nn.Module) -> list[Tensor]:
    """Running statistics of batch norm, which differ between processes."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    return [s for m in norms for s in (m.running_mean, m.running_var) if s is not None]
