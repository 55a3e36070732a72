"""Draw the example pictures of docs/figures.md from the official results: docs/figures/*.png.

The trajectories are of two short runs on Branin's function, which take seconds.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image  # comes with matplotlib

from deepobs_runner import Execution, RunConfig, RunResult, run
from deepobs_runner.figures import Drawing, drawings, save
from deepobs_runner.results.official import official_results
from deepobs_runner.results.settings import settings_of

FOLDER = Path(__file__).parents[1] / "docs" / "figures"
SMALL_SET = ("quadratic_deep", "mnist_vae", "fmnist_2c2d", "cifar10_3c3d")
OF_ONE_PROBLEM = ("curves", "speed", "sensitivity", "tuning")
BRANIN = (("SGD", 0.01), ("Momentum", 0.001), ("Adam", 0.1))


def official() -> Iterator[Drawing]:
    """Yield the figures over the official results, each kind once."""
    settings = {problem: settings_of(official_results(problem)) for problem in SMALL_SET}
    yield from drawings(settings, ["comparison", "profile"])
    yield from drawings({"fmnist_2c2d": settings["fmnist_2c2d"]}, OF_ONE_PROBLEM)


def trajectory() -> Iterator[Drawing]:
    """Yield the trajectories of runs that are made for it."""
    with tempfile.TemporaryDirectory() as folder:
        execution = Execution(device="cpu", out=Path(folder))
        runs: list[RunResult] = [
            run(
                RunConfig(
                    problem="two_d_branin", optimizer=name, hyperparams={"lr": lr}, epochs=10
                ),
                execution,
            )
            for name, lr in BRANIN
        ]
        yield from drawings({"two_d_branin": settings_of(runs)}, ["trajectory"])


def main() -> int:
    """Write one picture for each kind of figure; return 1 if one could not be drawn."""
    FOLDER.mkdir(exist_ok=True)
    for drawing in (*official(), *trajectory()):
        if drawing.figure is None:
            print(drawing.caption, file=sys.stderr)
            return 1
        path = save(drawing.figure, FOLDER / f"{drawing.kind}.png")
        shrink(path)
        print(path)
    return 0


def shrink(path: Path) -> None:
    """Write a picture again with 256 colours, which are enough to keep those of the lines."""
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
