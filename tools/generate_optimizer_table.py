"""Write docs/optimizers.md: the bare names, and every optimizer class of four libraries run twice.

Needs `pip install schedulefree pytorch-optimizer heavyball`. Run it from the repository root:
`python tools/generate_optimizer_table.py DATA_DIR [OUT]`, with the folder of the Fashion-MNIST
files; finished runs in OUT are not repeated.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deepobs_problems import load_problem
from deepobs_runner import Execution, RunConfig, run
from deepobs_runner.checks.library import optimizers_of
from deepobs_runner.checks.optimizer import check_optimizer
from deepobs_runner.optimizers import ADAPTERS, known_optimizers, resolve_hyperparams
from deepobs_runner.optimizers.adapters import EVERY, HIDDEN
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
    "heavyball:PSGDKron": {"memory_save_mode": "one_diag"},  # else seconds per step
    "heavyball:PSGDPRO": {"memory_save_mode": "one_diag"},
    "pytorch_optimizer:BSAM": {"num_data": 1000},
    "pytorch_optimizer:Kron": {"memory_save_mode": "one_diag"},  # else seconds per step
    "pytorch_optimizer:Ranger21": {"num_iterations": 100},
}
"""What a class needs beside its defaults."""
GRAPHS = ("pytorch_optimizer:AdaHessian", "pytorch_optimizer:SophiaH")
"""Those that need --create-graph."""
REASONS: Mapping[str, str] = {
    "pytorch_optimizer:BSAM": "its foreach step raises RuntimeError; beside `num_data`, "
    "`foreach=False` helps",
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
COMPARED: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "Adam": ({"lr": 1e-3}, "the default of torch"),
    "Muon": ({"lr": 0.02}, "Keller Jordan's; AdamW at 0.001"),
    "SOAP": ({"lr": 3e-3, "max_precondition_dim": 1024}, "the authors'; AdamW at 0.001"),
    "Lion": ({"lr": 1e-4}, "a tenth of Adam's, as the authors advise"),
    "ScheduleFreeAdamW": ({"lr": 2.5e-3}, "the default of schedulefree"),
}
"""What trains a network for two epochs, and why at this rate."""
SHORT, LONG = 10, 30
"""Steps of two runs; the difference of their times is that of the steps between."""
HEAD = """# Optimizers

Any class of `torch.optim` runs by its name, and any `package.module:factory` or
`path/to/file.py:factory`. The factory gets the parameter groups, or the model if its first
argument is called `model`. It returns an optimizer, several optimizers that share one gradient (a
list, a mapping or a generator), or anything with `step(closure)`, `param_groups` and the state-dict
methods.

* An optimizer with `train()` and `eval()` is evaluated at its evaluation weights, with batch-norm
  statistics re-estimated for them from 50 training batches.
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
biases at its own `adamw_lr` (default 0.001). *All matrices* are these, embeddings and the head.
Schedules apply to both rates. How to add a name is in
[Extend DeepOBS](howto/extend.md).

| name | class | gets | search space of `deepobs tune` | reference |
| --- | --- | --- | --- | --- |
"""
TWO_EPOCHS = """
## Two epochs of a network

`fmnist_2c2d` ({parameters:,} parameters) on the real images, batches of 128, constant rates, seed
42, {steps} steps. One run each: this shows what a name costs and that it learns at a rate its
authors use, not which is best. State is what the optimizer keeps beside the weights. A step is
forward and backward pass and the optimizer's own work, in processor time of one thread of an
{processor}, {versions}.

| optimizer | rate and its source | test accuracy | state | of it per parameter | step | of Adam's |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
"""
CLASSES = """
## Every class of four libraries

