"""The best of K draws: Dodge et al., EMNLP 2019; Sivaprasad et al., ICML 2020."""

from deepobs_runner.tuning.rulesets import Ruleset

RULESET = Ruleset(
    summary="the best of K draws from a prior, chosen on the validation split",
    source="Dodge et al., EMNLP 2019; Sivaprasad et al., ICML 2020",
    budget=16,
)
