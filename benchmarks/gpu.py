"""Speed on a GPU: the data on the device, CUDA graphs, other arithmetic, the share of its peak.

Run from the repository root on a machine with an NVIDIA GPU, in an environment with all four
packages; Fashion-MNIST is real where it is found, other images and texts are stand-ins:

    python benchmarks/gpu.py [--parts steps arithmetic vectorized] [--only fmnist_2c2d ...] [--docs]

* `steps` is the table of `speed.py`, with runs in CUDA graphs beside the others.
* `arithmetic` has the time of a step of `run` in other precisions, in graphs and compiled, relative
  to eager fp32, and what share of the peak a step in graphs reaches. The peak is that of a product
  of two 8192 x 8192 matrices in the same precision, measured here. Operations are those of matrix
  products and convolutions, a multiplication and an addition counted apart.
* `vectorized` compares runs trained together with the same runs one by one, by wall time.

Candidates take turns; medians over rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import speed
import subjects
import torch
import vectorized
from publishing import describe_machine, markdown, publish
from subjects import Subject, prepare, step_seconds, train_ours

from deepobs_data import Batch
from deepobs_runner import Execution, run
from deepobs_runner.backend.precision import numerics


@dataclass(frozen=True)
class Case:
    """A problem, steps of a round, those of the usual way, test examples of an evaluation."""

    problem: str
    steps: int
    usual_steps: int
    evaluated: int


CASES = (
    Case("two_d_rosenbrock", 390, 390, 10_000),
    Case("quadratic_deep", 350, 350, 896),
    Case("fmnist_logreg", 468, 60, 10_000),
    Case("fmnist_mlp", 468, 60, 10_000),
    Case("fmnist_2c2d", 300, 60, 10_000),
    Case("fmnist_vae", 300, 60, 10_000),
    Case("cifar10_3c3d", 200, 40, 10_000),
    Case("cifar100_allcnnc", 40, 20, 2_500),
    Case("svhn_wrn164", 60, 40, 2_560),
    Case("tolstoi_char_rnn", 100, 100, 500),
)

LARGE = {"cifar10_vgg16": 4, "cifar100_wrn404": 8, "imagenet_inception_v3": 8}
"""Problems of the second table alone, and the steps of a round."""

COMPILED = ("fmnist_2c2d",)
"""Those that are compiled, in every round anew."""

VECTORIZED = (
    vectorized.Case("two_d_rosenbrock", "Adam", epochs=10),
    vectorized.Case("quadratic_deep", "Adam", epochs=10),
    vectorized.Case("fmnist_logreg", "Adam", epochs=1),
    vectorized.Case("fmnist_mlp", "Adam", rates=4, seeds=2, epochs=1),
)


def ours(subject: Subject, **settings: object) -> float:
    """Return the training seconds of a step of `run`; settings are of `Execution`, and precision.

    The default of them is eager fp32.
    """
    precision = settings.pop("precision", "fp32")
    config = replace(subject.config, precision=precision)
    execution = replace(subject.execution, **settings)  # type: ignore[arg-type]
    return step_seconds(train_ours(replace(subject, config=config, execution=execution)))


# ---------------------------------------------------------------------------------------- steps


def usual(steps: int) -> Callable[[Subject], float]:
    """Return what times the usual way over fewer steps: it is slow and steady."""

    def time_usual(subject: Subject) -> float:
        config = replace(subject.config, steps=steps)
        return speed.time_usual(replace(subject, config=config))

    return time_usual


def steps_row(case: Case, subject: Subject, seconds: float) -> list[str]:
    """Return a row of the first table."""
    graphs = {"graphs": lambda subject: ours(subject, cuda_graphs=True)}
    candidates = {**speed.CANDIDATES, **graphs, "usual": usual(case.usual_steps)}
    if subject.execution.device == "cpu":  # to try this script without a GPU
        candidates["graphs"] = speed.time_ours
    found = speed.measure(subject, case.evaluated, seconds, 2, candidates)
    times = [f"{1000 * found[name]:.3g}" for name in ("ours", "graphs", "bare", "usual")]
    return [
        case.problem,
        *times,
        f"{found['graphs'] * subject.steps_per_epoch:.2g}",
        f"{found['evaluation']:.2g}",
        f"{found['ours/bare']:.2f}",
        f"{found['graphs'] / found['bare']:.2f}",
        f"{found['usual/ours']:.1f}",
        f"{found['evaluation/forward']:.2f}",
        f"{found['rounds']:.0f}",
    ]


STEPS_COLUMNS = (
    "problem", "ours, ms per step", "ours in graphs", "bare", "usual", "epoch in graphs, s",
    "evaluation, s", "ours/bare", "graphs/bare", "usual/ours", "evaluation/forward", "rounds",
)  # fmt: skip

# ----------------------------------------------------------------------------------- arithmetic

VARIANTS: dict[str, dict[str, object]] = {
    "run": {},
    "graphs": {"cuda_graphs": True},
    "tf32": {"precision": "tf32"},
    "tf32, graphs": {"precision": "tf32", "cuda_graphs": True},
    "bf16": {"precision": "bf16"},
    "bf16, graphs": {"precision": "bf16", "cuda_graphs": True},
    "compiled": {"compile": True},
    "compiled, graphs": {"compile": True, "cuda_graphs": True},
}
IN_GRAPHS = {"fp32": "graphs", "tf32": "tf32, graphs", "bf16": "bf16, graphs"}


def peaks(device: torch.device) -> dict[str, float]:
    """Return the operations a second of a large matrix product, by precision."""
    size, found = 8192, {}
    for precision in IN_GRAPHS:
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        with numerics("fp32" if precision == "bf16" else precision, True):  # type: ignore[arg-type]
            times = []
            for _ in range(6):
                torch.cuda.synchronize(device)
                started = time.perf_counter()
                a @ b
                torch.cuda.synchronize(device)
                times.append(time.perf_counter() - started)
        found[precision] = 2 * size**3 / statistics.median(times[1:])
    return found


def operations(subject: Subject) -> int:
    """Return the operations of a training step: forward and backward pass.

    Counted for two examples on the CPU, without oneDNN, whose LSTM would be counted as nothing.
    """
    from torch.utils.flop_counter import FlopCounterMode

    batch = Batch(subject.x[:2].cpu(), subject.y[:2].cpu())
    counter = FlopCounterMode(display=False)
    with torch.backends.mkldnn.flags(enabled=False), counter:  # type: ignore[no-untyped-call]
        objective, _ = subject.problem.objective(subject.problem.model(), batch)
        objective.backward()  # type: ignore[no-untyped-call]
    return counter.get_total_flops() * (subject.config.batch_size or 1) // 2


def arithmetic_row(subject: Subject, rounds: int, peak: dict[str, float]) -> list[str]:
    """Return a row of the second table."""
    name = subject.problem.name
    names = [n for n in VARIANTS if "compiled" not in n or name in COMPILED]

    def timed(variant: str) -> Callable[[], float]:
        return lambda: ours(subject, **VARIANTS[variant])

    found = subjects.in_turns({n: timed(n) for n in names}, rounds)
    medians = {n: statistics.median(values) for n, values in found.items()}
    count = operations(subject)
    rates = {p: count / medians[n] for p, n in IN_GRAPHS.items()}
    return [
        name,
        f"{count / 1e9:.3g}",
        f"{1000 * medians['run']:.3g}",
        *(f"{medians[n] / medians['run']:.2f}" if n in names else "" for n in list(VARIANTS)[1:]),
        *(f"{rates[p] / 1e12:.3g} ({rates[p] / peak[p]:.1%})" for p in IN_GRAPHS),
    ]


ARITHMETIC_COLUMNS = (
    "problem", "GFLOP per step", "run, ms per step", *list(VARIANTS)[1:],
    *(f"TFLOP/s in {precision}" for precision in IN_GRAPHS),
)  # fmt: skip

# ----------------------------------------------------------------------------------- vectorized


def vectorized_row(
    case: vectorized.Case, device: str, data_dir: Path | None, sample: int
) -> list[str]:
    """Return a row of the third table."""
    with tempfile.TemporaryDirectory() as folder:
        where = Execution(device=device, data_dir=data_dir, out=Path(folder))
        found = vectorized.compare(case, where, sample)
        few = replace(case, rates=min(case.rates, 6), seeds=2)
        found |= vectorized.agreement(few, replace(where, out=where.out / "few"))
    return [
        f"{case.problem}, {case.optimizer}",
        f"{found['runs']:.0f}",
        f"{found['stacked']:.0f}",
        f"{found['together wall']:.1f}",
        f"{found['one by one wall']:.1f}",
        f"{found['times in wall time']:.2f}",
        f"{found['difference']:.1e}",
    ]


VECTORIZED_COLUMNS = (
    "problem, optimizer", "runs", "of them together", "together, s", "one by one, s", "times",
    "10 steps in float64",
)  # fmt: skip


def main() -> None:
    """Print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parts = ("steps", "arithmetic", "vectorized")
    parser.add_argument("--parts", nargs="*", choices=parts, default=parts)
    parser.add_argument("--only", nargs="*", help="problems")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data-dir", type=Path, default=subjects.FASHION_MNIST)
    parser.add_argument("--seconds", type=float, default=6.0, help="of the rounds of a problem")
    parser.add_argument("--rounds", type=int, default=3, help="of `arithmetic`")
    parser.add_argument("--sample", type=int, default=6, help="runs that are made one by one")
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    parser.add_argument("--docs", action="store_true", help="put the numbers into RESULTS.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else options.device
    head = f"{gpu}; {describe_machine(1)}; wall time."
    print(head, flush=True)

    def write(name: str, columns: tuple[str, ...], rows: list[list[str]], note: str = "") -> None:
        text = f"{head}{note}\n\n{markdown(columns, rows)}"
        publish(f"gpu-{name}", text, options.out, docs=options.docs)

    def chosen(name: str) -> bool:
        return not options.only or name in options.only

    def show(rows: list[list[str]], row: list[str]) -> None:
        rows.append(row)
        print(" | ".join(row), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        data_dir = subjects.imported_data(options.data_dir, Path(folder) / "data")

        def subject(name: str, steps: int) -> Subject:
            return prepare(name, steps, data_dir, Path(folder) / "runs", device=options.device)

        # The first run of a process imports parts of torch.
        run(subject("two_d_beale", 1).config, Execution(device=options.device, out=Path(folder)))
        cases = [case for case in CASES if chosen(case.problem)]
        rows: list[list[str]] = []
        if "steps" in options.parts:
            for case in cases:
                show(rows, steps_row(case, subject(case.problem, case.steps), options.seconds))
            write("steps", STEPS_COLUMNS, rows)
        if "arithmetic" in options.parts:
            rows, peak = [], peaks(device)
            note = " Peak: " + ", ".join(f"{p} {v / 1e12:.3g}" for p, v in peak.items())
            sizes = {case.problem: case.steps for case in CASES} | LARGE
            for name, steps in sizes.items():
                if chosen(name):
                    show(rows, arithmetic_row(subject(name, steps), options.rounds, peak))
            write("arithmetic", ARITHMETIC_COLUMNS, rows, f"{note} TFLOP/s.")
        if "vectorized" in options.parts:
            rows = []
            for several in VECTORIZED:
                if chosen(several.problem):
                    show(rows, vectorized_row(several, options.device, data_dir, options.sample))
            write("vectorized", VECTORIZED_COLUMNS, rows)


if __name__ == "__main__":
    main()
