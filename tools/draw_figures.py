"""Draw the gallery of docs/figures.md: docs/figures/*.png, and the part of the page about them.

    python tools/draw_figures.py                  # all pictures and the page
    python tools/draw_figures.py forest curves    # these pictures, and the page
    python tools/draw_figures.py --page           # the page alone, as the tests compare it
    python tools/draw_figures.py --train FOLDER   # the runs of docs/evidence/mnist1d_studies anew

Most figures are of the official results of 2019 and of the baseline set tuned-2026. The study of
batch sizes and the map of weight decay are of runs that are kept in docs/evidence; trajectories are
trained anew, which takes seconds.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from PIL import Image  # comes with matplotlib

from deepobs_runner import Execution, RunConfig, RunResult, run
from deepobs_runner.analysis import tuned_settings
from deepobs_runner.analysis.metrics import TEST_ACCURACY
from deepobs_runner.comparison import Target, correct, judge_settings, mean_ranks, target_among
from deepobs_runner.figures import FIGURES, Drawing, drawings, plot_ranks, save
from deepobs_runner.figures.style import looks_of_settings
from deepobs_runner.results.baselines import (
    all_results,
    baseline_sets,
    pack_baselines,
    unpacked_results,
)
from deepobs_runner.results.official import official_problems, official_results
from deepobs_runner.results.result import without_copies
from deepobs_runner.results.settings import Setting, settings_of

DOCS = Path(__file__).parents[1] / "docs"
FOLDER, PAGE = DOCS / "figures", DOCS / "figures.md"
BEGIN, END = "<!-- gallery: made by tools/draw_figures.py -->", "<!-- end of the gallery -->"
SMALL_SET = ("quadratic_deep", "mnist_vae", "fmnist_2c2d", "cifar10_3c3d")
BRANIN = (("SGD", 0.01), ("Momentum", 0.001), ("Adam", 0.1))
STUDIES = DOCS / "evidence" / "mnist1d_studies"
STUDY_TARGET = Target(
    problem="mnist1d_mlp", metric=TEST_ACCURACY, value=0.6, source="a value that all rates approach"
)


class Example(NamedTuple):
    """A section of the gallery.

    Attributes:
        title: of the section.
        shows: what one sees, and when to choose it.
        takes: results without which it is not drawn.
        command: that draws a figure of this kind.
        draw: returns the picture.
    """

    title: str
    shows: str
    takes: str
    command: str
    draw: Callable[[], Drawing]


def of_official(kind: str, *problems: str) -> Callable[[], Drawing]:
    """Return what draws a kind of the official results, of all problems if none is given."""

    def draw() -> Drawing:
        settings = {
            name: settings_of(official_results(name)) for name in problems or official_problems()
        }
        return next(drawings(settings, [kind]))

    return draw


def heatmap() -> Drawing:
    """Draw a map of the set tuned-2026, everybody against SGD."""
    tuned = tuned_settings(all_results(baseline_sets()["tuned-2026"]))
    targets = {name: target_among(name, listed) for name, listed in tuned.items()}
    pairs = [(label, "SGD") for label in ("Momentum", "Adam", "AdamW")]
    verdicts = correct([judge_settings(tuned, targets, *pair) for pair in pairs])
    ranks = mean_ranks(tuned, targets, ["SGD", "Momentum", "Adam", "AdamW"])
    made = drawings(
        tuned, ["heatmap"], targets=targets, verdicts=lambda: verdicts, ranks=lambda: ranks
    )
    return next(made)


def curves() -> Drawing:
    """Draw curves of AdamW and its schedule-free relative over the official ones."""
    own = unpacked_results(DOCS / "evidence" / "adamw_schedulefree")
    own = [replace(r, environment={}) for r in own if r.config.problem == "quadratic_deep"]
    official = official_results("quadratic_deep")
    tuned = tuned_settings([*own, *official])
    return next(drawings(tuned, ["curves"]))


def ranks() -> Drawing:
    """Draw the mean ranks on the problems of the official results and of tuned-2026 together."""
    official = tuned_settings(r for name in official_problems() for r in official_results(name))
    modern = tuned_settings(all_results(baseline_sets()["tuned-2026"]))
    merged: dict[str, Sequence[Setting]] = {**modern, **official}
    plain = {
        name: [replace(s, optimizer=s.config.optimizer) for s in listed]
        for name, listed in merged.items()
    }
    targets = {name: target_among(name, listed) for name, listed in plain.items()}
    found = mean_ranks(plain, targets, ["SGD", "Momentum", "Adam"])
    assert found is not None
    drawing = of_official("ranks")()
    text = f"{drawing.caption} Here: the official results and tuned-2026 together."
    return replace(drawing, figure=plot_ranks(found, looks_of_settings(plain)), caption=text)


def trajectory() -> Drawing:
    """Draw the trajectories of runs that are made for it."""
    with tempfile.TemporaryDirectory() as folder:
        execution = Execution(device="cpu", out=Path(folder))
        runs = [
            run(
                RunConfig(
                    problem="two_d_branin", optimizer=name, hyperparams={"lr": lr}, epochs=10
                ),
                execution,
            )
            for name, lr in BRANIN
        ]
        return next(drawings({"two_d_branin": settings_of(runs)}, ["trajectory"]))


def of_study(kind: str) -> Callable[[], Drawing]:
    """Return what draws a kind of the runs that are kept for it."""

    def draw() -> Drawing:
        runs = [replace(r, environment={}) for r in unpacked_results(STUDIES)]
        optimizers = ("AdamW",) if kind == "weight-decay" else ("SGD", "Adam")
        runs = [r for r in runs if r.config.optimizer in optimizers]
        settings = {"mnist1d_mlp": tuned_settings(runs)["mnist1d_mlp"]}
        targets: Mapping[str, Target | None] = {"mnist1d_mlp": STUDY_TARGET}
        return next(drawings(settings, [kind], results={"mnist1d_mlp": runs}, targets=targets))

    return draw


EXAMPLES: Mapping[str, Example] = {
    "forest": Example(
        "Forest plot",
        "The answer of a comparison on one picture: the speedup on every problem, and which of "
        "them are decided.",
        "two optimizers",
        "deepobs plot official forest --out forest.pdf",
        of_official("forest"),
    ),
    "heatmap": Example(
        "Heat map",
        "The same of many optimizers: one row each, against one reference.",
        "two optimizers and a reference",
        "deepobs plot tuned-2026 heatmap --reference SGD --out heatmap.pdf",
        heatmap,
    ),
    "ranks": Example(
        "Mean ranks",
        "Who is usually ahead, whatever by how much; from ten problems on a critical-difference "
        "diagram.",
        "three optimizers with times to the target on the same problem",
        "deepobs plot official ranks --out ranks.pdf",
        ranks,
    ),
    "comparison": Example(
        "Comparison",
        "Tuned optimizers on up to four problems side by side, as in the DeepOBS paper.",
        "results",
        "deepobs plot official comparison --problem quadratic_deep --problem mnist_vae "
        "--problem fmnist_2c2d --problem cifar10_3c3d --out comparison.pdf",
        of_official("comparison", *SMALL_SET),
    ),
    "profile": Example(
        "Performance profile",
        "How often an optimizer is the fastest, and how far behind it is where it is not.",
        "five problems with a target and runs of every optimizer",
        "deepobs plot official profile --out profile.pdf",
        of_official("profile"),
    ),
    "curves": Example(
        "Training curves",
        "Distance to the best value over the epochs, yours above thin baselines.",
        "results",
        "deepobs plot docs/evidence/adamw_schedulefree curves --problem quadratic_deep "
        "--out curves.pdf",
        curves,
    ),
    "speed": Example(
        "Speed and final value",
        "Time to the target and final value of every optimizer on one problem.",
        "an optimizer that reaches the target; `--unit` chooses the time",
        "deepobs plot official speed --problem fmnist_2c2d --out speed.pdf",
        of_official("speed", "fmnist_2c2d"),
    ),
    "sensitivity": Example(
        "Learning-rate sensitivity",
        "How much the learning rate matters, where training fails, and how wide the good window "
        "is.",
        "three learning rates",
        "deepobs plot official sensitivity --problem quadratic_deep --out sensitivity.pdf",
        of_official("sensitivity", "quadratic_deep"),
    ),
    "tuning": Example(
        "Tuning",
        "What a tuner with a small budget can expect.",
        "three trials",
        "deepobs plot official tuning --problem fmnist_2c2d --out tuning.pdf",
        of_official("tuning", "fmnist_2c2d"),
    ),
    "trajectory": Example(
        "Trajectories",
        "The path of an optimizer over a function of two parameters.",
        "runs on `two_d_rosenbrock`, `two_d_beale` or `two_d_branin`",
        "deepobs plot tuned-2026 trajectory --problem two_d_branin --out trajectory.pdf",
        trajectory,
    ),
    "batch-size": Example(
        "Batch sizes",
        "How many steps larger batches save, and where that ends.",
        "runs at three batch sizes that reach the target, made with `--batch-size`, at several "
        "learning rates each",
        "deepobs plot docs/evidence/mnist1d_studies batch-size --out batch-size.pdf",
        of_study("batch-size"),
    ),
    "weight-decay": Example(
        "Learning rate and weight decay",
        "How the two act together.",
        "runs of an optimizer at three learning rates and three values of `weight_decay`",
        "deepobs plot docs/evidence/mnist1d_studies weight-decay --out weight-decay.pdf",
        of_study("weight-decay"),
    ),
}


def page_with(gallery: str) -> str:
    """Return the page with another gallery."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{gallery}\n{END}{rest.split(END)[1]}"


