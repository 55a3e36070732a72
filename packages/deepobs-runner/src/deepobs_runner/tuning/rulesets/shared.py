"""One configuration for all problems, see `trials.shares_of_progress`."""

from deepobs_runner.tuning.rulesets import Ruleset

RULESET = Ruleset(
    summary="one configuration for all problems: the best geometric mean of the shares of progress",
    source="our own",
    budget=16,
    per="suite",
)
