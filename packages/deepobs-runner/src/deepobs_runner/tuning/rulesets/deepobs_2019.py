"""The protocol of F. Schneider, L. Balles, P. Hennig, "DeepOBS", ICLR 2019."""

from deepobs_runner.tuning.rulesets import Ruleset

RULESET = Ruleset(
    summary="the original protocol: 36 learning rates, chosen ON THE TEST SET with one seed (for "
    "reproduction)",
    source="Schneider, Balles and Hennig, ICLR 2019",
    budget=36,
    budgets={"grid": 36},
    sampler="grid",
    samplers=("grid",),
    select_on="test",
    valid_fraction=0.0,
    recipe="2019",
    space="2019",
    fresh_seeds=False,
)
