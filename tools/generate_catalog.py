"""Write docs/problems.md: the catalog of test problems, with measured costs.

Run `python tools/generate_catalog.py` after a change of the catalog; with `--check` it only says,
by its exit code, whether the page is current.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from deepobs_data import Dataset, DatasetInfo, info
from deepobs_problems import (
    CATALOG,
    SUITES,
    TAGS,
    Defaults,
    Problem,
    cross_entropy,
    problems_with,
)
from deepobs_problems.cost import measure_cost
from deepobs_problems.losses import inception_loss, model_output, sequence_cross_entropy, vae_loss
from deepobs_problems.modern.bigram import bigram_cross_entropy, bigram_squared_error
from deepobs_problems.modern.burgers import burgers_loss
from deepobs_problems.modern.diagnostic import double_cross_entropy, squared_error
from deepobs_problems.modern.poisson import poisson_loss

PAGE = Path(__file__).parents[1] / "docs" / "problems.md"

LOSSES: dict[Callable[..., Any], str] = {
    cross_entropy: "cross-entropy",
    sequence_cross_entropy: "cross-entropy, mean over the characters",
    inception_loss: "cross-entropy, labels smoothed; in training plus 0.4 of an auxiliary head",
    vae_loss: "squared error + KL divergence",
    model_output: "the function itself",
    bigram_cross_entropy: "cross-entropy, mean over the language",
    bigram_squared_error: "half the squared distance to one-hot tokens",
    poisson_loss: "squared residuals of equation and boundary",
    burgers_loss: "squared residuals of equation and known values",
    double_cross_entropy: "cross-entropy, in float64",
    squared_error: "mean squared error",
}

HEADER = """\
# The test problems

<!-- Made by tools/generate_catalog.py; do not edit. -->

A problem is named after its data and its network. `load_problem("cifar10_3c3d")` returns it,
`deepobs list` prints the table, and `deepobs-data info cifar10` shows more about the data. Every
problem has a page with its data, loss, layers, published results and peculiarities.
"""

FOOTNOTES = """\
* **Data**, with the number of training examples, and trainable **parameters**.
* **FLOPs** of the forward pass of one example, counted by `torch.utils.flop_counter`: matrix
  products and convolutions, where a multiplication and an addition are two operations; elementwise
  operations are not counted. A training step costs about three times as much. VGG and Inception
  resize all images to 224 and 299 pixels.
* **Batch** size and **epochs** of the first 26 are those of DeepOBS 1.1.2; where it has none
  (marked with an asterisk), they come from the network's paper or the closest sibling, see
  `catalog.py`. Those of the others are on their pages. An epoch is one pass over the training
  examples, but see [data](data.md).
* Data sets are downloaded on first use; the page of a problem shows the size. ImageNet cannot be
  downloaded for you: put torchvision's folder layout into the data folder.
