"""MNIST-1D: a generalisation gap between architectures, in seconds.

Greydanus and Kobak, ICML 2024 (arXiv 2011.14439): MLP 68 %, CNN 94 %, GRU 91 % test accuracy. Their
batches follow each other in the same order in every epoch; here they are shuffled.
"""

from __future__ import annotations

from functools import partial

from deepobs_data import mnist1d
from deepobs_models import SignalConv, SignalGRU, SignalMLP
from deepobs_problems.problem import Defaults, Problem, Reference
from deepobs_problems.stand_in import stand_in

_signals = partial(
    Problem,
    data=mnist1d,
    stand_in=stand_in("mnist1d"),
    defaults=Defaults(100, 150, reference=Reference("Adam", {"lr": 1e-2})),
    tags=frozenset({"table", "cheap", "per-example-safe"}),
)

PROBLEMS = (
    _signals(name="mnist1d_mlp", model=SignalMLP),
    _signals(name="mnist1d_conv", model=SignalConv),
    _signals(name="mnist1d_gru", model=SignalGRU),
)
