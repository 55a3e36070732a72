"""Results made by hand, for the tests of everything that reads results."""

from deepobs_runner import RunConfig, RunResult
from deepobs_runner.analysis import Metric
from deepobs_runner.comparison import Target

LOSS = Metric("test", "objective", higher_is_better=False)
ACCURACY = Metric("test", "accuracy", higher_is_better=True)
BAR = Target(problem="p", metric=LOSS, value=1.0, source="made up")
OFFICIAL = {"source": "official results of 2019, DeepOBS 1.1 on TensorFlow 1"}
SPLITS = ("train_eval", "test")
OUT_OF_TIME = "the time limit of 60 s was reached"


def run_of(
    values=(3.0, 2.0),
    seed=42,
    *,
    problem="p",
    optimizer="SGD",
    lr=0.1,
    metric="objective",
    accuracy=None,
    splits=("test",),
    per_epoch=7,
    last_steps=None,
    gradients=None,
    status="done",
    error=None,
    environment=None,
    **settings,
):
    """Return a run with one evaluation for each value.

    Args:
        values: of the metric on every split; None where it was not finite.
        seed: of the run.
        problem: its name.
        optimizer: its name.
        lr: its learning rate; `hyperparams` among the settings replaces it.
        metric: its name; the loss is that of the objective.
        accuracy: a second metric, its values.
        splits: that were evaluated.
        per_epoch: steps of an epoch.
        last_steps: at the last evaluation, if it is within an epoch.
        gradients: evaluated in an epoch; None: no counters were recorded.
        status: how it ended.
        error: why.
        environment: of the result.
        settings: further fields of its configuration.
    """
    records = []
    for epoch, value in enumerate(values):
        found = {metric: value, **({"loss": value} if metric == "objective" else {})}
        if accuracy is not None:
            found["accuracy"] = accuracy[epoch]
        records.append(
            {
                "epoch": epoch,
                "steps": per_epoch * epoch,
                "clocks": {"train": 2.0 if epoch else 0.0, "evaluate": 0.5},
                "metrics": {split: dict(found) for split in splits},
            }
        )
        if gradients is not None:
            records[-1]["counters"] = {"gradient_evaluations": gradients * epoch}
    if last_steps is not None:
        records[-1]["steps"] = last_steps
    config = RunConfig(
        **{"problem": problem, "optimizer": optimizer, "hyperparams": {"lr": lr}, **settings},
        seed=seed,
    )
    environment = environment or {}
    return RunResult(
        origin=_origin(environment),
        config=config,
        status=status,
        error=error,
        records=tuple(records),
        environment=environment,
    )


def _origin(environment):
    """Return where a result with this environment would be loaded from."""
    source = environment.get("source", "")
    official = "official" if source.startswith("official") else "original"
    return environment.get("baselines", official if source else "yours")


def reaching(epoch, seed, length=10, **settings):
    """Return a run that reaches the bar at an epoch, or never (None)."""
    ends = length if epoch is None else epoch
    values = [2.0] * min(ends, length) + [0.5] * (length - min(ends, length))
    return run_of(values, seed, **settings)


def two_optimizers(slow, fast, problem="p"):
    """Return runs of SGD and of Adam that reach the bar after so many epochs, or never (None)."""
    runs = [reaching(t, 42 + i, 60, problem=problem) for i, t in enumerate(slow)]
    return runs + [
        reaching(t, 42 + i, 60, problem=problem, optimizer="Adam") for i, t in enumerate(fast)
    ]