{versions}. Every class with a learning rate ran at its defaults, learning rate included, for 2
epochs of `quadratic_deep` and 100 steps of `fmnist_logreg` on the real images: {ran} of {all}
({share:.1%}) ended both runs, {more} of them with one argument that the table names. The numbers
are the objective of the first (it starts at {start:.1f}) and the test accuracy of the second. They
show that an optimizer runs, not how good it is: nothing was tuned. Findings are the checks of
`deepobs check` that fail. heavyball ran without its compilation.

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
            "-" if quadratic is None else short(quadratic),
            "-" if logreg is None else f"{logreg:.1%}",
            self.note.replace("|", "\\|"),
        ]
        return f"| {' | '.join(cells)} |\n"


def short(value: float) -> str:
    """Return an objective with one decimal, or a power of ten where it diverges."""
    if value < 1e5:
        return f"{value:.1f}"
    mantissa, _, exponent = f"{value:.0e}".partition("e+")
    return f"{mantissa}×10<sup>{int(exponent)}</sup>"


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
            result = run(config, execution)
            if result.status != "done":
                raise RuntimeError(result.error or result.status)
            row.endings[problem] = result.records[-1]["metrics"]["test"][metric]
        resolved = resolve_hyperparams(row.name, row.hyperparams)
        findings = check_optimizer(row.name, resolved, create_graph=graph)
        row.note = ", ".join(f.name for f in findings if f.state == "no")
    except Exception as error:  # whatever a library raises is the reason
        row.note = REASONS.get(row.name, f"{type(error).__name__}: {first_line(error)}")


def two_epochs(folder: Path, data: Path) -> list[str]:
    """Return the section on two epochs of a network."""
    problem = load_problem("fmnist_2c2d")
    parameters = sum(p.numel() for p in problem.model().parameters())
    lines, of_adam = [], 0.0
    for name, (hyperparams, source) in COMPARED.items():
        config = RunConfig(problem=problem.name, optimizer=name, hyperparams=hyperparams, epochs=2)
        result = run(config, Execution(device="cpu", out=folder, data_dir=data))
        last = result.records[-1]
        state = last["counters"]["optimizer_state_bytes"]
        seconds = seconds_per_step(config, folder)
        of_adam = of_adam or seconds
        given = " ".join(f"{key}={value:g}" for key, value in hyperparams.items())
        lines.append(
            f"| `{name}` | `{given}` ({source}) | {last['metrics']['test']['accuracy']:.1%} "
            f"| {state / 2**20:.1f} MiB | {state / parameters:.1f} bytes | {1000 * seconds:.0f} ms "
            f"| {seconds / of_adam:.1f}× |\n"
        )
        print(lines[-1], end="", flush=True)
    head = TWO_EPOCHS.format(
        parameters=parameters,
        steps=last["steps"],
        processor=result.environment["processor"],
        versions=versions(),
    )
    return [head, *lines]


def seconds_per_step(config: RunConfig, folder: Path) -> float:
    """Return the processor time of a step on generated data, without setup and evaluation."""
    execution = Execution(device="cpu", out=folder / "short")

    def seconds(steps: int) -> float:
        short = replace(config, epochs=None, steps=steps, data="synthetic")
        began = time.process_time()
        run(short, execution, force=True)
        return time.process_time() - began

    seconds(SHORT)  # what is done once in a process
    return (seconds(LONG) - seconds(SHORT)) / (LONG - SHORT)


def versions() -> str:
    """Return the libraries with their versions."""
    return ", ".join(f"{name} {version(name).partition('+')[0]}" for name in LIBRARIES)


GETS = {frozenset(): "all", HIDDEN: "matrices", EVERY: "all matrices"}
"""What a name trains."""


def bare_names() -> list[str]:
    """Return the lines of the table of bare names."""
    return [
        f"| `{name}` | `{adapter.source}` | {GETS[adapter.matrices]} "
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
        compared = two_epochs(folder, data)
    ran = [row for row in rows if row.ran]
    classes = CLASSES.format(
        versions=versions(),
        ran=len(ran),
        all=len(rows),
        share=len(ran) / len(rows),
        more=sum(bool(row.argument) for row in ran),
        start=start,
    )
    lines = [HEAD, *bare_names(), *compared, classes, *(row.line() for row in rows)]
    (ROOT / "docs" / "optimizers.md").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
