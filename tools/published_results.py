r"""Write docs/modern.md: our runs of problems after 2019 beside published numbers, with a figure.

Reads the packed set `docs/evidence/modern`, which the plans in `docs/evidence/modern_plans` made:

    deepobs bench docs/evidence/modern_plans/quick.yaml --out modern    # and the other plans
    deepobs baselines export modern --out docs/evidence/modern --pack modern \
        --title "Problems after 2019" --licence MIT
    python tools/published_results.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from deepobs_runner.figures.axes import new_figure, style_axes, use_log_scale
from deepobs_runner.figures.style import PLAIN, paper_style
from deepobs_runner.results.baselines import unpacked_results
from deepobs_runner.results.result import RunResult

DOCS = Path(__file__).parents[1] / "docs"
SET = DOCS / "evidence" / "modern"
PAGE = DOCS / "modern.md"
FIGURE = DOCS / "evidence" / "modern.png"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published result.

    Attributes:
        problem: its name.
        optimizer: its name.
        what: the setting in words.
        hyperparams: that single the runs out.
        metric: of the test split, at the end.
        value: as published, a text.
        number: where the figure has its line; None: no line.
        note: on a deviation.
    """

    problem: str
    optimizer: str
    what: str
    hyperparams: dict[str, object]
    metric: str
    value: str
    number: float | None = None
    note: str = ""


_STEEP = (
    "training is unstable at this rate, so the end depends on the last digits. A plain loop in "
    "PyTorch ends between 0.133 and 0.225 if its schedule moves by a step, or in double precision."
)
_LBFGS = (
    "a plain loop of L-BFGS ends at 4.9e-5 with one seed; ours are between {low:.1e} and "
    "{high:.1e}."
)
_BURGERS = (
    "the authors let L-BFGS take up to 50,000 iterations, in single precision, and draw 100 of the "
    "456 known values; ours are between {low:.1e} and {high:.1e}."
)
_GPT = (
    "nanoGPT estimates its loss on 20 random batches, here it is the mean over the whole test "
    "text; and its rate falls after the warm-up, here from the first step. A plain loop in PyTorch "
    "with nanoGPT's rate and random offsets ends at 1.907, with its rate and our order of the "
    "windows at 1.909, with our rate at 1.917 (one seed each)."
)
_TOLSTOI = "the rates of SGD and Muon are usual ones, not tuned; no result is published."
PUBLISHED = (
    Published(
        problem="bigram_zipf", optimizer="SGD", what="gradient descent, rate 10^3.5",
        hyperparams={"lr": 3162.27766}, metric="excess", value="0.134 (plain loop)",
        number=0.134, note=_STEEP,
    ),
    Published(
        problem="bigram_zipf", optimizer="Momentum", what="momentum 0.9, rate 10^2.5",
        hyperparams={"lr": 316.227766}, metric="excess", value="0.140 (plain loop)",
        number=0.140,
    ),
    Published(
        problem="bigram_zipf", optimizer="Adam", what="sign descent, rate 0.1",
        hyperparams={"lr": 0.1}, metric="excess", value="at most 1e-7 (plain loop)",
    ),
    Published(
        problem="bigram_zipf", optimizer="Adam", what="Adam, rate 1",
        hyperparams={"lr": 1.0}, metric="excess", value="at most 1e-7 (plain loop)", number=1e-7,
    ),
    Published(
        problem="mnist1d_mlp", optimizer="Adam", what="Adam, rate 0.01, 6,000 steps",
        hyperparams={"lr": 0.01}, metric="accuracy", value="68 %; 65.1 % in the authors' notebook",
        number=0.68, note="between the two numbers of the authors.",
    ),
    Published(
        problem="mnist1d_conv", optimizer="Adam", what="Adam, rate 0.01, 6,000 steps",
        hyperparams={"lr": 0.01}, metric="accuracy", value="94 %", number=0.94,
    ),
    Published(
        problem="mnist1d_gru", optimizer="Adam", what="Adam, rate 0.01, 6,000 steps",
        hyperparams={"lr": 0.01}, metric="accuracy", value="91 %; 89.1 % in the authors' notebook",
        number=0.91,
    ),
    Published(
        problem="poisson_pinn", optimizer="Adam", what="Adam, rate 0.001, 30,000 steps",
        hyperparams={"lr": 1e-3}, metric="relative_error", value="1e-3 to 1e-4",
        note="the authors take 200,000 steps, and lower the rate after 15,000.",
    ),
    Published(
        problem="poisson_pinn", optimizer="LBFGS", what="L-BFGS, 2,000 iterations",
        hyperparams={"tolerance_change": 1e-9}, metric="relative_error", value="1e-3 to 1e-4",
    ),
    Published(
        problem="poisson_pinn", optimizer="LBFGS", what="L-BFGS, 5,000 iterations",
        hyperparams={"tolerance_change": 0.0}, metric="relative_error", value="1e-3 to 1e-4",
        note=_LBFGS,
    ),
    Published(
        problem="burgers_pinn", optimizer="LBFGS", what="L-BFGS, 5,000 iterations",
        hyperparams={"tolerance_change": 0.0}, metric="relative_error", value="6.7e-4",
        note=_BURGERS,
    ),
    Published(
        problem="shakespeare_chargpt_small", optimizer="AdamW", what="AdamW, rate 0.001",
        hyperparams={"lr": 1e-3}, metric="loss", value="1.88", number=1.88, note=_GPT,
    ),
    Published(
        problem="tolstoi_chargpt_small", optimizer="AdamW", what="AdamW, rate 0.001",
        hyperparams={"lr": 1e-3}, metric="loss", value="–",
    ),
    Published(
        problem="tolstoi_chargpt_small", optimizer="SGD", what="SGD, rate 0.3, momentum 0.9",
        hyperparams={"lr": 0.3}, metric="loss", value="–",
    ),
    Published(
        problem="tolstoi_chargpt_small", optimizer="Muon", what="Muon, rate 0.02",
        hyperparams={"lr": 0.02}, metric="loss", value="–", note=_TOLSTOI,
    ),
)  # fmt: skip


