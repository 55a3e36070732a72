"""Run, repeat and compare optimizers on the DeepOBS test problems.

`run` trains one configuration and stores its result; `train` is the generator under it.
Nothing heavy is imported before it is used.

The exported names and those in docs/api are public. All else in the modules is private and may
change in any release.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepobs_runner.config import Execution, RunConfig
    from deepobs_runner.errors import UsageError
    from deepobs_runner.executors.local import run_all
    from deepobs_runner.executors.registry import ExecutorOptions, executor_of
    from deepobs_runner.plans.plan import load_plan
    from deepobs_runner.results.official import official_results
    from deepobs_runner.results.result import RunResult
    from deepobs_runner.results.store import load_result, load_results
    from deepobs_runner.runs.resolve import resolve_config
    from deepobs_runner.runs.run import run
    from deepobs_runner.schedules import Constant, Cosine, Exponential, Step, Warmup
    from deepobs_runner.training.loop import train
    from deepobs_runner.training.record import Record

    __version__: str

__all__ = [
    "Constant",
    "Cosine",
    "Execution",
    "ExecutorOptions",
    "Exponential",
    "Record",
    "RunConfig",
    "RunResult",
    "Step",
    "UsageError",
    "Warmup",
    "executor_of",
    "load_plan",
    "load_result",
    "load_results",
    "official_results",
    "resolve_config",
    "run",
    "run_all",
    "train",
]

if not TYPE_CHECKING:  # a checker would take every misspelled name for one of `Any`
    _HOME = {
        "Constant": "schedules",
        "Cosine": "schedules",
        "Execution": "config",
        "ExecutorOptions": "executors.registry",
        "Exponential": "schedules",
        "Record": "training.record",
        "RunConfig": "config",
        "RunResult": "results.result",
        "Step": "schedules",
        "UsageError": "errors",
        "Warmup": "schedules",
        "executor_of": "executors.registry",
        "load_plan": "plans.plan",
        "load_result": "results.store",
        "load_results": "results.store",
        "official_results": "results.official",
        "resolve_config": "runs.resolve",
        "run": "runs.run",
        "run_all": "executors.local",
        "train": "training.loop",
    }

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(f"deepobs_runner.{_HOME[name]}"), name)
        submodule = f"{__name__}.{name}"
        if (spec := find_spec(submodule)) and spec.origin:  # as for `help(deepobs_runner.report)`
            return import_module(submodule)
        if name == "__version__":
            from importlib.metadata import version

            return version("deepobs-runner")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