def gallery() -> str:
    """Return the sections of all kinds, in the order of a report."""
    return "\n".join(section(kind, EXAMPLES[kind]) for kind in FIGURES.built_in())


def section(kind: str, example: Example) -> str:
    """Return the section of one kind."""
    function = f"plot_{kind.replace('-', '_')}"
    return (
        f"### {example.title}: `{kind}`\n\n"
        f"![{example.title}](figures/{kind}.png)\n\n"
        f"{example.shows} Needs: {example.takes}. In Python: `figures.{function}`.\n\n"
        f"```bash\n{example.command}\n```\n"
    )


def draw(kinds: Sequence[str]) -> Iterator[Path]:
    """Write the pictures of some kinds; yield their paths.

    Raises:
        SystemExit: one could not be drawn.
    """
    FOLDER.mkdir(exist_ok=True)
    for kind in kinds:
        drawing = EXAMPLES[kind].draw()
        if drawing.figure is None:
            raise SystemExit(f"{kind}: {drawing.caption}")
        path = save(drawing.figure, FOLDER / f"{kind}.png")
        shrink(path)
        yield path


def train(folder: Path) -> Path:
    """Make the runs of the two studies anew, which takes ten minutes, and pack them."""
    execution = Execution(device="cpu", out=folder)
    configs = [
        RunConfig(
            problem="mnist1d_mlp", optimizer="AdamW", epochs=30,
            hyperparams={"lr": lr, "weight_decay": decay},
        )
        for lr in (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
        for decay in (0.0001, 0.001, 0.01, 0.1, 1.0, 3.0)
    ]  # fmt: skip
    configs += [
        RunConfig(
            problem="mnist1d_mlp", optimizer=name, hyperparams={"lr": lr}, batch_size=size,
            epochs=min(60, int(40 * max(1, size / 512))),
        )
        for size in (32, 64, 128, 256, 512, 1024, 2048)
        for name, rates in (("SGD", (0.1, 0.3, 1.0)), ("Adam", (0.003, 0.01, 0.03)))
        for lr in rates
    ]  # fmt: skip
    runs: list[RunResult] = [run(config, execution) for config in configs]
    return pack_baselines(
        list(without_copies(runs)),
        STUDIES,
        name="mnist1d_studies",
        title="mnist1d_mlp: AdamW over learning rate and weight decay; SGD and Adam over batch "
        "sizes and learning rates; one seed",
        licence="MIT",
    )


def main(words: Sequence[str] | None = None) -> int:
    """Draw what is asked for and write the page."""
    words = list(sys.argv[1:] if words is None else words)
    if words[:1] == ["--train"]:
        print(train(Path(words[1])))
        return 0
    PAGE.write_text(page_with(gallery()), encoding="utf-8")
    if words != ["--page"]:
        for path in draw(words or FIGURES.built_in()):
            print(f"{path}: {path.stat().st_size // 1000} kB")
    return 0


def shrink(path: Path, colors: int = 256) -> None:
    """Write a picture again with few colours; 256 keep those of the lines."""
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(colors, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