PANELS = {"bigram": "bigram", "mnist1d": "mnist1d", "shakespeare": "text", "tolstoi": "text"}
"""Panel of the figure by the first word of a problem; others are not drawn."""

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def runs_of(published: Published, runs: Sequence[RunResult]) -> list[RunResult]:
    """Our runs of a published setting."""
    return [
        run
        for run in runs
        if (run.config.problem, run.config.optimizer) == (published.problem, published.optimizer)
        and published.hyperparams.items() <= run.config.hyperparams.items()
    ]


def ends_of(published: Published, runs: Sequence[RunResult]) -> np.ndarray:
    """The metric after the last epoch, `(runs,)`."""
    return np.array([run.series("test", published.metric)[-1] for run in runs])


def text_of(published: Published, ends: np.ndarray) -> str:
    """Mean and standard deviation of ends, in percent for accuracies."""
    if published.metric == "accuracy":
        text, spread = f"{100 * ends.mean():.1f}", f"{100 * ends.std(ddof=1):.1f}"
        return f"{text} ± {spread} %"
    if published.metric == "loss":
        return f"{ends.mean():.3f} ± {ends.std(ddof=1):.3f}"
    if len(ends) == 1:
        return f"{ends[0]:#.3g}" if ends[0] > 1e-6 else f"{ends[0]:.0e}"
    return f"{ends.mean():.2g} ± {ends.std(ddof=1):.1g}"


def table() -> list[str]:
    """The rows of the table on the page."""
    runs = unpacked_results(SET)
    rows = [
        "| Problem | Setting | Published or independent | Ours | Seeds |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for published in PUBLISHED:
        found = runs_of(published, runs)
        ours = text_of(published, ends_of(published, found))
        rows.append(
            f"| `{published.problem}` | {published.what} | {published.value} | {ours} "
            f"| {len(found)} |"
        )
    return rows


def notes() -> list[str]:
    """What the page says about deviations."""
    runs = unpacked_results(SET)
    lines = []
    for published in (p for p in PUBLISHED if p.note):
        ends = ends_of(published, runs_of(published, runs))
        note = published.note.format(low=ends.min(), high=ends.max())
        lines.append(f"* `{published.problem}`, {published.what}: {note}")
    return lines


PAGE_TEXT = """\
# Modern problems as published

<!-- Made by tools/published_results.py; do not edit. -->

Settings of problems after 2019 with a known result, trained as their authors train them, and
three optimizers on Tolstoi's text. The numbers are test values after the last epoch, mean ±
standard deviation over seeds; `bigram_zipf` is deterministic and needs one seed. Its values in
the third column are not from its papers: plain loops in PyTorch ended with them.

{table}

Where ours differ:

{notes}

![Test curves beside published values](evidence/modern.png)

Each line is a run, dotted lines are the values of the third column. The excess of `bigram_zipf` is
the cross-entropy above its known minimum: in float32 its rounding error is about 1e-7, so it can
be negative.

Sources are on the [pages of the problems](problems.md). The runs are in `docs/evidence/modern`,
their plans in `docs/evidence/modern_plans`:

```bash
deepobs report docs/evidence/modern --no-baselines
```
"""


def page() -> str:
    """The text of docs/modern.md."""
    return PAGE_TEXT.format(table="\n".join(table()), notes="\n".join(notes()))


def draw(runs: Sequence[RunResult]) -> None:
    """Draw the curves of every published setting, a panel for each kind of data."""
    panels: dict[str, list[Published]] = {name: [] for name in PANELS.values()}
    for published in PUBLISHED:
        if (panel := PANELS.get(published.problem.partition("_")[0])) is not None:
            panels[panel].append(published)
    with paper_style():
        figure = new_figure(6.9, 2.2)
        for axes, (title, rows) in zip(
            figure.subplots(1, len(panels)), panels.items(), strict=True
        ):
            for published, color in zip(rows, COLORS, strict=False):
                label = published.what.partition(",")[0]
                if title == "mnist1d":
                    label = published.problem.partition("_")[2]
                elif title == "text":
                    label = f"{published.problem.partition('_')[0]}, {published.optimizer}"
                _draw_lines(axes, published, runs_of(published, runs), color, label)
            style_axes(axes, PLAIN, xlabel="Epoch", ylabel=f"Test {rows[0].metric}", title=title)
            if rows[0].metric != "accuracy":
                use_log_scale(axes)
            axes.legend(fontsize=6, frameon=False)
        figure.savefig(FIGURE, dpi=200)


def _draw_lines(
    axes: Axes, published: Published, runs: Sequence[RunResult], color: str, label: str
) -> None:
    for number, run in enumerate(runs):
        values = run.series("test", published.metric)
        shown = values if published.metric == "accuracy" else np.maximum(values, 1e-8)
        axes.plot(run.epochs(), shown, color=color, lw=0.8, label="" if number else label)
    if published.number is not None:
        axes.axhline(published.number, color=color, ls=":", lw=0.8)


def main() -> None:
    """Write the page and the figure."""
    PAGE.write_text(page(), encoding="utf-8")
    draw(unpacked_results(SET))


if __name__ == "__main__":
    main()
