"""Figures: what is drawn, not how it looks."""

import pytest

from deepobs_runner import RunConfig, RunResult
from deepobs_runner.curves import settings_of
from deepobs_runner.official import official_results
from deepobs_runner.plots import FIXED_COLORS, plot_problem, styles_of


@pytest.mark.parametrize(("problem", "panels"), [("quadratic_deep", 2), ("fmnist_2c2d", 4)])
def test_panels_and_lines(problem, panels):
    settings = settings_of(official_results(problem), official=True)
    figure = plot_problem(problem, settings)
    assert len(figure.axes) == panels
    assert all(len(axes.lines) == 3 for axes in figure.axes)
    assert "(10 seeds), official 2019" in figure.legends[0].get_texts()[0].get_text()


def setting(optimizer, number=0, *, official=False):
    """Return a setting; `number` tells those of an optimizer apart."""
    config = RunConfig(problem="p", optimizer=optimizer, hyperparams={"lr": 0.1 + number})
    records = tuple(
        {"epoch": e, "metrics": {"test": {"objective": 1.0 + number + e}}} for e in range(3)
    )
    run = RunResult(config=config, status="done", records=records)
    (made,) = settings_of([run], official=official)
    return made


def test_every_setting_has_a_style_of_its_own():
    optimizers = ["Mine", "SGD", *(f"other.py:{letter}" for letter in "ABCDEFGH")]
    settings = [setting(name, number) for number in range(9) for name in optimizers]
    styles = styles_of(settings)
    assert len(set(styles)) == len(settings)
    for name in optimizers[:6]:  # more than there are colours have to share them
        own = [style for s, style in zip(settings, styles, strict=True) if s.optimizer == name]
        assert len({style.color for style in own}) == 1


def test_known_optimizers_keep_their_colour():
    settings = [
        setting("Mine"), setting("Adam", 1), setting("Adam"), setting("SGD"), setting("Momentum"),
        setting("Adam", official=True), setting("SGD", official=True),
    ]  # fmt: skip
    styles = styles_of(settings)
    assert styles[1] == styles[5] == (FIXED_COLORS["Adam"], "-")
    assert styles[3] == styles[6] == (FIXED_COLORS["SGD"], "-")
    assert styles[4] == (FIXED_COLORS["Momentum"], "-")
    assert styles[2].color == FIXED_COLORS["Adam"]
    assert styles[2].line != "-"
    assert styles_of(settings[2:3])[0] == (FIXED_COLORS["Adam"], "-")


def test_the_lines_drawn_differ_as_those_of_the_legend():
    settings = [setting("SGD", number) for number in range(5)]
    figure = plot_problem("p", settings)

    def looks(lines):
        return [(line.get_color(), str(line._unscaled_dash_pattern)) for line in lines]

    drawn = looks(figure.axes[0].lines)
    assert len(set(drawn)) == 5
    assert looks(figure.legends[0].get_lines()) == drawn


def test_bands_where_there_are_seeds():
    settings = settings_of(official_results("quadratic_deep"))
    assert all(len(axes.collections) == 3 for axes in plot_problem("q", settings).axes)
    single = settings_of(official_results("quadratic_deep")[:1])
    assert all(not axes.collections for axes in plot_problem("q", single).axes)
