"""Names that do not exist; a type checker must find each of them, one a line."""
# ruff: noqa: F401, I001

from deepobs_data import DataSet
from deepobs_data import cifar11
from deepobs_models import create_modle
from deepobs_models import MPL
from deepobs_problems import load_problems
from deepobs_problems import Porblem
from deepobs_runner import RunConfiguration
from deepobs_runner import runn