"""

# Problems for which the settings of DeepOBS 1.1.2 (`deepobs/config.py`) have no batch size and no
# number of epochs.
ORIGINALS = tuple(CATALOG)[:26]
"""The problems of DeepOBS 1.1.2."""

WITHOUT_ORIGINAL = (
    "fmnist_logreg",
    "cifar10_vgg16",
    "cifar10_vgg19",
    "cifar100_3c3d",
    "cifar100_vgg16",
    "cifar100_vgg19",
    "cifar100_wrn404",
    "svhn_3c3d",
    "imagenet_vgg16",
    "imagenet_vgg19",
    "imagenet_inception_v3",
    "two_d_rosenbrock",
    "two_d_beale",
    "two_d_branin",
)


def render() -> str:
    """Return the whole page."""
    columns = (
        "Problem", "Data", "Network", "Parameters", "Batch", "Epochs", "FLOPs",
    )  # fmt: skip
    right = {"Parameters", "Batch", "Epochs", "FLOPs"}
    rows = [describe_problem(problem) for problem in CATALOG.values()]
    suites = [(f"`{name}`", listed(SUITES[name])) for name in SUITES if name != "all"]
    suites.append(("`all`", f"all {len(CATALOG)}"))
    tags = [(f"`{tag}`", meaning, listed(problems_with([tag]))) for tag, meaning in TAGS.items()]
    sections = [
        HEADER,
        table(columns, rows, right),
        FOOTNOTES,
        "## Suites\n",
        "`deepobs list --suite NAME`, `deepobs bench ... --suite NAME`.\n",
        table(("Suite", "Problems"), suites),
        "## Tags\n",
        "`deepobs list --tag NAME`, `deepobs_problems.problems_with([...])`.\n",
        table(("Tag", "Meaning", "Problems"), tags),
    ]
    return "\n".join(sections)


def describe_problem(problem: Problem) -> tuple[str, ...]:
    """Return one row of the table."""
    data = stand_in_of(problem)
    facts = info(data.name)
    cost = measure_cost(problem, next(data.train.batches(torch.arange(2), 2)))
    star = "\\*" if problem.name in WITHOUT_ORIGINAL else ""
    return (
        f"[`{problem.name}`](problems/{problem.name}.md)",
        f"{facts.title}, {sizes_of(problem, facts)['train']:,}",
        f"`{network(problem).partition('(')[0]}`",
        quantity(cost.parameters),
        f"{problem.defaults.batch_size}{star}",
        f"{problem.defaults.epochs}{star}"
        if problem.defaults.epochs
        else f"{problem.defaults.steps:,} steps",
        quantity(cost.flops),
    )


def length_of(defaults: Defaults) -> str:
    """Return the epochs of a run, or its steps."""
    return f"{defaults.steps:,} steps" if defaults.epochs is None else str(defaults.epochs)


def sizes_of(problem: Problem, facts: DatasetInfo) -> dict[str, int]:
    """Return the number of examples of each split."""
    data = stand_in_of(problem)
    shape = data.train[0].x.shape
    if facts.kind != "text" or data.order != "shuffled":
        return facts.sizes(shape)
    train, test = (
        (characters - 1) // shape[0] for characters in _CHARACTERS[facts.name]
    )  # y is one character later
    return {"train": train, "train_eval": min(train, 111_360 // shape[0]), "test": test}


def steps_per_epoch(problem: Problem, facts: DatasetInfo) -> int:
    """Return the number of steps of an epoch."""
    data = stand_in_of(problem)
    steps = sizes_of(problem, facts)["train"] // problem.defaults.batch_size
    return steps * data.passes_per_epoch // data.epochs_per_pass


def stand_in_of(problem: Problem) -> Dataset:
    """Return the generated data of a problem."""
    if problem.stand_in is None:
        raise ValueError(f"{problem.name} has no stand-in data to measure its cost with.")
    if problem.name not in _STAND_INS:
        _STAND_INS[problem.name] = problem.stand_in()
    return _STAND_INS[problem.name]


_STAND_INS: dict[str, Dataset] = {}

_CHARACTERS = {"tolstoi": (2_612_948, 653_237), "shakespeare": (1_003_854, 111_540)}
"""Characters for training and testing of the texts with known checksums."""


def network(problem: Problem) -> str:
    """Return how the model is built, such as `VGG(16, 10)`."""
    with torch.device("meta"):
        name = type(problem.model()).__name__
    if not isinstance(problem.model, functools.partial):
        return f"{name}()"
    named = [f"{key}={value}" for key, value in problem.model.keywords.items()]
    return f"{name}({', '.join([*map(str, problem.model.args), *named])})"


def download(facts: DatasetInfo) -> str:
    """Return the size of the download in bytes, with a unit."""
    if facts.name == "imagenet":
        return "by hand"
    return f"{quantity(facts.download_size)}B" if facts.download_size else "none"


def quantity(number: int) -> str:
    """Return a number to three digits with the prefix of its thousands.

    >>> quantity(30932418560), quantity(999), quantity(0)
    ('30.9 G', '999', '0')
    """
    value, prefixes = float(number), ["", " k", " M", " G", " T"]
    while value >= 999.5:
        value /= 1000
        prefixes.pop(0)
    digits = 0 if not prefixes[0] or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}{prefixes[0]}"


def listed(names: Iterable[str]) -> str:
    """Return names as inline code, separated by commas."""
    return ", ".join(f"`{name}`" for name in names)


def table(columns: Iterable[str], rows: Iterable[Iterable[str]], right: Iterable[str] = ()) -> str:
    """Return a Markdown table; columns named in `right` are aligned to the right."""
    columns = list(columns)
    rules = ["---:" if column in right else "---" for column in columns]
    lines = [f"| {' | '.join(cells)} |" for cells in (columns, rules, *rows)]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or check it; return the exit code."""
    parser = argparse.ArgumentParser(description="Write docs/problems.md.")
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    page = render()
    if parser.parse_args().check:
        current = PAGE.read_text(encoding="utf-8") == page
        print(f"{PAGE} is {'current' if current else 'out of date: run this without --check'}.")
        return 0 if current else 1
    PAGE.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
