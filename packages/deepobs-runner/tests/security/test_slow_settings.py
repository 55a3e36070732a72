"""Settings in results that would make a figure run for hours."""

import pytest

from deepobs_runner import RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.kinds import trajectory
from deepobs_runner.figures.kinds.trajectory import follow, try_to_follow
from deepobs_runner.runs.resolve import resolve_config
from deepobs_runner.runs.run import run

SLOW = {
    "one step of 10^8 iterations": {"lr": 1e-9, "max_iter": 10**8, "max_eval": 10**9},
    "a line search of 10^8 steps": {
        "lr": 1e-9, "max_iter": 10**8, "max_eval": 10**9, "line_search_fn": "strong_wolfe",
    },
}  # fmt: skip


def result_of(hyperparams, tmp_path, optimizer="LBFGS", **settings):
    """Return the result of a short run as if it had other hyperparameters."""
    from dataclasses import replace

    from deepobs_runner import Execution

    made = RunConfig(
        problem="two_d_branin", optimizer="SGD", hyperparams={"lr": 0.01}, epochs=1, **settings
    )
    stored = run(made, Execution(out=tmp_path))
    config = resolve_config(
        RunConfig(
            problem="two_d_branin", optimizer=optimizer, hyperparams=hyperparams, epochs=1,
            **settings,
        )
    )  # fmt: skip
    return replace(stored, config=config)


@pytest.mark.parametrize("case", SLOW)
def test_calls_of_the_closure_are_limited(tmp_path, monkeypatch, case):
    monkeypatch.setattr(trajectory, "MOST_CALLS", 300)
    stalled = {"tolerance_grad": 0.0, "tolerance_change": 0.0}
    result = result_of({**SLOW[case], **stalled}, tmp_path)
    with pytest.raises(UsageError, match="its first step takes over"):
        follow(result)
    assert "its first step" in try_to_follow(result, 100)


def test_what_was_followed_until_then_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(trajectory, "MOST_CALLS", 30)
    found = follow(result_of({"lr": 0.01}, tmp_path, optimizer="SGD"))
    assert found.steps == 30
    assert not found.complete


def test_seconds_are_limited_where_the_closure_is_not_called(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "class Mine(torch.optim.SGD):\n"
        "    def step(self, closure):\n"
        "        while True: pass\n"
    )
    monkeypatch.setattr(trajectory, "MOST_SECONDS", 0.2)
    result = result_of({"lr": 0.01}, tmp_path, optimizer=f"{tmp_path / 'mine.py'}:Mine")
    assert "its first step takes over" in try_to_follow(result, 100)


def test_the_memory_of_an_optimizer_is_limited(tmp_path):
    result = result_of({"lr": 0.5, "history_size": 3 * 10**9}, tmp_path)
    with pytest.raises(UsageError, match="at most 100,000 steps are drawn"):
        follow(result)
    assert "history_size is 3000000000" in try_to_follow(result, 100)
