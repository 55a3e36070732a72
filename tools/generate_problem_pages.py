"""Write docs/problems/NAME.md: a page for each test problem.

Run `python tools/generate_problem_pages.py` after a change of the catalog, a network or
`problem_notes.py`; with `--check` it only says, by its exit code, whether the pages are current.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

from draw_problem_pictures import CURVES, DATA, picture_of
from generate_catalog import (
    LOSSES,
    ORIGINALS,
    WITHOUT_ORIGINAL,
    download,
    listed,
    network,
    quantity,
    sizes_of,
    steps_per_epoch,
    table,
)
from problem_notes import DATA_NOTES, NETWORKS, ORIGINAL, PREPARED, PROBLEM_NOTES, PUBLISHED

from deepobs_data import Batch, DatasetInfo, info
from deepobs_models import (
    Branches,
    ConvNormReLU,
    PreActResidualBlock,
    SamePad2d,
    TransformerBlock,
)
from deepobs_problems import CATALOG, SUITES, TAGS, Problem, convolution_weights
from deepobs_problems.cost import measure_cost
from deepobs_runner import RunResult, official_results
from deepobs_runner.comparison import target_of

FOLDER = Path(__file__).parents[1] / "docs" / "problems"

BLOCKS = (PreActResidualBlock, ConvNormReLU, Branches, TransformerBlock, nn.MultiheadAttention)
"""Shown as one row of the table of layers."""

RESHAPES = (nn.Flatten, nn.Unflatten, nn.Identity)
"""Not shown."""

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.Sigmoid)
"""Shown in the row of the layer before."""

OPTIMIZERS = ("SGD", "Momentum", "Adam")


class Layer(NamedTuple):
    """A row of the table of layers: name, type, output of one example, trainable parameters."""

    name: str
    text: str
    shape: tuple[int, ...]
    parameters: int


def page_of(problem: Problem) -> str:
    """Return the page of a problem."""
    if problem.stand_in is None:
        raise ValueError(f"{problem.name} has no stand-in data to show its shapes with.")
    data = problem.stand_in()
    facts = info(data.name)
    batch = next(data.train.batches(torch.arange(2), 2))
    with torch.device("meta"):
        kind = type(problem.model()).__name__
    sections = [
        f"# {problem.name}\n",
        "<!-- Made by tools/generate_problem_pages.py; do not edit. -->\n",
        table(("Property", "Value"), facts_of(problem, facts, batch, kind)),
        "## Data\n",
        picture(f"data-{picture_of(problem.name)}", f"Data of {problem.name}"),
        f"{DATA[picture_of(problem.name)].caption}\n",
        "## Network\n",
        table(
            ("Layer", "What it is", "Output", "Parameters"),
            [layer_row(layer) for layer in layers_of(problem, batch)],
            right={"Parameters"},
        ),
        f"Before training: {NETWORKS[kind].start}.\n",
        *published(problem),
        "## Notes\n",
        "\n".join(f"* {note}" for note in notes(problem, facts, kind)) + "\n",
        "## Run it\n",
        f"```bash\n{command(problem)}\n```\n",
        "All problems are in the [table](../problems.md).\n",
    ]
    return "\n".join(sections)


def facts_of(
    problem: Problem, facts: DatasetInfo, batch: Batch, kind: str
) -> Iterator[tuple[str, str]]:
    """Yield the rows of the first table."""
    defaults, star = problem.defaults, " (ours)" if problem.name in WITHOUT_ORIGINAL else ""
    sizes, steps = sizes_of(problem, facts), steps_per_epoch(problem, facts)
    cost = measure_cost(problem, batch)
    yield "Data", f"[{facts.title}](../data.md), `{facts.name}`; {download_of(facts)}"
    yield (
        "Examples",
        f"{sizes['train']:,} for training, {sizes['train_eval']:,} of them evaluated; "
        f"{sizes['test']:,} for testing",
    )
    yield "Example", f"{shape(batch.x.shape[1:])} {facts.x_dtype}; {PREPARED[facts.name]}"
    yield "Network", f"`{network(problem)}`, {cost.parameters:,} trainable parameters"
    yield "Loss", LOSSES[problem.loss]
    yield "Metrics", ", ".join([*problem.metrics, *problem.roots]) or "only the loss"
    yield "L2", regularizer(problem)
    yield "Batch size", f"{defaults.batch_size}{star}, {steps:,} steps per epoch"
    if defaults.epochs is None:
        yield "Steps", f"{defaults.steps:,}"
    else:
        yield "Epochs", f"{defaults.epochs}{star}"
    yield from other_defaults(problem)
    yield (
        "Cost",
        f"{quantity(cost.flops)} FLOPs for the forward pass of an example, "
        f"{quantity(cost.activations)} activations",
    )
    yield "Suites", listed(name for name in SUITES if problem.name in SUITES[name])
    yield "Tags", listed(tag for tag in TAGS if tag in problem.tags)
    yield "Network from", NETWORKS[kind].paper
    source = facts.citation or facts.homepage
    yield "Data from", f"{source} Terms: {facts.licence}."
    if problem.name in ORIGINALS:
        yield "Original", f"DeepOBS 1.1.2, {ORIGINAL.format(problem.name)}"


def other_defaults(problem: Problem) -> Iterator[tuple[str, str]]:
    """Yield the rows of defaults that most problems do not have."""
    defaults = problem.defaults
    if defaults.schedule != "constant":
        yield "Schedule", f"`{defaults.schedule}`"
    if defaults.clip_norm is not None:
        yield "Gradient clipping", f"norm {defaults.clip_norm:g}"
    if defaults.precision != "fp32":
        yield "Precision", f"`{defaults.precision}`"
    if defaults.reference is not None:
        optimizer, hyperparams = defaults.reference
        given = ", ".join(f"{name}={value}" for name, value in hyperparams.items())
        yield "Reference", f"{optimizer}, {given}"


def download_of(facts: DatasetInfo) -> str:
    """Return what the first use fetches, in words."""
    size = download(facts)
    if size == "none":
        return "made, nothing to download"
    return "downloaded by hand" if size == "by hand" else f"{size} to download"


def regularizer(problem: Problem) -> str:
    """Return the L2 term in words."""
    if not problem.l2:
        return "none"
    only_convolutions = problem.decayed is convolution_weights
    layers = "convolutions" if only_convolutions else "convolutions and linear layers"
    return f"{problem.l2:g} / 2 · sum of squares of the weights of all {layers}, without biases"


def layers_of(problem: Problem, batch: Batch) -> list[Layer]:
    """Return the layers in the order in which a training batch meets them.

    Two examples go through the network on torch's meta device, so nothing is computed.
    """
    examples = Batch(*(torch.empty_like(part[:2], device="meta") for part in batch))
    with torch.device("meta"):
        model = problem.model().to("meta").train()
    rows: list[Layer] = []

    def add(name: str, module: nn.Module, output: Any) -> None:
        first = output if isinstance(output, Tensor) else output[0]
        if isinstance(module, RESHAPES):
            return
        if isinstance(module, ACTIVATIONS) and rows:
            last = rows.pop()
            rows.append(last._replace(text=f"{last.text}, {describe(module)}"))
            return
        trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
        rows.append(Layer(name, describe(module), tuple(first.shape[1:]), trained))

    shown = list(shown_modules(model))
    for name, module in shown:
        module.register_forward_hook(
            lambda module, inputs, output, name=name: add(name, module, output)
        )
    problem.forward(model, examples, None)
    own = sum(p.numel() for p in model.parameters(recurse=False))
    if own:  # parameters of the model itself, which has no layers
        rows.append(Layer("", "the function of its parameters", (), own))
    return rows


def shown_modules(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules that are rows of the table: layers, and whole blocks."""
    for name, child in module.named_children():
        full = f"{path}.{name}" if path else name
        if isinstance(child, BLOCKS) or not list(child.children()):
            yield full, child
        else:
            yield from shown_modules(child, full)


