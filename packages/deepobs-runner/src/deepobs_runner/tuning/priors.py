"""Default search spaces of common optimizers, with their sources.

Crowded Valley: Schmidt, Schneider and Hennig, "Descending through a Crowded Valley", ICML 2021; its
runs: github.com/SirRob1997/Crowded-Valley---Results
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from deepobs_runner.tuning.spaces import LogUniform, Space

GRID_2019 = Space({"lr": LogUniform(1e-5, 1e2)})
"""Of the official runs: 36 points of this, log10(lr) = -5, -4.8, ..., 2 (DeepOBS, ICLR 2019)."""

_RATE = LogUniform(1e-4, 1.0)
_RATE_OF_ADAMW = LogUniform(1e-4, 0.1)
_MATRICES = Space({"lr": LogUniform(1e-4, 0.3), "adamw_lr": _RATE_OF_ADAMW})
_ADAM = Space({"lr": _RATE, "betas.0": LogUniform(0.5, 0.999), "betas.1": LogUniform(0.8, 0.999)})

PRIORS: Mapping[str, Space] = MappingProxyType(
    {
        # Crowded Valley: the range of its published runs; their names hold the values.
        "SGD": Space({"lr": _RATE}),
        "Adagrad": Space({"lr": _RATE}),
        "RMSprop": Space({"lr": _RATE, "alpha": LogUniform(1e-3, 1.0)}),
        "Adam": _ADAM,
        "NAdam": _ADAM,
        "RAdam": _ADAM,
        # Not in that paper: the space of Adam, which has the same step.
        "AdamW": _ADAM,
        "Adamax": _ADAM,
        # Our own: with the official runs' momentum of 0.99 a step is up to 100 times as long. (That
        # paper tunes the momentum, too: lr=log:1e-4:1 momentum=log:1e-3:1.)
        "Momentum": Space({"lr": LogUniform(1e-5, 0.1)}),
        # Our own, around the rates that the authors use; AdamW's own rate is tuned, too.
        "Kron": _MATRICES,
        "Muon": _MATRICES,
        "AdaGO": _MATRICES,
        "AdaMuon": _MATRICES,
        "MuonAll": _MATRICES,
        "MuonClip": _MATRICES,
        "NorMuon": _MATRICES,
        "SOAP": _MATRICES,
        "Shampoo": Space({"lr": _RATE, "adamw_lr": _RATE_OF_ADAMW}),
        # A sign for every weight: the step is as long as the rate, whatever the gradient.
        "Lion": Space({"lr": LogUniform(1e-6, 1e-2), "betas.0": LogUniform(0.5, 0.99)}),
        # These estimate the rate; `lr` is a factor of the estimate.
        "DAdaptAdam": Space({"lr": LogUniform(0.1, 10.0)}),
        "Prodigy": Space({"lr": LogUniform(0.1, 10.0)}),
        # The authors: rates 10 to 50 times those of SGD with a schedule.
        "ScheduleFreeSGD": Space({"lr": LogUniform(1e-3, 1e2)}),
        "ScheduleFreeAdamW": Space({"lr": _RATE, "betas.0": LogUniform(0.8, 0.99)}),
        "ScheduleFreeRAdam": Space({"lr": _RATE, "betas.0": LogUniform(0.8, 0.99)}),
        # The ratio of weights and gradient scales every layer's step.
        "LARS": Space({"lr": LogUniform(1e-3, 1e2)}),
        "Lamb": Space({"lr": _RATE}),
        "AdaHessian": Space({"lr": _RATE}),
        "Sophia": Space({"lr": _RATE}),
        "CAME": Space({"lr": LogUniform(1e-5, 0.1)}),
        "MARS": Space({"lr": LogUniform(1e-4, 0.1)}),
        "AdEMAMix": Space({"lr": _RATE}),
        "Adan": Space({"lr": _RATE}),
        # Relatives of Adam, with the same space.
        "ADOPT": _ADAM,
        "AdaBelief": _ADAM,
        "LaProp": _ADAM,
        "Yogi": _ADAM,
    }
)
"""The default search space of each optimizer."""
