"""Kinds of figures: one module per kind, which defines its `FIGURE`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from deepobs_runner.extensions import Extensions

if TYPE_CHECKING:
    from deepobs_runner.figures.material import Drawing, Material

FIGURES: Extensions[Callable[[Material], Iterator[Drawing]]] = Extensions(
    "figure",
    "deepobs_runner.figures.kinds",
    callable,
    first=(
        "forest",
        "heatmap",
        "ranks",
        "comparison",
        "profile",
        "curves",
        "speed",
        "sensitivity",
        "tuning",
        "trajectory",
        "batch-size",
        "weight-decay",
    ),
)
"""Functions from the material of a report to drawings, in the order of a report."""