def describe(module: nn.Module) -> str:
    """Return what a layer is, in a few words."""
    kind = type(module).__name__
    match module:
        case nn.Conv1d() | nn.Conv2d() | nn.ConvTranspose2d():
            size = "x".join(map(str, module.kernel_size))
            text = f"{kind} {size}, {module.in_channels} to {module.out_channels}"
            text += f", stride {module.stride[0]}" if module.stride[0] > 1 else ""
            text += f", padding {module.padding[0]}" if any(module.padding) else ""
            return text + ("" if module.bias is not None else ", no bias")
        case nn.Linear():
            return f"{kind} {module.in_features} to {module.out_features}"
        case nn.Embedding():
            return f"{kind} {module.num_embeddings} to {module.embedding_dim}"
        case nn.MultiheadAttention():
            return f"{kind} of width {module.embed_dim}, {module.num_heads} head"
        case TransformerBlock():
            width, heads = module.attention.qkv.in_features, module.attention.heads
            return f"{kind} of width {width}, {heads} heads"
        case nn.LayerNorm():
            return f"{kind} of {module.normalized_shape[0]}"
        case nn.LSTM() | nn.GRU():
            return f"{kind} {module.input_size} to {module.hidden_size}"
        case nn.MaxPool2d() | nn.AvgPool2d():
            return f"{kind} {module.kernel_size}, stride {module.stride}"
        case nn.Dropout():
            return f"{kind} {module.p:g}"
        case nn.LeakyReLU():
            return f"{kind} {module.negative_slope:g}"
        case nn.ZeroPad2d():
            left, right, top, bottom = module.padding
            return f"{kind} left {left}, right {right}, top {top}, bottom {bottom}"
        case SamePad2d():
            return f"{kind} for kernel {module.kernel_size[0]}, stride {module.stride[0]}"
        case ConvNormReLU():
            return f"{describe(module.conv)}, batch norm, ReLU"
        case PreActResidualBlock():
            text = f"{module.conv1.in_channels} to {module.conv2.out_channels} channels"
            stride = module.conv1.stride[0]
            return f"{kind}, {text}" + (f", stride {stride}" if stride > 1 else "")
        case Branches():
            return f"{kind}: {len(list(module.children()))} in parallel, concatenated"
    return kind


