"""Performance profiles: on which share of the problems an optimizer is how close to the fastest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepobs_runner.analysis import optimizers_of
from deepobs_runner.comparison import Profile, Profiles, performance_profiles
from deepobs_runner.comparison.profiles import LEAST_PROBLEMS, compared_labels
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import one_panel, use_plain_log_ticks
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import Look
from deepobs_runner.text import join

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        "time of the fastest. The integral is 1 for one that is the fastest everywhere; it has "
        f"no interval, as a profile depends on all optimizers in it.{without}",
        _plot,
        material,
        labels,
    )


FIGURE = profiles


def _plot(material: Material, labels: Sequence[str]) -> Figure:
    found = performance_profiles(material.tuned, material.targets, labels, unit=material.unit)
    return plot_profile(found, material.looks)


def plot_profile(profiles: Profiles, looks: Mapping[str, Look]) -> Figure:
    """Return the profiles with their integrals.

    Dolan and Moré, "Benchmarking optimization software with performance profiles", Mathematical
    Programming 91 (2002).

    Raises:
        UsageError: fewer than five problems count.
    """
    if len(profiles.problems) < LEAST_PROBLEMS:
        why = "".join(f" {problem}: {reason}." for problem, reason in profiles.left_out.items())
        raise UsageError(
            f"A performance profile takes {LEAST_PROBLEMS} problems that count for every "
            f"optimizer; here are {len(profiles.problems)}.{why}"
        )
    title = f"integral over log ratio up to {profiles.tau_max:g}"
    labels = [name_with_integral(profile) for profile in profiles.profiles]
    with one_panel(
        labels,
        title,
        2.2,
        xlabel=f"Time to target / that of the fastest ({profiles.unit.replace('_', ' ')})",
        ylabel="Share of problems",
        title=f"{len(profiles.problems)} problems",
    ) as (figure, axes, handles):
        for index, profile in enumerate(profiles.profiles):
            taus, shares = steps_of(profile, profiles.tau_max)
            (line,) = axes.plot(
                taus,
                shares,
                drawstyle="steps-post",
                **looks[profile.label].options(1.6),
                markevery=[0],
                zorder=3.0 - 0.01 * index,
                clip_on=False,
                label=labels[index],
            )
            handles.append(line)
        axes.set(xscale="log", xlim=(1.0, profiles.tau_max), ylim=(-0.02, 1.05))
        use_plain_log_ticks(axes.xaxis)
    return figure


def steps_of(profile: Profile, tau_max: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where a profile steps and its value from there on, both up to `tau_max`."""
    inside = profile.taus <= tau_max
    taus, shares = profile.taus[inside], profile.shares[inside]
    return np.append(taus, tau_max), np.append(shares, shares[-1])


def name_with_integral(profile: Profile) -> str:
    """Return the label of a profile with its integral."""
    return f"{profile.label}: {profile.integral:.2f}"
