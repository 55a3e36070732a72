"""Make the example reports of docs/examples from packed results, and docs/gallery.md about them.

    python tools/make_examples.py             # all reports and the page
    python tools/make_examples.py demo        # these reports, and the page
    python tools/make_examples.py --page      # the page alone, as the tests compare it

Each is one page and some figures, small enough to be kept: `deepobs report` with the words below.
The results in docs/evidence were made with `deepobs tune` and `deepobs bench` and packed with
`deepobs baselines export RESULTS --out docs/evidence/NAME --pack NAME`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from draw_figures import shrink

from deepobs_runner.cli import main as deepobs

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGE = DOCS / "gallery.md"
SCHEDULE_FREE = "docs/evidence/adamw_schedulefree"

KEPT = ("forest", "comparison", "curves", "speed", "sensitivity")
"""Kinds of figures kept beside a page."""


class Example(NamedTuple):
    """A report of the gallery.

    Attributes:
        title: of its card.
        text: what is compared, on what data, with how many seeds.
        words: of `deepobs report`: results and options.
        picture: on the card, below docs/.
        figures: begin the names of the figures that are kept.
    """

    title: str
    text: str
    words: tuple[str, ...]
    picture: str
    figures: tuple[str, ...] = KEPT


EXAMPLES: Mapping[str, Example] = {
    "demo": Example(
        "The demo: AdamW on two problems",
        "AdamW against SGD, Momentum, Adam and Muon, three seeds each: the runs of `nox -s demo`, "
        "beside the official results. On `bigram_lowrank` SGD and Momentum stop far above.",
        ("docs/evidence/demo",),
        "examples/demo/curves-bigram_lowrank.png",
        ("curves",),
    ),
    "quadratic_deep": Example(
        "AdamW and schedule-free AdamW on quadratic_deep",
        "Two optimizers tuned over 36 learning rates each, beside the official results.",
        (SCHEDULE_FREE, "--problem", "quadratic_deep", "--baselines", "official"),
        "examples/quadratic_deep/curves-quadratic_deep.png",
    ),
    "fmnist_2c2d": Example(
        "The same optimizers on Fashion-MNIST",
        "Real images, six epochs at one learning rate, compared after six epochs of the official "
        "runs (`--epochs 6`).",
        (SCHEDULE_FREE, "--problem", "fmnist_2c2d", "--baselines", "official", "--epochs", "6"),
        "examples/fmnist_2c2d/curves-fmnist_2c2d.png",
    ),
    "official": Example(
        "The official results of 2019",
        "SGD, Momentum and Adam on eight problems, ten seeds each: what DeepOBS 1.1 published, "
        "with today's statistics.",
        ("official",),
        "examples/official/forest.png",
        ("forest",),
    ),
    "tuned-2026": Example(
        "The baseline set tuned-2026",
        "SGD, Momentum, Adam and AdamW with a cosine schedule on six cheap problems, ten seeds "
        "each.",
        ("tuned-2026",),
        "figures/heatmap.png",
        (),
    ),
    "mnist1d": Example(
        "Batch size and weight decay on mnist1d_mlp",
        "SGD and Adam at seven batch sizes, AdamW over learning rate and weight decay, one seed. "
        "A report without seeds: figures, and notes on what it cannot decide.",
        ("docs/evidence/mnist1d_studies", "--no-baselines"),
        "examples/mnist1d/curves-mnist1d_mlp.png",
        ("curves",),
    ),
}

HEADER = """\
# Results gallery

<!-- Made by tools/make_examples.py; do not edit. -->

Reports of `deepobs report`, to open in the browser. Each is one file that needs no network.
[The report](report.md) explains their parts, [Figures](figures.md) shows every kind of figure.
"""


def card(name: str, example: Example) -> str:
    """Return the section of a report."""
    folder = f"examples/{name}"
    return (
        f"## {example.title}\n\n"
        f"![{example.title}]({example.picture})\n\n"
        f"{example.text}\n\n"
        f"[Open the report]({folder}/report.html)\n\n"
        f"```bash\ndeepobs report {' '.join(example.words)}\n```\n"
    )


def page() -> str:
    """Return the page of all reports."""
    return "\n".join([HEADER, *(card(*pair) for pair in EXAMPLES.items())])


def make(name: str, example: Example) -> int:
    """Write a report; return the exit code of the command."""
    folder = DOCS / "examples" / name
    with tempfile.TemporaryDirectory() as made:
        words = [str(ROOT / w) if w.startswith("docs/") else w for w in example.words]
        code = deepobs(["report", *words, "--formats", "html,png", "--out", made])
        if code:
            return code
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(Path(made) / "report.html", folder)
        for picture in sorted((Path(made) / "figures").glob("*.png")):
            if picture.name.startswith(example.figures):
                shrink(picture)
                shutil.copy(picture, folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 1e6:.2f} MB")
    return 0


def main() -> int:
    """Make what is asked for; return the worst exit code."""
    PAGE.write_text(page(), encoding="utf-8")
    if sys.argv[1:] == ["--page"]:
        return 0
    return max([make(name, EXAMPLES[name]) for name in sys.argv[1:] or EXAMPLES])


if __name__ == "__main__":
    sys.exit(main())
