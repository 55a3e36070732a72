"""Write docs/optimizers.md: the bare names, and every optimizer class of four libraries run twice.

Needs `pip install schedulefree pytorch-optimizer heavyball`. Run it from the repository root:
`python tools/generate_optimizer_table.py DATA_DIR [OUT]`, with the folder of the Fashion-MNIST
files; finished runs in OUT are not repeated.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deepobs_runner import Execution, RunConfig, resolve_config, run
from deepobs_runner.checks.library import optimizers_of
from deepobs_runner.checks.optimizer import check_optimizer
from deepobs_runner.optimizers import ADAPTERS, known_optimizers, resolve_hyperparams
from deepobs_runner.results.result import result_path
from deepobs_runner.results.store import load_result
from deepobs_runner.text import first_line
from deepobs_runner.tuning.priors import PRIORS

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = {
    "torch": "torch.optim",
    "pytorch-optimizer": "pytorch_optimizer",
    "schedulefree": "schedulefree",
    "heavyball": "heavyball",
}
ONE_ARGUMENT: Mapping[str, Mapping[str, Any]] = {
    "pytorch_optimizer:BSAM": {"num_data": 1000},
    "pytorch_optimizer:Kron": {"memory_save_mode": "one_diag"},  # else seconds per step
    "pytorch_optimizer:Ranger21": {"num_iterations": 100},
}
"""What a class needs beside its defaults."""
GRAPHS = ("pytorch_optimizer:AdaHessian", "pytorch_optimizer:SophiaH")
"""Those that need --create-graph."""
REASONS: Mapping[str, str] = {
    "pytorch_optimizer:AdaLOMO": "steps inside its own backward pass (`fused_backward`)",
    "pytorch_optimizer:LOMO": "steps inside its own backward pass (`fused_backward`)",
    "pytorch_optimizer:DeMo": "needs a process group of torch.distributed",
    "pytorch_optimizer:DistributedMuon": "needs a process group, and groups with `use_muon`",
    "pytorch_optimizer:Muon": "needs groups with `use_muon`; `Muon` is torch's",
    "pytorch_optimizer:SpectralSphere": "takes two-dimensional parameters only",
}
"""What the exception of a class that does not run does not say."""
RUNS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "quadratic_deep": ({"epochs": 2}, "objective"),
    "fmnist_logreg": ({"steps": 100}, "accuracy"),
}
HEAD = """# Optimizers

Any class of `torch.optim` runs by its name, and any `package.module:factory` or
`path/to/file.py:factory`. The factory gets the parameter groups, or the model if its first
argument is called `model`. It returns an optimizer, several optimizers that share one gradient (a
list, a mapping or a generator), or anything with `step(closure)`, `param_groups` and the state-dict
methods.

* An optimizer with `train()` and `eval()` is evaluated at its evaluation weights, with batch-norm
  statistics estimated anew for them from 50 training batches.
* `recalibrate_batch_norm = True`, an attribute, asks for new statistics alone.
* `create_graph = True`, an attribute, makes the closure keep the graph of the gradient, as
  `--create-graph` does.
* Hyperparameters have the types of the annotations, or of the defaults. `inf` and `nan` are stored
  as text.

`deepobs check my_package.optim:MyOptimizer lr=0.1` runs the conformance suite,
`deepobs check --all my_package.optim` on every class of a module.

## Bare names

`pip install "deepobs-runner[optimizers]"` installs what they need. Those marked *matrices* get the
hidden matrices alone, convolution kernels flattened; AdamW trains embeddings, the head, norms and
biases at its own `adamw_lr` (default 0.001). Schedules apply to both rates. How to add a name is in
[How to add …](howto/extend.md).

| name | class | gets | search space of `deepobs tune` | reference |
| --- | --- | --- | --- | --- |
"""
CLASSES = """
## Every class of four libraries

{versions}. Every class with a learning rate ran at its defaults, learning rate included, for 2
epochs of `quadratic_deep` and 100 steps of `fmnist_logreg` on the real images: {ran} of {all}
({share:.1%}) ended both runs, {more} of them with one argument that the table names. The numbers
are the objective of the first (it starts at {start:.1f}) and the test accuracy of the second. They
show that an optimizer runs, not how good it is: nothing was tuned. Findings are the checks of
`deepobs check` that say no. heavyball ran without its compilation.

