"""Run, repeat and compare optimizers on the DeepOBS test problems.

`run` trains one configuration and stores its result; `train` is the generator under it.
Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Constant": "schedules",
    "Cosine": "schedules",
    "Execution": "config",
    "ExecutorOptions": "executors.options",
    "Exponential": "schedules",
    "Record": "training.loop",
    "RunConfig": "config",
    "RunResult": "results.result",
    "Step": "schedules",
    "UsageError": "errors",
    "Warmup": "schedules",
    "executor_of": "executors.registry",
    "load_original": "results.original",
    "load_plan": "plans.plan",
    "load_result": "results.store",
    "load_results": "results.store",
    "official_results": "results.official",
    "resolve_config": "runs.run",
    "run": "runs.run",
    "run_all": "executors.local",
    "train": "training.loop",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"deepobs_runner.{_HOME[name]}"), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("deepobs-runner")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