def layer_row(layer: Layer) -> tuple[str, ...]:
    """Return the cells of a layer's row."""
    name = f"`{layer.name}`" if layer.name else ""
    return name, layer.text, shape(layer.shape), f"{layer.parameters:,}" if layer.parameters else ""


def command(problem: Problem) -> str:
    """Return how to run a problem, with the optimizer of its reference setting if there is one.

    >>> from deepobs_problems import load_problem
    >>> command(load_problem("mnist1d_conv"))
    'deepobs run mnist1d_conv Adam lr=0.01'
    """
    reference = problem.defaults.reference
    if reference is None:
        return f"deepobs run {problem.name} Adam lr=1e-3 --epochs 1"
    given = [f"{key}={value}" for key, value in reference.hyperparams.items() if key == "lr"]
    return " ".join(["deepobs run", problem.name, reference.optimizer, *given])


def shape(sizes: tuple[int, ...]) -> str:
    """Return a shape as it is read: (64, 28, 28), or one number.

    >>> shape((64, 28, 28)), shape((10,)), shape(())
    ('(64, 28, 28)', '(10)', 'a number')
    """
    return f"({', '.join(map(str, sizes))})" if len(sizes) else "a number"


def picture(name: str, text: str) -> str:
    """Return a picture of `draw_problem_pictures.py`, with a text for screen readers."""
    return f"![{text}](pictures/{name}.png)\n"


def published(problem: Problem) -> Iterator[str]:
    """Yield the section of the official results, or of other published ones, if there are any."""
    if problem.name in PUBLISHED:
        yield "## Published results\n"
        yield f"{PUBLISHED[problem.name]}\n"
    runs = official_results(problem.name)
    if runs and problem.name not in PUBLISHED:
        yield "## Published results\n"
    if runs:
        yield from official(problem, runs)
    elif problem.name in CURVES:
        yield "## Training curves\n"
    if problem.name in CURVES:
        yield picture(f"curves-{problem.name}", f"Training curves of {problem.name}")
        yield f"{CURVES[problem.name].caption}\n"


def official(problem: Problem, runs: list[RunResult]) -> Iterator[str]:
    """Yield the table of the official results and the target."""
    accuracy = "accuracy" in problem.metrics
    columns = ["Optimizer", "Learning rate", "Test objective", "Train objective"]
    columns += ["Test accuracy"] if accuracy else []
    rows = []
    for optimizer in OPTIMIZERS:
        seeds = [run for run in runs if run.config.optimizer == optimizer]
        row = [optimizer, number(seeds[0].config.hyperparams["lr"])]
        row += [final(seeds, split, "objective") for split in ("test", "train_eval")]
        rows.append(row + ([final(seeds, "test", "accuracy")] if accuracy else []))
    target = target_of(problem.name)
    if target is None:
        raise ValueError(f"{problem.name} has official results, but no target.")
    yield table(columns, rows, right=columns[1:])
    yield (
        "Official runs of 2019, recipe `2019`: the final value at the tuned learning rate, mean ± "
        "standard deviation over ten seeds. Momentum is 0.99. The objective includes L2. `deepobs "
        f"baselines show official --problem {problem.name}` prints more digits.\n"
    )
    yield f"Target of the speedup: {target.metric} {number(target.value)}, {target.source}.\n"


