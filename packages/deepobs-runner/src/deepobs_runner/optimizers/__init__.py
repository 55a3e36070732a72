"""Optimizers: their names, their hyperparameters, and how one is made for a model."""

from deepobs_runner.optimizers.adapters import ADAPTERS as ADAPTERS
from deepobs_runner.optimizers.adapters import Adapter as Adapter
from deepobs_runner.optimizers.adapters import NoMatricesWarning as NoMatricesWarning
from deepobs_runner.optimizers.argument_types import to_json as to_json
from deepobs_runner.optimizers.build import MakeOptimizer as MakeOptimizer
from deepobs_runner.optimizers.build import make_optimizer as make_optimizer
from deepobs_runner.optimizers.hyperparams import IMPLEMENTATION_SWITCHES as IMPLEMENTATION_SWITCHES
from deepobs_runner.optimizers.hyperparams import hyperparameters_of as hyperparameters_of
from deepobs_runner.optimizers.hyperparams import parse_hyperparams as parse_hyperparams
from deepobs_runner.optimizers.hyperparams import resolve_hyperparams as resolve_hyperparams
from deepobs_runner.optimizers.hyperparams import to_arguments as to_arguments
from deepobs_runner.optimizers.names import NOT_RUNNABLE as NOT_RUNNABLE
from deepobs_runner.optimizers.names import find_optimizer as find_optimizer
from deepobs_runner.optimizers.names import installed_optimizers as installed_optimizers
from deepobs_runner.optimizers.names import known_optimizers as known_optimizers
from deepobs_runner.optimizers.names import source_hash as source_hash
from deepobs_runner.optimizers.names import takes_model as takes_model
from deepobs_runner.optimizers.wrappers import GRAPH_HINT as GRAPH_HINT
from deepobs_runner.optimizers.wrappers import CombinedOptimizer as CombinedOptimizer
from deepobs_runner.optimizers.wrappers import lacks_graph as lacks_graph
from deepobs_runner.optimizers.wrappers import set_mode as set_mode
from deepobs_runner.optimizers.wrappers import wants_graph as wants_graph
