"""The test problems of DeepOBS: a problem is data, model, loss, metrics, L2 and defaults.

>>> from deepobs_problems import load_problem
>>> load_problem("quadratic_deep").defaults.epochs
100

The exported names and those of `deepobs_problems.testing` are public. All other modules are private
and may change in any release.
"""

from typing import TYPE_CHECKING

from deepobs_data import Batch, Dataset
from deepobs_problems.catalog import CATALOG
from deepobs_problems.errors import ProblemError, UnknownProblemError
from deepobs_problems.evaluation import evaluate, evaluation_order
from deepobs_problems.lookup import load_problem
from deepobs_problems.losses import accuracy, cross_entropy
from deepobs_problems.problem import (
    ACCURACY,
    NO_METRICS,
    Defaults,
    Hardware,
    Problem,
    Reference,
    convolution_weights,
    matrices,
    recurrent,
    variational,
    weights_not_biases,
)
from deepobs_problems.stand_in import stand_in
from deepobs_problems.suites import SUITES, TAGS, problems_with

__all__ = [
    "ACCURACY",
    "CATALOG",
    "NO_METRICS",
    "SUITES",
    "TAGS",
    "Batch",
    "Dataset",
    "Defaults",
    "Hardware",
    "Problem",
    "ProblemError",
    "Reference",
    "UnknownProblemError",
    "accuracy",
    "convolution_weights",
    "cross_entropy",
    "evaluate",
    "evaluation_order",
    "load_problem",
    "matrices",
    "problems_with",
    "recurrent",
    "stand_in",
    "variational",
    "weights_not_biases",
]

if TYPE_CHECKING:
    __version__: str
else:  # a checker would take every misspelled name for one of these

    def __getattr__(name: str) -> str:
        if name == "__version__":
            from importlib.metadata import version

            return version("deepobs-problems")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