def final(runs: list[RunResult], split: str, metric: str) -> str:
    """Return mean ± standard deviation of the last value."""
    values = [run.series(split, metric)[-1] for run in runs]
    return with_spread(statistics.mean(values), statistics.stdev(values))


def number(value: float) -> str:
    """Return a number with three digits, as a power of ten if it is small.

    >>> number(0.158489), number(0.919809), number(1e-05), number(23.1398)
    ('0.158', '0.920', '1.00 × 10⁻⁵', '23.1')
    """
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4:
        return f"{value / 10.0**exponent:.2f} × {power_of_ten(exponent)}"
    return f"{value:.{max(2 - exponent, 0)}f}"


def with_spread(mean: float, deviation: float) -> str:
    """Return a mean with about three digits and its deviation with as many decimals.

    >>> with_spread(0.92271, 0.0017), with_spread(38.2, 12.1), with_spread(52.927, 0.0121)
    ('0.923 ± 0.002', '38 ± 12', '52.93 ± 0.01')
    >>> with_spread(5.65e-5, 7.3e-6), with_spread(3.0, 0.0)
    ('(5.65 ± 0.73) × 10⁻⁵', '3.00')
    """
    if deviation == 0:
        return number(mean)
    exponent = math.floor(math.log10(abs(mean)))
    if exponent < -4:
        scale = 10.0**exponent
        return f"({with_spread(mean / scale, deviation / scale)}) × {power_of_ten(exponent)}"
    first = -math.floor(math.log10(deviation))  # decimal of the deviation's first digit
    decimals = max(min(2 - exponent, first + 1), first, 0)
    return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"


def power_of_ten(exponent: int) -> str:
    """Return a power of ten.

    >>> power_of_ten(-12)
    '10⁻¹²'
    """
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def notes(problem: Problem, facts: DatasetInfo, kind: str) -> Iterator[str]:
    """Yield what to know about a problem."""
    yield from PROBLEM_NOTES.get(problem.name, ())
    yield from NETWORKS[kind].notes
    yield from DATA_NOTES.get(facts.name, ())
    if problem.name in WITHOUT_ORIGINAL:
        yield (
            "DeepOBS 1.1 has no batch size and number of epochs for this problem; they come from "
            "the network's paper or the closest sibling."
        )
    if problem.stock_loss is None:
        yield "`stock_loss` is None: BackPACK's `extend` has no loss for it."
    if facts.augmented:
        yield (
            "Recipe `2019` evaluates the training loss on augmented images, as the original did; "
            "`standard` on the images as they are."
        )
    if problem.name in ORIGINALS:
        yield "What the two recipes change for all problems: [recipes](../recipes.md)."
    else:
        yield "Recipe `2019` is for the problems of DeepOBS 1.1.2."


def main() -> int:
    """Write the pages, or check them; return the exit code."""
    parser = argparse.ArgumentParser(description="Write docs/problems/*.md.")
    parser.add_argument("--check", action="store_true", help="only say whether they are current")
    check = parser.parse_args().check
    pages = {FOLDER / f"{name}.md": page_of(problem) for name, problem in CATALOG.items()}
    wrong = outdated(pages)
    if check:
        print("\n".join(f"{path} is out of date: run this without --check." for path in wrong))
        return 1 if wrong else 0
    FOLDER.mkdir(exist_ok=True)
    for path in set(FOLDER.glob("*.md")) - set(pages):
        path.unlink()
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    print(f"wrote {len(pages)} pages to {FOLDER}")
    return 0


def outdated(pages: dict[Path, str]) -> list[Path]:
    """Return the pages that are missing, superfluous or not what they should be."""
    there = {path: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    return sorted(path for path in {*there, *pages} if there.get(path) != pages.get(path))


if __name__ == "__main__":
    raise SystemExit(main())
