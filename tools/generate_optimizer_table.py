"""Write docs/optimizers.md: what each optimizer does and how far it came on two problems.

Needs `pip install schedulefree pytorch-optimizer`. Run it from the repository root:
`python tools/generate_optimizer_table.py DATA_DIR`, with the folder of the Fashion-MNIST files.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from pathlib import Path

import torch

from deepobs_runner import Execution, RunConfig, resolve_config, run
from deepobs_runner.checks.optimizer import check_optimizer
from deepobs_runner.errors import UsageError
from deepobs_runner.optimizers import known_optimizers

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = "examples/optimizers.py:"
THIRD_PARTY = [
    "schedulefree:SGDScheduleFree",
    "schedulefree:AdamWScheduleFree",
    "pytorch_optimizer:SOAP",
    f"{EXAMPLES}sam",
    f"{EXAMPLES}adahessian",
    f"{EXAMPLES}muon",
]
# Learning rates on two_d_branin and fmnist_logreg; not tuned, only sensible.
RATES = {"Adadelta": (1.0, 1.0), "Momentum": (1e-3, 1e-3), "SGD": (0.01, 0.1)}
RATES |= {"ASGD": (0.01, 0.1), "LBFGS": (0.1, 0.1), "SGDScheduleFree": (0.01, 0.5)}
DEFAULT_RATES = (0.1, 1e-3)

HEAD = """# Optimizers

Any class of `torch.optim` runs by its name, and any `package.module:factory` or
`path/to/file.py:factory`. The factory gets the parameter groups, or the model if its first
argument is called `model`; it returns an optimizer, a list of optimizers that share one gradient,
or anything with `step(closure)`, `param_groups` and the state-dict methods.

* An optimizer with `train()` and `eval()` is evaluated at its evaluation weights, with batch-norm
  statistics estimated anew for them from 50 training batches.
* `recalibrate_batch_norm = True`, an attribute, asks for new statistics alone.
* `create_graph = True`, an attribute, makes the closure keep the graph of the gradient.

`deepobs check my_package.optim:MyOptimizer lr=0.1` runs the conformance suite behind the middle
columns. The last ones are runs of `tools/generate_optimizer_table.py`, which wrote this page with
torch {torch}: the objective of `two_d_branin` after one epoch (it starts at {start:.1f}) and the
test accuracy of `fmnist_logreg` after {steps} steps on the real images. The learning rates were not
tuned: the runs show that an optimizer works, not how good it is.

| optimizer | closure calls per step | state bytes per parameter | evaluates at | findings \
| lr | branin | lr | fmnist_logreg |
| --- | ---: | ---: | --- | --- | ---: | ---: | ---: | ---: |
"""
STEPS = 100


def row(name: str, folder: Path, data: Path) -> str:
    """Return a line of the table."""
    label = name.rpartition(":")[2]
    rates = RATES.get(label, DEFAULT_RATES)
    config = RunConfig(problem="two_d_branin", optimizer=name, hyperparams={"lr": rates[0]})
    hyperparams = resolve_config(config).hyperparams
    found = {f.name: f for f in check_optimizer(name, hyperparams)}
    wrong = "; ".join(f"{f.name}: {f.message}" for f in found.values() if f.state == "no")
    branin = ending("two_d_branin", name, rates[0], folder, data, epochs=1)
    logreg = ending("fmnist_logreg", name, rates[1], folder, data, steps=STEPS)
    cells = [
        f"`{name}`",
        found["closure"].message.split()[0],
        found["memory"].message.split()[0],
        "other weights" if "other weights" in found["modes"].message else "its weights",
        wrong or "none",
        f"{rates[0]:g}",
        f"{branin['objective']:.3f}",
        f"{rates[1]:g}",
        f"{logreg['accuracy']:.1%}",
    ]
    return f"| {' | '.join(cells)} |\n"


def ending(
    problem: str, name: str, lr: float, folder: Path, data: Path, **length: int
) -> dict[str, float]:
    """Return the metrics on the test split at the end of a run."""
    config = RunConfig(problem=problem, optimizer=name, hyperparams={"lr": lr}, **length)
    result = run(config, Execution(device="cpu", out=folder, data_dir=data))
    return dict(result.records[-1]["metrics"]["test"])


def main() -> None:
    """Write the page."""
    warnings.simplefilter("ignore")
    os.chdir(ROOT)
    data = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        start = run(
            RunConfig(problem="two_d_branin", optimizer="SGD", hyperparams={"lr": 1.0}, epochs=0),
            Execution(device="cpu", out=folder),
        ).series("test", "objective")[0]
        release = torch.__version__.partition("+")[0]
        lines = [HEAD.format(torch=release, start=start, steps=STEPS)]
        for name in [*known_optimizers(), *THIRD_PARTY]:
            try:
                lines.append(row(name, folder, data))
            except UsageError as error:
                lines.append(f"| `{name}` | {'- | ' * 3}{error} {'| - ' * 4}|\n")
    (ROOT / "docs" / "optimizers.md").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