| optimizer | lr | argument | quadratic_deep | fmnist_logreg | findings, or why it does not run |
| --- | ---: | --- | ---: | ---: | --- |
"""


@dataclass
class Row:
    """A class and what its runs ended with.

    Attributes:
        name: as on the command line.
        hyperparams: the learning rate, and the argument it needs.
        endings: by problem; fewer if a run failed.
        note: findings, or why a run failed.
    """

    name: str
    hyperparams: Mapping[str, Any]
    endings: dict[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def argument(self) -> str:
        """The one argument beside the defaults."""
        given = [f"{key}={value}" for key, value in self.hyperparams.items() if key != "lr"]
        return "--create-graph" if self.name in GRAPHS else "".join(given)

    @property
    def ran(self) -> bool:
        """Whether both runs ended."""
        return len(self.endings) == len(RUNS)

    def line(self) -> str:
        """Return the row in Markdown."""
        quadratic, logreg = (self.endings.get(problem) for problem in RUNS)
        cells = [
            f"`{self.name}`",
            f"{self.hyperparams['lr']:g}",
            f"`{self.argument}`" if self.argument else "",
            "-" if quadratic is None else f"{quadratic:.1f}",
            "-" if logreg is None else f"{logreg:.1%}",
            self.note.replace("|", "\\|"),
        ]
        return f"| {' | '.join(cells)} |\n"


def rows_of(location: str) -> list[Row]:
    """Return a row for each class of a library, not run yet."""
    rows = []
    for optimizer in optimizers_of(location):
        name = optimizer.name
        bare = name.rpartition(":")[2]
        known = location == "torch.optim" and bare in known_optimizers()
        adapter = ADAPTERS.get(bare)
        same = adapter is not None and adapter.source == name
        # The Muons of pytorch-optimizer need groups that say use_muon, which adapters make.
        label = bare if known or (same and adapter is not None and adapter.group) else name
        rows.append(Row(label, {**optimizer.hyperparams, **ONE_ARGUMENT.get(name, {})}))
    return rows


def fill(row: Row, folder: Path, data: Path) -> None:
    """Run a class on both problems and check it."""
    graph = row.name in GRAPHS
    execution = Execution(device="cpu", out=folder, data_dir=data, create_graph=graph)
    try:
        for problem, (length, metric) in RUNS.items():
            config = RunConfig(
                problem=problem, optimizer=row.name, hyperparams=row.hyperparams, **length
            )
            path = result_path(resolve_config(config), folder)
            result = load_result(path) if path.exists() else run(config, execution)
            if result.status != "done":
                raise RuntimeError(result.error or result.status)
            row.endings[problem] = result.records[-1]["metrics"]["test"][metric]
        resolved = resolve_hyperparams(row.name, row.hyperparams)
        findings = check_optimizer(row.name, resolved, create_graph=graph)
        row.note = ", ".join(f.name for f in findings if f.state == "no")
    except Exception as error:  # whatever a library raises is the reason
        row.note = REASONS.get(row.name, f"{type(error).__name__}: {first_line(error)}")


def bare_names() -> list[str]:
    """Return the lines of the table of bare names."""
    return [
        f"| `{name}` | `{adapter.source}` | {'matrices' if adapter.matrices else 'all'} "
        f"| `{PRIORS[name]}` | {adapter.reference} |\n"
        for name, adapter in ADAPTERS.items()
    ]


def main() -> None:
    """Write the page."""
    warnings.simplefilter("ignore")
    import heavyball.utils

    heavyball.utils.compile_mode = None
    data = Path(sys.argv[1])
    rows = [row for location in LIBRARIES.values() for row in rows_of(location)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(*sys.argv[2:3] or [temporary])
        start = run(
            RunConfig(problem="quadratic_deep", optimizer="SGD", hyperparams={"lr": 1}, epochs=0),
            Execution(device="cpu", out=folder),
        ).series("test", "objective")[0]
        for row in rows:
            fill(row, folder, data)
            print(row.line(), end="", flush=True)
    ran = [row for row in rows if row.ran]
    classes = CLASSES.format(
        versions=", ".join(f"{name} {version(name).partition('+')[0]}" for name in LIBRARIES),
        ran=len(ran),
        all=len(rows),
        share=len(ran) / len(rows),
        more=sum(bool(row.argument) for row in ran),
        start=start,
    )
    lines = [HEAD, *bare_names(), classes, *(row.line() for row in rows)]
    (ROOT / "docs" / "optimizers.md").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
