"""The budgets of R. Schmidt, F. Schneider, P. Hennig, "Crowded Valley", ICML 2021."""

from deepobs_runner.tuning.rulesets import Ruleset

RULESET = Ruleset(
    summary="the budgets of Crowded Valley: default values, or 25, 50 or 75 random draws, one "
    "schedule at a time",
    source="Schmidt, Schneider and Hennig, ICML 2021",
    budget=25,
    budgets={"one-shot": 1, "small": 25, "medium": 50, "large": 75},
    sampler="random",
    samplers=("random",),
    schedules=("constant", "cosine", "cosine-restarts", "trapezoidal"),
)
