"""Kinds of figures: one module per kind, which defines its `FIGURE`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING

from deepobs_runner.extensions import Extensions

if TYPE_CHECKING:
    from deepobs_runner.figures.material import Drawing, Material

CONTENTS = MappingProxyType(
    {
        "forest": "speedup on each problem, with intervals",
        "heatmap": "speedup of many optimizers over one reference",
        "ranks": "mean ranks over problems, and which of them differ",
        "comparison": "curves on up to four problems, as in the DeepOBS paper",
        "profile": "share of problems within a factor of the fastest",
        "curves": "training curves on one problem",
        "speed": "time to the target and final value",
        "sensitivity": "final value over the learning rate",
        "tuning": "expected best of k trials",
        "trajectory": "paths over a function of two parameters",
        "batch-size": "steps to the target over the batch size",
        "weight-decay": "final value over learning rate and weight decay",
    }
)
"""What each kind shows, for the help; without an import of the kinds, which draw."""

FIGURES: Extensions[Callable[[Material], Iterator[Drawing]]] = Extensions(
    "figure",
    "deepobs_runner.figures.kinds",
    callable,
    first=tuple(CONTENTS),
)
"""Functions from the material of a report to drawings, in the order of a report."""
