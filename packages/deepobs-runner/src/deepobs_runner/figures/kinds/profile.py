"""Performance profiles: share of problems within a factor of the fastest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepobs_runner.analysis import optimizers_of
from deepobs_runner.comparison import Profile, Profiles, performance_profiles
from deepobs_runner.comparison.profiles import LEAST_PROBLEMS, compared_labels
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import (
    fit_beside,
    legend_unless,
    new_figure,
    style_axes,
    use_ticks,
)
from deepobs_runner.figures.lines import name_lines
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import COLUMN, PLAIN, Look, Paper, paper_style
from deepobs_runner.text import join

if TYPE_CHECKING:
    from matplotlib.figure import Figure


TAU_MAX = 8.0
"""Up to which factor of the fastest time a profile is drawn."""

APART = 0.012
"""Between lines that would coincide, in shares of the problems."""

HEIGHT = 2.1
"""Of the figure without a legend, in inches."""


def profiles(material: Material) -> Iterator[Drawing]:
    """Yield the profile over all problems."""
    labels = compared_labels(material.tuned)
    others = [label for label in optimizers_of(material.tuned) if label not in labels]
    verb = "has" if len(others) == 1 else "have"
    without = f" Without {join(others)}, which {verb} too few problems." if others else ""
    yield material.draw(
        "profile",
        None,
        "Performance profile",
        "Share of the problems on which an optimizer reaches the target within a factor of the "
        "time of the fastest. The number is the mean of the line over the logarithm of the "
        "factor: 1 for one that is the fastest everywhere. It has no interval, as a profile "
        f"depends on all optimizers in it.{without}",
        _plot,
        material,
        labels,
    )


FIGURE = profiles


def _plot(material: Material, labels: Sequence[str]) -> Figure:
    found = performance_profiles(
        material.tuned,
        material.targets,
        labels,
        unit=material.unit,
        tau_max=TAU_MAX,
    )
    return plot_profile(found, material.looks, paper=material.paper)


def plot_profile(profiles: Profiles, looks: Mapping[str, Look], *, paper: Paper = PLAIN) -> Figure:
    """Profiles: share of problems within a factor of the fastest, up to 8×.

    Lines that coincide are drawn a little apart. Dolan and Moré, "Benchmarking optimization
    software with performance profiles", Mathematical Programming 91 (2002).

    Raises:
        UsageError: fewer than five problems count.
    """
    if len(profiles.problems) < LEAST_PROBLEMS:
        why = "".join(f" {problem}: {reason}." for problem, reason in profiles.left_out.items())
        raise UsageError(
            f"A performance profile needs {LEAST_PROBLEMS} problems that count for every "
            f"optimizer; got {len(profiles.problems)}.{why}"
        )
    width = paper.inches(COLUMN)
    labels = [f"{profile.label} {profile.integral:.2f}" for profile in profiles.profiles]
    beside = fit_beside(labels)
    with paper_style(paper):
        figure = new_figure(width, 1.0)
        axes = style_axes(
            figure.add_subplot(),
            paper,
            xlabel=f"{profiles.unit.replace('_', ' ').capitalize()} to target / fastest",
            ylabel=f"Share of {len(profiles.problems)} problems",
        )
        lines = []
        for index, profile in enumerate(profiles.profiles):
            taus, shares = steps_of(profile, profiles.tau_max)
            apart = APART * (index - (len(labels) - 1) / 2)
            (line,) = axes.plot(
                taus,
                shares + apart,
                drawstyle="steps-post",
                **looks[profile.label].options(),
                markevery=[0],
                zorder=3.0 - 0.01 * index,
                clip_on=False,
                label=labels[index],
            )
            lines.append(line)
        axes.set(xscale="log", xlim=(1.0, profiles.tau_max), ylim=(-0.04, 1.04))
        use_ticks(axes.xaxis, [t for t in (1, 1.5, 2, 3, 4, 6, 8) if t <= profiles.tau_max], "×")
        handles = dict(zip(labels, lines, strict=True))
        legend, samples = legend_unless(beside, labels, handles, width)
        if beside:
            name_lines(axes, lines, HEIGHT - 0.45)
        figure.set_size_inches(width, HEIGHT + legend.height)
        legend.draw(figure, samples)
    return figure


def steps_of(profile: Profile, tau_max: float) -> tuple[np.ndarray, np.ndarray]:
    """Ratios at which a profile steps and its value from there on, both up to `tau_max`."""
    inside = profile.taus <= tau_max
    taus, shares = profile.taus[inside], profile.shares[inside]
    return np.append(taus, tau_max), np.append(shares, shares[-1])
