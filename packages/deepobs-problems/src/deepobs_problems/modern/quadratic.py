"""The noisy quadratic model: mean and variance of SGD follow an exact recursion.

Zhang et al., NeurIPS 2019, "Which algorithmic choices matter at which batch sizes?". A step of SGD
with rate eta and batch size B takes the mean m and the variance v of a coordinate with curvature h
to (1 - eta h) m and (1 - eta h)² v + eta² h / B, as long as no row repeats: for one pass.
"""

from __future__ import annotations

from deepobs_data import nqm
from deepobs_models import NoisyQuadratic
from deepobs_problems.losses import model_output
from deepobs_problems.problem import NO_METRICS, Defaults, Problem
from deepobs_problems.stand_in import stand_in

PROBLEMS = (
    Problem(
        name="quadratic_nqm",
        data=nqm,
        stand_in=stand_in("nqm"),
        model=NoisyQuadratic,
        loss=model_output,
        metrics=NO_METRICS,
        stock_loss=None,
        defaults=Defaults(16, 10),  # one pass
        tags=frozenset({"synthetic", "cheap", "convex", "per-example-safe"}),
    ),
)
