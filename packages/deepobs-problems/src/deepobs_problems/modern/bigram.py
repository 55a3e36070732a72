"""Language models of bigrams under Zipf's law: why Adam is faster than SGD on heavy tails.

Kunstner et al., NeurIPS 2024 (arXiv 2402.19449); Kunstner and Bach, NeurIPS 2025 (arXiv
2505.19227): with V tokens, gradient descent needs of the order of V steps, sign descent of its
square root. The optimum is known, so the excess loss is exact.

The targets of the population hold for each token its weighted distribution of next tokens and the
logarithm of the distribution, (B, 2, V); those of drawn pairs are tokens, (B,).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import MappingProxyType

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from deepobs_data import Batch, bigram, bigram_pairs
from deepobs_data.datasets.bigram import frequencies
from deepobs_models import BigramTable, LowRankBigram
from deepobs_problems.problem import Defaults, Problem, Reference
from deepobs_problems.stand_in import stand_in


@cache
def entropy() -> float:
    """Entropy of the next token, in nats: the same after every token."""
    shares = frequencies()
    return float(-(shares * np.log(shares)).sum())


@cache
def sum_of_squares() -> float:
    """Sum of the squared probabilities of the next token."""
    return float((frequencies() ** 2).sum())


def bigram_cross_entropy(output: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of logits `(B, V)` with tokens or weighted distributions: `(B,)`."""
    if _drawn(batch):
        return F.cross_entropy(output, batch.y, reduction="none")
    return -(batch.y[:, 0] * output.log_softmax(dim=1)).sum(dim=1)


def bigram_excess(output: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy above its minimum, `(B,)`: weighted Kullback-Leibler divergences.

    Of drawn pairs: the cross-entropy minus the entropy, of which only the mean is an excess.
    """
    if _drawn(batch):
        return bigram_cross_entropy(output, batch) - entropy()
    weighted, log = batch.y.unbind(dim=1)  # each (B, V)
    return (weighted * (log - output.log_softmax(dim=1))).sum(dim=1)


def bigram_squared_error(output: Tensor, batch: Batch) -> Tensor:
    """Half the squared distance of outputs `(B, V)` to one-hot tokens: `(B,)`.

    For the population its expectation over the next token, times the weight of the present one.
    """
    if _drawn(batch):
        picked = output.gather(1, batch.y.unsqueeze(1)).squeeze(1)
        return 0.5 * output.square().sum(dim=1) - picked + 0.5
    weighted = batch.y[:, 0]
    weight, inner = weighted.sum(dim=1), (weighted * output).sum(dim=1)
    return 0.5 * weight * (output.square().sum(dim=1) + 1) - inner


def bigram_squared_excess(output: Tensor, batch: Batch) -> Tensor:
    """Half the squared distance of outputs `(B, V)` to the distributions, weighted: `(B,)`.

    Of drawn pairs: the squared error minus its minimum, of which only the mean is an excess.
    """
    if _drawn(batch):
        return bigram_squared_error(output, batch) - 0.5 * (1 - sum_of_squares())
    weighted, log = batch.y.unbind(dim=1)
    return 0.5 * weighted.sum(dim=1) * (output - log.exp()).square().sum(dim=1)


def _drawn(batch: Batch) -> bool:
    return not batch.y.is_floating_point()


_FALL = "trapezoidal:rise=0,fall=1"  # linear decay to zero
# 200 steps; and one pass, so that all examples are independent.
_POPULATION = Defaults(1000, 10, schedule=_FALL)
_DRAWN = Defaults(256, 16, schedule=_FALL)


def _problem(
    name: str,
    tags: str,
    *,
    drawn: bool = False,
    squares: bool = False,
    model: Callable[[], nn.Module] = BigramTable,
    adam: float | None = None,
) -> Problem:
    """Problem of the family; `adam` is Adam's best rate of half a decade, for 200 steps."""
    defaults = _DRAWN if drawn else _POPULATION
    if adam is not None:
        defaults = replace(defaults, reference=Reference("Adam", {"lr": adam}))
    loss = bigram_squared_error if squares else bigram_cross_entropy
    excess = bigram_squared_excess if squares else bigram_excess
    return Problem(
        name=name,
        data=bigram_pairs if drawn else bigram,
        stand_in=stand_in("bigram_pairs", 8192) if drawn else stand_in("bigram", 1000),
        model=model,
        loss=loss,
        metrics=MappingProxyType({"excess": excess}),
        stock_loss=None,
        defaults=defaults,
        tags=frozenset(f"synthetic cheap heavy-tailed per-example-safe {tags}".split()),
    )


PROBLEMS = (
    _problem("bigram_zipf", "convex full-batch", adam=1.0),
    _problem("bigram_zipf_sgd", "convex", drawn=True),
    _problem("bigram_zipf_l2", "convex full-batch", squares=True),
    _problem("bigram_zipf_l2_sgd", "convex", squares=True, drawn=True),
    _problem("bigram_lowrank", "full-batch", model=LowRankBigram, adam=0.1),
)
