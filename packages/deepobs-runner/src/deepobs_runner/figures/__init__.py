"""Figures of results: each function returns a matplotlib figure; none touches its settings.

The numbers are those of `deepobs_runner.analysis` and `deepobs_runner.comparison`. docs/figures.md
shows what there is. Nothing is imported before it is used, and matplotlib not before a figure is
drawn.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepobs_runner.figures.gallery import drawings
    from deepobs_runner.figures.kinds import FIGURES
    from deepobs_runner.figures.kinds.batch_size import plot_batch_size
    from deepobs_runner.figures.kinds.comparison import plot_comparison
    from deepobs_runner.figures.kinds.curves import plot_curves
    from deepobs_runner.figures.kinds.forest import plot_forest
    from deepobs_runner.figures.kinds.heatmap import plot_heatmap
    from deepobs_runner.figures.kinds.profile import plot_profile
    from deepobs_runner.figures.kinds.ranks import plot_ranks
    from deepobs_runner.figures.kinds.sensitivity import plot_sensitivity
    from deepobs_runner.figures.kinds.speed import plot_speed
    from deepobs_runner.figures.kinds.trajectory import plot_trajectory
    from deepobs_runner.figures.kinds.tuning import plot_tuning
    from deepobs_runner.figures.kinds.weight_decay import plot_weight_decay
    from deepobs_runner.figures.material import Drawing, Material
    from deepobs_runner.figures.saving import FORMATS, save, save_pages, to_svg
    from deepobs_runner.figures.style import COLUMN, PAGE, Look, Palette, Paper, palette_of

__all__ = [
    "COLUMN",
    "FIGURES",
    "FORMATS",
    "PAGE",
    "Drawing",
    "Look",
    "Material",
    "Palette",
    "Paper",
    "drawings",
    "palette_of",
    "plot_batch_size",
    "plot_comparison",
    "plot_curves",
    "plot_forest",
    "plot_heatmap",
    "plot_profile",
    "plot_ranks",
    "plot_sensitivity",
    "plot_speed",
    "plot_trajectory",
    "plot_tuning",
    "plot_weight_decay",
    "save",
    "save_pages",
    "to_svg",
]

if not TYPE_CHECKING:  # a checker would take every misspelled name for one of `Any`
    _MODULES = {
        "FIGURES": "kinds",
        "drawings": "gallery",
        **dict.fromkeys(("Drawing", "Material"), "material"),
        **dict.fromkeys(("FORMATS", "save", "save_pages", "to_svg"), "saving"),
        **dict.fromkeys(("COLUMN", "PAGE", "Look", "Palette", "Paper", "palette_of"), "style"),
    }

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = _MODULES.get(name) or f"kinds.{name.removeprefix('plot_')}"
        return getattr(import_module(f"{__name__}.{module}"), name)
