"""Figures: what is drawn, not how it looks."""

import pytest

from deepobs_runner.curves import settings_of
from deepobs_runner.official import official_results
from deepobs_runner.plots import FIXED_COLORS, color_of, plot_problem


@pytest.mark.parametrize(("problem", "panels"), [("quadratic_deep", 2), ("fmnist_2c2d", 4)])
def test_panels_and_lines(problem, panels):
    settings = settings_of(official_results(problem), official=True)
    figure = plot_problem(problem, settings)
    assert len(figure.axes) == panels
    assert all(len(axes.lines) == 3 for axes in figure.axes)
    assert "(10 seeds), official 2019" in figure.legends[0].get_texts()[0].get_text()


def test_colours_are_fixed_and_distinct():
    names = ["Mine", "SGD", "Adam", "Other"]
    colours = [color_of(name, names) for name in names]
    assert len(set(colours)) == 4
    assert color_of("Adam", ["Adam"]) == FIXED_COLORS["Adam"] == colours[2]


def test_bands_where_there_are_seeds():
    settings = settings_of(official_results("quadratic_deep"))
    assert all(len(axes.collections) == 3 for axes in plot_problem("q", settings).axes)
    single = settings_of(official_results("quadratic_deep")[:1])
    assert all(not axes.collections for axes in plot_problem("q", single).axes)
