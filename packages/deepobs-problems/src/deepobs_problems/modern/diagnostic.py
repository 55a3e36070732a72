"""Diagnostics: they show what an optimizer does, and are outside the suites.

Grokking of addition modulo 113 (Nanda et al., ICLR 2023, arXiv 2301.05217): training ends long
before the test loss falls. A layer of self-attention that is fitted to a random one
(github.com/cybertronai/caffeine): a stress test of matrices.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from deepobs_data import Batch, attention_teacher, modular_addition
from deepobs_models import ModularTransformer, SelfAttention
from deepobs_problems.problem import NO_METRICS, Defaults, Hardware, Problem, Reference
from deepobs_problems.stand_in import stand_in


def double_cross_entropy(output: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of logits `(B, C)` with classes, computed in float64: `(B,)`.

    Where it becomes very small, float32 has too few digits for its gradient.
    """
    return F.cross_entropy(output.double(), batch.y, reduction="none").to(output.dtype)


def squared_error(output: Tensor, batch: Batch) -> Tensor:
    """Mean squared error over everything but the first axis, `(B,)`."""
    return (output - batch.y).square().flatten(1).mean(dim=1)


_TAGS = frozenset({"synthetic", "attention", "diagnostic", "per-example-safe"})

PROBLEMS = (
    Problem(
        name="modadd_transformer",
        data=modular_addition,
        stand_in=stand_in("modular_addition", 3830),
        model=ModularTransformer,
        loss=double_cross_entropy,
        stock_loss=None,
        # 50,000 steps, of which 10 are the warm-up.
        defaults=Defaults(
            3830,
            500,
            schedule="constant:warmup=0.0002",
            reference=Reference("AdamW", {"lr": 1e-3, "betas": [0.9, 0.98], "weight_decay": 1.0}),
        ),
        tags=_TAGS | {"medium", "full-batch"},
    ),
    Problem(
        name="attention_teacher",
        data=attention_teacher,
        stand_in=stand_in("attention_teacher"),
        model=SelfAttention,
        loss=squared_error,
        metrics=NO_METRICS,
        stock_loss=None,
        # 400 steps; AdamW as on the leaderboard.
        defaults=Defaults(
            512,
            25,
            reference=Reference("AdamW", {"lr": 1e-2, "betas": [0.9, 0.99], "weight_decay": 0.0}),
        ),
        hardware=Hardware(evaluation_batch=512, evaluation_batch_cpu=64),
        tags=_TAGS | {"cheap"},
    ),
)
