"""Tree-structured Parzen estimator, by Optuna."""

from functools import partial

from deepobs_runner.tuning.optuna import OPTUNA, OptunaSampler
from deepobs_runner.tuning.samplers import Adaptive

SAMPLER = Adaptive(start=partial(OptunaSampler, "tpe"), requires=OPTUNA, prunes=True)
