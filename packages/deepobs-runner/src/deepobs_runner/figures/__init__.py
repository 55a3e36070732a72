"""Figures of results: each function returns a matplotlib figure; none touches its settings.

The numbers are those of `deepobs_runner.analysis`. matplotlib is imported when the first figure is
drawn. docs/figures.md shows what there is.
"""

from deepobs_runner.figures.drawing import Drawing
from deepobs_runner.figures.gallery import KINDS, drawings
from deepobs_runner.figures.kinds.comparison import plot_comparison
from deepobs_runner.figures.kinds.curves import plot_curves
from deepobs_runner.figures.kinds.profile import plot_profile
from deepobs_runner.figures.kinds.sensitivity import plot_sensitivity
from deepobs_runner.figures.kinds.speed import plot_speed
from deepobs_runner.figures.kinds.trajectory import plot_trajectory
from deepobs_runner.figures.kinds.tuning import plot_tuning
from deepobs_runner.figures.saving import FORMATS, save, save_pages, to_svg
from deepobs_runner.figures.style import COLUMN, PAGE, Look, Palette, palette_of

__all__ = [
    "COLUMN",
    "FORMATS",
    "KINDS",
    "PAGE",
    "Drawing",
    "Look",
    "Palette",
    "drawings",
    "palette_of",
    "plot_comparison",
    "plot_curves",
    "plot_profile",
    "plot_sensitivity",
    "plot_speed",
    "plot_trajectory",
    "plot_tuning",
    "save",
    "save_pages",
    "to_svg",
]
