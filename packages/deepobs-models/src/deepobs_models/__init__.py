"""The networks of the DeepOBS optimizer benchmark and the layers they are made of."""

from deepobs_models.analytic import Beale, Branin, Quadratic, Rosenbrock
from deepobs_models.initializers import (
    build,
    build_uninitialized,
    glorot_normal_,
    glorot_uniform_,
    truncated_normal_,
)
from deepobs_models.linear import MLP, LogisticRegression
from deepobs_models.padding import (
    SameCrop2d,
    SamePad2d,
    same_avg_pool2d,
    same_max_pool2d,
    same_padding,
)
from deepobs_models.simple_convolutional import Net2c2d, Net3c3d

__all__ = [
    "MLP",
    "Beale",
    "Branin",
    "LogisticRegression",
    "Net2c2d",
    "Net3c3d",
    "Quadratic",
    "Rosenbrock",
    "SameCrop2d",
    "SamePad2d",
    "build",
    "build_uninitialized",
    "glorot_normal_",
    "glorot_uniform_",
    "same_avg_pool2d",
    "same_max_pool2d",
    "same_padding",
    "truncated_normal_",
]


def __getattr__(name: str) -> str:
    # Reading the metadata costs more than importing the package, so it is done on demand.
    if name == "__version__":
        from importlib.metadata import version

        return version("deepobs-models")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
